"""One claude run, as its caller describes it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_server.domain.strategy.strategy import Strategy
from runner.claude.cli_folder import INHERITED

BASE_URL = "ANTHROPIC_BASE_URL"


@dataclass(frozen=True, slots=True)
class ClaudeTask:
    """One run.

    `tools` is every tool of the server, name → whether it only reads. `environment` holds the credentials and, where
    there is one, ANTHROPIC_BASE_URL. `on_event` gets one line for a person at each step.
    """

    strategy: Strategy
    exchange: str
    as_of: datetime
    server_url: str
    server_token: SecretStr | None
    tools: Mapping[str, bool]
    environment: Mapping[str, str]
    on_event: Callable[[str], None] | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """Every value that no text of the run may contain."""
        values = [value for name, value in self.environment.items() if name != BASE_URL]
        if self.server_token is not None:
            values.append(self.server_token.get_secret_value())
        addresses = [self.environment.get(BASE_URL, ""), *(os.environ.get(name, "") for name in INHERITED)]
        values += [urlsplit(address).password or "" for address in addresses if "@" in address]
        return frozenset(value for value in values if value)
