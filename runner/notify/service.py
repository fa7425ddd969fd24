"""One address that notifications go to. Its text is a secret: only its number and its scheme are ever shown."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from pydantic import SecretStr

from runner.credentials import CREDENTIALS
from runner.no_proxy import no_proxy
from runner.notify.send import Result

TIME_LIMIT_S = 30.0
"""How long one notification may take, the start of its process included."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where notifications go. `id` stands for it in files, `name` in texts."""

    id: str
    name: str
    url: SecretStr

    async def send(self, title: str, body: str, limit_s: float = TIME_LIMIT_S) -> tuple[Result, str]:
        """Send one notification in a process of its own; return the result, and why."""
        command = [sys.executable, "-P", "-m", "runner.notify.send"]
        environment = {
            k: v for k, v in os.environ.items() if not (k.upper() in CREDENTIALS or k.upper().startswith("TRADER_"))
        }
        environment |= no_proxy()
        message = json.dumps({"url": self.url.get_secret_value(), "title": title, "body": body}).encode()
        with anyio.move_on_after(limit_s):
            done = await anyio.run_process(command, input=message, check=False, env=environment)
            try:
                answer = json.loads(done.stdout)
                return answer["result"], answer["why"]
            except (ValueError, KeyError, TypeError):
                return "unknown", "the process that was to send it ended without an answer"
        return "unknown", f"it did not answer within {limit_s:g} s"


def services(urls: Sequence[SecretStr]) -> list[Service]:
    """Return the services of the addresses in TRADER_NOTIFY; one that is there twice counts once."""
    known: dict[str, Service] = {}
    for number, url in enumerate(urls, 1):
        text = url.get_secret_value()
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        known.setdefault(key, Service(key, f"address {number} of TRADER_NOTIFY ({text.partition('://')[0]})", url))
    return list(known.values())
