"""What the server begins in the background once its list of tools is out."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server import __main__ as program
from mcp_server import app
from mcp_server.app import build_server
from mcp_server.domain.rules.engine import Engine
from mcp_server.domain.strategy.rules_outcome import TOGETHER
from mcp_server.once_listed import SWITCH_S, OnceListed
from mcp_server.settings import ServerSettings

ENOUGH_S = 60.0
PYTHON_S = 0.005
"""How long Python lets a thread have the interpreter where others want it."""

IMPORTED_AHEAD = """
import sys
import anyio
from mcp_server.app import build_server, make_kit, tool_files  # before mcp, which is imported in parts
from mcp import Client
from mcp_types.version import LATEST_MODERN_VERSION
from mcp_server.evaluations import AskedEvaluation
from mcp_server.once_listed import RULES, run_imports
from mcp_server.settings import ServerSettings
from mcp_server.toolkit import Call
import mcp_server.domain.memory_at_rest  # for a database that rests, which on a busy machine it does before the end

async def main():
    settings = ServerSettings.load()
    server = build_server(settings)
    steps = run_imports(server._tool_manager, tool_files())
    for _ in (*RULES, "talib"):
        next(steps)
    await by_rules(make_kit(settings, tool_files()))
    list(steps)
    assert "mcp_types._v2026_07_28" in sys.modules
    assert "mcp_types._v2025_11_25" not in sys.modules, "no run speaks it"
    async with Client(server, mode=LATEST_MODERN_VERSION) as client:
        before = set(sys.modules)
        await client.list_tools()
        await client.call_tool("get_price", {"symbol": "BTC/USDT"})
        result = await client.call_tool("evaluate_strategy", {"strategy_name": "rsi-reversion"})
        assert not result.is_error
        assert "duckdb" not in sys.modules  # its layer in Python takes 3 MB and 60 ms, and rules need none of it
        print(*later(before))

async def by_rules(kit):
    asked = AskedEvaluation(
        strategy_name="rsi-reversion", version=kit.strategies.read("rsi-reversion").version, as_of="now"
    )
    assert not any(name.startswith(("mcp_server.tools.", "mcp_types._v")) for name in sys.modules)
    before = set(sys.modules)
    from mcp_server.evaluation_batch import Batch
    batch = Batch(Call(kit), [asked])
    await batch.evaluate()
    assert batch.answers[0]["answer"]["signal"], batch.answers
    assert not any(name.startswith(("mcp_server.tools.", "mcp_types._v")) for name in sys.modules)
    print(*later(before))

def later(before):
    return sorted(name for name in set(sys.modules) - before if name.startswith(ours))

ours = ("mcp_server.", "numpy", "duckdb", "talib", "mcp_types")
anyio.run(main)
"""


class Steps:
    """Notes the thread of each step, and holds it until `go` is set."""

    def __init__(self, *, held: bool = False) -> None:
        self.threads: list[threading.Thread] = []
        self.begun, self.go, self.all_done = threading.Event(), threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __iter__(self) -> Iterator[None]:
        for _ in range(2):
            self.threads.append(threading.current_thread())
            self.begun.set()
            assert self.go.wait(ENOUGH_S)
            yield
        self.all_done.set()


async def happened(event: threading.Event) -> bool:
    return await anyio.to_thread.run_sync(event.wait, ENOUGH_S)


async def answer(ahead: OnceListed, method: str = "tools/call", call_next: Any = None) -> None:
    """Have a request pass the middleware."""

    async def at_once(_: object) -> dict[str, object]:
        return {}

    ctx: Any = SimpleNamespace(method=method)
    await ahead(ctx, call_next or at_once)


@pytest.mark.parametrize("first", ["list_tools", "call_tool"])
async def test_work_begins_in_a_thread_of_its_own_when_the_tools_are_listed_or_called(
    settings: ServerSettings, first: str
) -> None:
    steps = Steps()
    async with Client(build_server(settings, once_listed=steps)) as client:
        asking: dict[str, Callable[[], Awaitable[object]]] = {
            "list_tools": client.list_tools,
            "call_tool": lambda: client.call_tool("find_markets"),
        }
        await asking[first]()
        assert await happened(steps.all_done)
        await asking[first]()
    assert len(steps.threads) == 2
    assert len(set(steps.threads)) == 1
    assert steps.threads[0].daemon, "it must not hold up the end of the process"


async def test_nothing_begins_before_the_host_has_asked_for_a_tool(settings: ServerSettings) -> None:
    steps = Steps()
    async with Client(build_server(settings, once_listed=steps)) as client:
        await client.list_prompts()
        assert "imports ahead" not in {thread.name for thread in threading.enumerate()}
    assert steps.threads == []


async def test_a_server_for_a_run_begins_before_any_request_and_only_it(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, others = Steps(), Steps()
    monkeypatch.setattr(app, "run_imports", lambda *_: steps)
    async with Client(build_server(settings, once_listed=others, for_a_run=True)) as client:
        assert await happened(steps.all_done)
        await client.list_tools()
    assert others.threads == []


async def test_a_server_for_a_run_offers_the_same_tools_and_nothing_else(settings: ServerSettings) -> None:
    tools = {}
    for for_a_run in (False, True):
        async with Client(build_server(settings, for_a_run=for_a_run)) as client:
            tools[for_a_run] = (await client.list_tools()).tools
            offered = client.server_capabilities.extensions or {}
            assert bool((await client.list_prompts()).prompts) is not for_a_run
            with pytest.raises(MCPError, match=r"There is no prompt 'nope'\. " + "This server offers none" * for_a_run):
                await client.get_prompt("nope", {})
            assert bool((await client.list_resource_templates()).resource_templates) is not for_a_run
            assert bool(offered) is not for_a_run
    pages = {"ui", "ui/resourceUri"}
    assert any(pages & (tool.meta or {}).keys() for tool in tools[False])
    assert not any(pages & (tool.meta or {}).keys() for tool in tools[True])
    without = [[tool.model_copy(update={"meta": None}) for tool in listed] for listed in tools.values()]
    assert without[0] == without[1]


@pytest.mark.parametrize("for_a_run", [False, True])
def test_a_server_for_a_run_has_no_page(home: Path, monkeypatch: pytest.MonkeyPatch, for_a_run: bool) -> None:
    monkeypatch.setattr(Engine, "start", lambda _: None)
    monkeypatch.setattr(app, "build_server", lambda *_, **__: None)
    arguments = ["--http", "--port", "0", *(["--for-a-run"] * for_a_run)]
    serving = program._composed(program._parser().parse_args(arguments))
    assert isinstance(serving, partial)
    assert serving.keywords["page"] is not for_a_run


def test_what_a_run_needs_is_all_imported_ahead(home: Path) -> None:
    """It takes a second: in this process all is imported already."""
    env = {"TRADER_HOME": str(home), "TRADER_EXCHANGE": "simulated"}
    command = [sys.executable, "-c", IMPORTED_AHEAD]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n\n", "")


async def test_no_step_begins_while_a_request_is_being_answered() -> None:
    steps, waits, answers = Steps(held=True), threading.Event(), anyio.Event()
    ahead = OnceListed(steps)

    async def slow(_: object) -> dict[str, object]:
        await answers.wait()
        return {}

    await answer(ahead, "tools/list")
    assert await happened(steps.begun)
    idle_wait = ahead._idle.wait

    def wait(timeout: float | None = None) -> bool:
        waits.set()
        return idle_wait(timeout)

    ahead._idle.wait = wait  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, ahead, "tools/call", slow)
        await anyio.wait_all_tasks_blocked()
        await answer(ahead)  # another request is over, this one is not
        steps.go.set()
        assert await happened(waits)
        assert not ahead._idle.is_set(), "it waits for this"
        assert len(steps.threads) == 1
        answers.set()
        assert await happened(steps.all_done)


async def test_no_step_begins_within_a_series_of_calls() -> None:
    steps, loop, waits = Steps(), asyncio.get_running_loop(), 0
    ahead = OnceListed(steps)

    def wait(timeout: float | None = None) -> bool:
        nonlocal waits
        waits += 1
        if waits <= 3:
            asyncio.run_coroutine_threadsafe(answer(ahead), loop).result(ENOUGH_S)
            assert steps.threads == []
        return False

    ahead._ended.wait = wait  # type: ignore[method-assign]
    await answer(ahead)
    assert await happened(steps.all_done)
    assert waits == 3 + len(steps.threads) + 1


@pytest.mark.parametrize("method", ["tools/call", "tools/list", TOGETHER])
async def test_what_was_begun_for_a_run_goes_no_further_once_the_run_asks(method: str) -> None:
    steps = Steps(held=True)
    ahead = OnceListed(steps)
    ahead.begin()
    assert await happened(steps.begun)
    await answer(ahead, method)
    steps.go.set()
    await anyio.to_thread.run_sync(ahead._thread.join, ENOUGH_S)
    assert len(steps.threads) == 1


async def test_no_step_begins_after_the_end() -> None:
    steps = Steps(held=True)
    ahead = OnceListed(steps)
    await answer(ahead)
    assert await happened(steps.begun)
    ahead.end()
    steps.go.set()
    await anyio.to_thread.run_sync(steps.threads[0].join, ENOUGH_S)
    await answer(ahead)
    assert len(steps.threads) == 1


async def test_the_end_of_a_server_ends_its_steps(settings: ServerSettings) -> None:
    steps = Steps(held=True)
    async with Client(build_server(settings, once_listed=steps)) as client:
        await client.list_tools()
        assert await happened(steps.begun)
    steps.go.set()
    await anyio.to_thread.run_sync(steps.threads[0].join, ENOUGH_S)
    assert len(steps.threads) == 1


async def test_a_step_gives_way_to_a_request_that_comes_meanwhile() -> None:
    steps = Steps(held=True)
    sys.setswitchinterval(PYTHON_S)
    await answer(OnceListed(steps))
    assert await happened(steps.begun)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    steps.go.set()
    await anyio.to_thread.run_sync(steps.threads[0].join, ENOUGH_S)
    assert sys.getswitchinterval() == pytest.approx(PYTHON_S)


async def test_nothing_begins_after_the_end() -> None:
    steps = Steps()
    ahead = OnceListed(steps)
    ahead.end()
    await answer(ahead)
    ahead.end()
    assert steps.threads == []


@pytest.mark.parametrize("for_a_run", [False, True])
def test_the_engine_of_rules_starts_beside_the_imports_of_a_run_s_server_and_of_no_other(
    home: Path, monkeypatch: pytest.MonkeyPatch, for_a_run: bool
) -> None:
    happened = []
    monkeypatch.setattr(Engine, "start", lambda _: happened.append("engine"))
    monkeypatch.setattr(app, "build_server", lambda *_, **__: happened.append("server"))
    program._composed(program._parser().parse_args(["--http", "--port", "0", *(["--for-a-run"] * for_a_run)]))
    assert happened == [*(["engine"] * for_a_run), "server"]
