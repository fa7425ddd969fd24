"""What the recording proxy costs: a request through it beside one without, and a whole run of the real CLI."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcp_server.domain.outcome import Outcome, Status
from runner.claude.cassette.cassettes import Cassette
from runner.claude.engine import run_claude
from runner.claude.proxy.session import Session
from runner.claude.recording import recording_proxy
from tests.benchmarks.programs import say
from tests.rigs.scripted_messages_api import ORCHESTRATOR, ScriptedMessagesApi
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import AS_OF, KEY, script, strategy, task
from tests.runner.recorded_runs import run_on

MOST_MS = 3.0
"""What a request may take longer through the proxy, in milliseconds."""

MOST_OF_A_RUN = 1.05
REQUESTS, RUNS = 300, 21
HEADERS = {"x-api-key": KEY, "accept-encoding": "gzip"}


@contextmanager
def messages_program() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.messages_program"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


@pytest.fixture(scope="module")
def request_body() -> dict[str, Any]:
    """The last request of a real run, with two sub-agents' reports in it."""
    import anyio

    with ScriptedMessagesApi(script()) as api, ToolServer() as server:
        anyio.run(run_claude, task(api.url, server.url))
    return dict(api.of(ORCHESTRATOR)[-1].body)


async def timed(http: httpx2.AsyncClient, url: str, body: dict[str, Any], number: int) -> float:
    """Return how many milliseconds a request takes that nobody has asked yet, to the end of its reply."""
    first, *rest = body["messages"]
    asked = {**body, "messages": [{**first, "content": f"{first['content']} {number}"}, *rest]}
    content = json.dumps(asked).encode()
    began = time.perf_counter()
    reply = await http.post(f"{url}/v1/messages?beta=true", content=content, headers=HEADERS)
    took = time.perf_counter() - began
    assert reply.text.endswith('{"type": "message_stop"}\n\n')
    return took * 1000


def spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=20)
    return f"{statistics.median(values):.2f} ({cuts[0]:.2f} to {cuts[-1]:.2f})"


async def test_a_request_takes_three_milliseconds_longer_at_most(request_body: dict[str, Any], tmp_path: Path) -> None:
    direct, recorded, given = [], [], []
    with messages_program() as api:
        async with (
            recording_proxy({"ANTHROPIC_BASE_URL": api}) as proxy,
            httpx2.AsyncClient(trust_env=False, verify=False, timeout=60) as http,
        ):
            cassette = Cassette(tmp_path, "dip", "0123456789ab")
            with proxy.session(Session(AS_OF, Path("/tmp/claude-trader-x"), cassette, "1")) as session:  # noqa: S108
                for number in range(REQUESTS):
                    direct.append(await timed(http, api, request_body, number))
                    recorded.append(await timed(http, session.url, request_body, number))
                    given.append(await timed(http, session.url, request_body, number))
    assert (session.asked, session.hits) == (REQUESTS, REQUESTS)
    longer = [through - without for through, without in zip(recorded[10:], direct[10:], strict=True)]
    say(
        f"{REQUESTS} requests of {len(json.dumps(request_body)) / 1000:.0f} kB in ms, with the spread of 90 %: without "
        f"the proxy {spread(direct[10:])}, recorded {spread(recorded[10:])}, {spread(longer)} longer; "
        f"from the cassette {spread(given[10:])}"
    )
    assert statistics.median(longer) <= MOST_MS


async def test_a_run_through_the_proxy_takes_hardly_longer_than_one_without(tmp_path: Path) -> None:
    without, through = list[float](), list[float]()
    with ScriptedMessagesApi(script()) as api, ToolServer() as server:

        async def direct(_: int) -> Outcome:
            return await run_claude(task(api.url, server.url))

        async def recorded(number: int) -> Outcome:
            cassette = Cassette(tmp_path / f"{number}", "dip", "0123456789ab")
            return (await run_on(cassette, server.url, api.url, strategy())).outcome

        for number in range(RUNS + 1):
            kinds = ((direct, without), (recorded, through))
            for run, seconds in kinds if number % 2 else kinds[::-1]:
                seconds.append(await seconds_of(run, number))
    ratios = [one / other for one, other in zip(through[1:], without[1:], strict=True)]
    ratio = statistics.median(through[1:]) / statistics.median(without[1:])
    say(
        f"{RUNS} runs of the CLI with six requests each, in s, with the spread of 90 %: without the proxy "
        f"{spread(without[1:])}, recorded {spread(through[1:])}; ratio of the medians {ratio:.3f}, "
        f"of pairs {spread(ratios)}"
    )
    assert ratio <= MOST_OF_A_RUN


async def seconds_of(run: Callable[[int], Awaitable[Outcome]], number: int) -> float:
    began = time.perf_counter()
    outcome = await run(number)
    assert outcome.status is Status.SUCCESS
    return time.perf_counter() - began
