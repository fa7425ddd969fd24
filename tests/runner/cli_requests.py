"""What the real CLI asks in a run of two sub-agents, for tests that only look at its requests.

A run takes a second of a core, so each is made once for all processes of a run of the tests.
"""

import json
import threading
from dataclasses import asdict
from functools import cache

import anyio
from filelock import FileLock

from runner.claude.engine import run_claude
from tests.rigs.done_once import shared_folder
from tests.rigs.scripted_messages_api import Held, Request, ScriptedMessagesApi, Step, say
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import CALCULATE_RSI, GET_PRICE, script, strategy, task

TURNED = "claude-sonnet-4-5"
"""For it the CLI puts what it has to say behind the report that comes last, whichever that is."""


@cache
def cli_requests(model: str = TURNED, late: int = 1) -> list[Request]:
    """Return all requests of a run on a model, in which the first or the second sub-agent reports last."""
    file = shared_folder() / f"requests-{model}-{late}.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            asked = anyio.run(_asked, model, late)
            file.write_text(json.dumps([{**asdict(one), "headers": dict(one.headers)} for one in asked]))
    return [Request(**one) for one in json.loads(file.read_text())]


async def _asked(model: str, late: int) -> list[Request]:
    other_reported = threading.Event()
    reports: list[Step] = [say("It costs 42.5."), say("The RSI is 28.5.")]
    reports[late] = Held(say(("It costs 42.5.", "The RSI is 28.5.")[late]), other_reported)
    steps = script(price=(GET_PRICE, reports[0]), rsi=(CALCULATE_RSI, reports[1]))

    def heard(line: str) -> None:
        if line.endswith(" reported"):
            other_reported.set()

    with ToolServer() as server, ScriptedMessagesApi(steps) as api:
        outcome = await run_claude(task(api.url, server.url, strategy(model=model), on_event=heard))
    assert outcome.error is None
    return api.requests
