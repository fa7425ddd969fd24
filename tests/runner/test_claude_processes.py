"""No agent CLI outlives its run, and none sees or shows what is not its business."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from mcp_server.domain.outcome import Outcome, Status
from runner.claude.cli_folder import INHERITED
from runner.claude.engine import ClaudeTask, run_claude
from tests.rigs.done_once import CLI_OF_TESTS
from tests.rigs.processes import children
from tests.rigs.scripted_messages_api import Hang, ScriptedMessagesApi
from tests.rigs.tool_server import ToolServer
from tests.runner.claude_runs import ADMISSION, KEY, script, strategy, task

CHECKOUT = Path(__file__).parents[2]
UNASKED_S = 1.0
"""So long a CLI that has started is looked at that should ask nothing."""


@pytest.fixture
def server() -> Iterator[ToolServer]:
    with ToolServer() as running:
        yield running


@pytest.fixture
def api() -> Iterator[ScriptedMessagesApi]:
    with ScriptedMessagesApi(script([Hang()])) as running:
        yield running


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the run folders of this test are made, to see that none stays."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _clis(parent: int) -> list[psutil.Process]:
    """Give the agent CLIs under a process; a zombie is no longer one."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.exe()).name == "claude":
                found.append(process)
        except psutil.Error:
            continue
    return found


def _first_children() -> list[psutil.Process]:
    """Wait for the very first moment of a process that this one starts."""
    deadline = time.monotonic() + 30
    while not (started := children()):
        assert time.monotonic() < deadline, "no process was started"
        time.sleep(0.001)
    return started


def _left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize(
    "found", [None, pytest.param(frozenset({"BTC/USDT"}), marks=pytest.mark.long)], ids=["none", "names"]
)
async def test_the_cli_starts_while_the_markets_names_are_asked_for_and_without_them_no_model_is_asked(
    server: ToolServer, own_folder: Path, found: frozenset[str] | None
) -> None:
    with ScriptedMessagesApi(script()) as api:
        asked = api.requests

        async def names() -> frozenset[str] | None:
            assert await anyio.to_thread.run_sync(server.reached.wait, 30), "the CLI waits for the names"
            if found is None:
                assert not await anyio.to_thread.run_sync(api.arrived.wait, UNASKED_S)
            assert asked == []
            return found

        outcome = await run_claude(task(api.url, server.url, names=names))
    assert (outcome.signal is None, asked == []) == (found is None, found is None)
    assert children() == []
    assert _left(own_folder) == []


async def _arrival(api: ScriptedMessagesApi) -> None:
    assert await anyio.to_thread.run_sync(api.arrived.wait, 30), "the CLI never asked"


@asynccontextmanager
async def _hanging(what: ClaudeTask, api: ScriptedMessagesApi) -> AsyncIterator[psutil.Process]:
    """Give the CLI of a run that waits for an answer; the run is cancelled afterwards."""
    async with anyio.create_task_group() as group:
        group.start_soon(run_claude, what)
        await _arrival(api)
        (cli,) = _clis(os.getpid())
        yield cli
        group.cancel_scope.cancel()


@pytest.mark.long
async def test_a_run_over_its_time_is_a_timeout_and_leaves_nothing(
    api: ScriptedMessagesApi, server: ToolServer, own_folder: Path
) -> None:
    outcomes: list[Outcome] = []

    async def run() -> None:
        outcomes.append(await run_claude(task(api.url, server.url, strategy(timeout_s=6))))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await _arrival(api)
        (cli,) = _clis(os.getpid())

    (outcome,) = outcomes
    assert (outcome.status, outcome.signal) == (Status.TIMEOUT, None)
    assert outcome.error is not None
    assert "longer than 6 s" in outcome.error
    assert (outcome.cost_usd, outcome.tokens_used) == (None, None)
    assert not cli.is_running()
    assert _left(own_folder) == []


@pytest.mark.long
async def test_a_second_cancel_during_the_first_leaves_nothing(
    api: ScriptedMessagesApi, server: ToolServer, own_folder: Path
) -> None:
    run = asyncio.create_task(run_claude(task(api.url, server.url)))
    await _arrival(api)
    (cli,) = _clis(os.getpid())
    run.cancel()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert _clis(os.getpid()) == []
    assert not cli.is_running()
    assert _left(own_folder) == []


async def test_a_run_cancelled_while_the_cli_starts_leaves_nothing(
    api: ScriptedMessagesApi, server: ToolServer, own_folder: Path
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(run_claude, task(api.url, server.url))
        started = await anyio.to_thread.run_sync(_first_children)
        group.cancel_scope.cancel()
    assert not any(_runs(process) for process in started)
    assert _left(own_folder) == []


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_cli_outlives_a_killed_runner(api: ScriptedMessagesApi, server: ToolServer, own_folder: Path) -> None:
    command = [sys.executable, "-m", "tests.runner.hanging_runner", api.url, server.url]
    with subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, "TMPDIR": str(own_folder)}) as runner:
        assert api.arrived.wait(30), "the CLI never asked"
        (cli,) = _clis(runner.pid)
        runner.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 2
        while _runs(cli) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _runs(cli)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_cli_sees_nothing_of_the_runners_environment_and_a_cancelled_run_leaves_nothing_and_is_quick(
    api: ScriptedMessagesApi, server: ToolServer, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EXCHANGE_SECRET", "TRADER_DATABASE_URL", "PGPASSWORD"):
        monkeypatch.setenv(name, "a-secret-of-the-parent")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-secret-of-the-parent")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    async with _hanging(task(api.url, server.url, server_token=ADMISSION), api) as cli:
        seen, shown = cli.environ(), " ".join(cli.cmdline())
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert not cli.is_running()
    assert _left(own_folder) == []
    assert "a-secret-of-the-parent" not in seen.values()
    assert (seen["ANTHROPIC_API_KEY"], seen["TRADER_TOKEN"]) == (KEY, ADMISSION)
    own = {name for name in seen if name.startswith(("CLAUDE_", "ANTHROPIC_", "TRADER_", "ENABLE_TOOL_SEARCH"))}
    assert set(seen) - own <= {*INHERITED, *CLI_OF_TESTS, "HOME", "TMPDIR", "PWD"}
    assert "CLAUDE_CODE_USE_BEDROCK" not in seen
    assert "TRADER_HOME" not in seen
    assert "${TRADER_TOKEN}" in shown
    for secret in (KEY, ADMISSION, "a-secret-of-the-parent"):
        assert secret not in shown


@pytest.mark.long
async def test_two_runs_at_once_keep_to_themselves(api: ScriptedMessagesApi, server: ToolServer) -> None:
    """In `make test` the replay of `tests/replay/test_documentation.py` runs two at once."""
    with ScriptedMessagesApi(script()) as other_api:
        async with _hanging(task(api.url, server.url), api) as cli:
            outcome = await run_claude(task(other_api.url, server.url))
            assert outcome.status is Status.SUCCESS
            assert _runs(cli), "the end of one run is not the end of the other"
