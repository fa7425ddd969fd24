"""`claude-trader run` starts its tool server before all else, and leaves none behind, however it ends."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from mcp_server.domain.outcome import Status
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.entries import Entry
from mcp_server.storage.journal.runs import Journal
from runner.__main__ import run_command_line
from runner.credentials import CREDENTIALS
from runner.settings import RunnerSettings
from runner.tool_server import server_process
from runner.tool_server.client import connected
from runner.tool_server.server import begun
from runner.tool_server.server_process import ServerProcess
from tests.acceptance.test_http import serving
from tests.rigs.processes import left
from tests.rigs.stand_in_exchange import StandInExchange
from tests.rigs.tool_server import ToolServer
from tests.rigs.warm import Warm, forked_by
from tests.runner.conftest import Command
from tests.runner.test_run import put

MOMENT = "2026-04-28T20:00Z"


LATE_IMPORTS = """
import sys
from runner.__main__ import run_command_line
from runner.tool_server.server_process import ServerProcess

where, before = ServerProcess.where, set()

async def noted(self):
    before.update(sys.modules)
    return await where(self)

ServerProcess.where = noted
sys.argv[1:] = ["run", "rsi-reversion"]
try:
    run_command_line()
except SystemExit:
    late = {name.partition(".")[0] for name in set(sys.modules) - before} - {"importlib"}
    print("late:", *sorted(late))

from runner.cli import ready_run

ready_run._import_the_rest("claude")
print("mcp.server.lowlevel" in sys.modules, "claude_agent_sdk" in sys.modules)
"""


IMPORTED_BEFORE = """
import sys
from runner.__main__ import main
from runner.tool_server import server_process

def popen(*_, **__):
    print("before:", *sorted({"typer", "asyncio", "anyio", "pydantic", "dataclasses"} & sys.modules.keys()))
    raise SystemExit

server_process.Popen = popen
main()
"""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, forked_servers: None) -> list[str]:
    """What happens, in order: `server` when one is started for a run, `settings`, `claimed`, `finished`, `gone`.

    A server that does not import ahead is a `plain server`; `told` is when one is asked to end.
    """
    happened: list[str] = []

    def noted(what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **named: Any) -> Any:
            happened.append(what)
            return do(*arguments, **named)

        return noting

    start = vars(server_process)["Popen"]

    def popen(command: list[str], **options: Any) -> Any:
        assert options["start_new_session"], "Ctrl-C at a terminal reaches the runner alone"
        program = start(command, **options)
        happened.append("server" if "--for-a-run" in command else "plain server")
        wait = program.wait

        def waited() -> int:
            code: int = wait()
            happened.append("gone")
            return code

        vars(program).update(terminate=noted("told", program.terminate), wait=waited)
        return program

    monkeypatch.setattr(server_process, "Popen", popen)
    monkeypatch.setattr(RunnerSettings, "load", noted("settings", RunnerSettings.load))
    monkeypatch.setattr(Journal, "claim", noted("claimed", Journal.claim))
    monkeypatch.setattr(Journal, "finish", noted("finished", Journal.finish))
    return happened


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | int | None:
    """Run `claude-trader` in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["claude-trader", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            run_command_line()
    finally:
        signal.signal(signal.SIGTERM, before)
    return ended.value.code


def journal(home: Path) -> list[Entry]:
    return Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home)).entries(outcomes="all")


def test_the_one_server_of_a_run_is_started_before_all_else_and_is_gone_when_the_run_has_been_shown(
    events: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "run", "rsi-reversion", "--json") == 0, capsys.readouterr()
    assert list(dict.fromkeys(events)) == ["server", "settings", "claimed", "told", "finished", "gone"]
    assert gc.isenabled()


def test_a_run_whose_output_nobody_reads_ends_as_any_other(
    events: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as a service starts it, or a shell with `>&-`
    assert (typed(monkeypatch, "run", "rsi-reversion"), events[-1]) == (0, "gone")
    assert [entry.status for entry in journal(home)] == [Status.SUCCESS]


def test_a_server_that_does_not_start_is_an_outcome_with_what_it_wrote(
    events: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_CALLS_PER_MINUTE", "none")
    assert typed(monkeypatch, "run", "rsi-reversion", "--json") == 1
    assert [e for e in events if e not in ("told", "gone")] == ["server", "settings", "claimed", "finished"]
    assert events[-1] == "gone"
    (entry,) = journal(home)
    assert entry.status == Status.ERROR
    assert entry.why is not None
    assert "did not start" in entry.why
    assert "TRADER_CALLS_PER_MINUTE" in entry.why


@pytest.mark.parametrize("for_a_run", [False, True])
def test_only_a_server_for_one_run_keeps_freed_memory_and_starts_no_threads_of_numpy(
    monkeypatch: pytest.MonkeyPatch, for_a_run: bool
) -> None:
    given = dict[str, str]()

    def popen(*_: Any, env: dict[str, str], **__: Any) -> Any:
        given.update(env)
        raise FileNotFoundError

    monkeypatch.setattr(server_process, "Popen", popen)
    monkeypatch.setenv("MALLOC_TOP_PAD_", "4096")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with pytest.raises(FileNotFoundError):
        server_process.start_server({}, for_a_run=for_a_run)
    assert (given.keys() >= server_process.FOR_A_RUN.keys()) is for_a_run
    assert given.get("OPENBLAS_NUM_THREADS") == ("1" if for_a_run else None)
    assert given["MALLOC_TOP_PAD_"] == "4096", "what the user has set holds"


@pytest.mark.parametrize(
    ("variables", "arguments", "expected"),
    [
        ({}, ("rsi-revertion",), (2, "Unknown strategy 'rsi-revertion'")),
        ({}, ("rsi-reversion", "--engine", "claude"), (2, "has no sub-agents")),
        ({"TRADER_BUDGET_USD_PER_DAY": "much"}, ("rsi-reversion",), (1, "TRADER_BUDGET_USD_PER_DAY")),
    ],
)
def test_what_cannot_be_run_leaves_neither_a_server_nor_a_row(
    events: list[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: tuple[str, ...],
    expected: tuple[int, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, problem = expected
    assert typed(monkeypatch, "run", *arguments) == code
    assert problem in capsys.readouterr().err
    assert events == ["server", "settings", "told", "gone"]
    assert not Home(home).database.exists()


def test_a_command_line_that_is_wrong_ends_the_server_that_it_has_started(
    events: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed(monkeypatch, "run", "rsi-reversion", "--engin", "rules") == 2
    assert events == ["server", "told", "gone"]
    assert not Home(home).database.exists()


@pytest.mark.parametrize("arguments", [("run", "--help"), ("run", "rsi-reversion", "-h"), ("strategies",)])
def test_no_server_is_started_for_what_is_no_run(
    events: list[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert typed(monkeypatch, *arguments) == 0
    assert "server" not in events


def test_a_server_is_started_before_typer_and_asyncio_are_imported(home: Path) -> None:
    """In a process of its own: in this one both are imported already."""
    command = [sys.executable, "-c", IMPORTED_BEFORE, "run", "rsi-reversion"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "before:\n", done


@pytest.mark.parametrize("where", [pytest.param("environment", marks=pytest.mark.long), "lower case", "file"])
def test_no_server_is_begun_where_one_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "file":
        (home / ".env").write_text("trader_server_url=http://127.0.0.1:9/mcp\n")
    else:
        monkeypatch.setenv("TRADER_SERVER_URL" if where == "environment" else "trader_server_url", "http://127.0.0.1:9")
    assert server_process.early_server(["rsi-reversion"], home) is None


@pytest.mark.parametrize(
    "where", ["environment", *(pytest.param(where, marks=pytest.mark.long) for where in ("lower case", "file"))]
)
def test_no_server_is_started_where_there_is_one(
    events: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with serving(home) as server:
        if where == "file":
            (home / ".env").write_text(f"trader_server_url={server.url}\n")
        else:
            monkeypatch.setenv("TRADER_SERVER_URL" if where == "environment" else "trader_server_url", server.url)
        assert typed(monkeypatch, "run", "rsi-reversion", "--json") == 0
    assert events == ["settings", "claimed", "finished"]


def test_where_a_file_only_mentions_a_server_one_is_started_once_the_run_is_claimed(
    events: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text("# TRADER_SERVER_URL=http://127.0.0.1:9/mcp\n")
    assert typed(monkeypatch, "run", "rsi-reversion", "--json") == 0
    assert events == ["settings", "claimed", "plain server", "told", "gone", "finished"]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no named pipes among files")
def test_a_pipe_in_place_of_the_file_is_not_read_before_the_settings(home: Path) -> None:
    os.mkfifo(home / ".env")
    assert server_process.early_server(["rsi-reversion"], home) is None


def test_sigterm_ends_a_run_and_the_server_that_it_has_just_started(home: Path) -> None:
    with open(os.devnull, "r+") as nothing:
        streams = (nothing.fileno(),) * 3
        program = Warm("runner", ["run", "rsi-reversion"], {**os.environ}, home, streams, forks_servers=True)
    servers: list[psutil.Process] = []
    while not servers:
        assert program.poll() is None, "it ended before it could be stopped"
        servers = forked_by(program.pid)
    program.terminate()
    assert program.wait(30) == 130
    assert left(servers, within_s=10) == []


def test_candles_that_a_run_fetched_are_stored_when_it_has_ended(trader: Command, home: Path) -> None:
    rules = {"buy": "prev(close, 5) > 0"}  # the last candle alone is not stored until it is ten minutes old
    put(home, "far", {"trading_pair": "BTC/USD", "exchange": "kraken", "interval": "1h", "rules": rules})
    with StandInExchange() as rig:
        done = trader("run", "far", "--json", TRADER_EXCHANGE_URLS=json.dumps({"kraken": rig.url}))
    assert (done.code, done.json["signal"]) == (0, "BUY"), done
    stored = Database(Home(home).database).read(lambda c: c.execute("SELECT count(*) FROM candles").fetchone())
    assert stored is not None
    assert stored[0] > 0


def test_a_run_imports_nothing_once_it_waits_for_its_server(home: Path) -> None:
    """It takes two seconds: in this process all is imported already. Nor does one by Claude import mcp's server."""
    command = [sys.executable, "-c", LATE_IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:] == ["late:", "False True"], done


async def test_the_server_that_was_started_for_a_run_is_asked_nothing_before_its_first_call(home: Path) -> None:
    class Started:
        runner_token = "t"  # noqa: S105 (a stand-in)

        async def where(self) -> tuple[str, str]:
            return server.url, ""

        def begin_to_end(self) -> None:
            pass

    with ToolServer() as server:
        serving = begun(cast(ServerProcess, Started()), RunnerSettings(home=home))
        requests = []
        async with serving() as address:
            for at in (address, replace(address, of_this_program=False)):
                before = len(server.headers)
                async with connected(at) as tools:
                    assert (await tools.call("get_price", {"symbol": "BTC/USDT"}))["last"] == server.price
                requests.append(len(server.headers) - before)
    assert requests == [1, 2]


def test_a_server_that_nobody_has_asked_yet_ends_at_once(home: Path) -> None:
    """It imports for a second, in a real process, and is not waited for."""
    server = server_process.early_server([], home)
    assert server is not None
    server.end()
    assert server._program.returncode == -15


def test_a_server_that_hangs_is_ended_outright(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "END_S", 0.05)
    server = server_process.early_server([], home)
    assert server is not None
    server._told = True  # and does not end
    server.end()
    assert server._program.returncode == -9


def test_the_variables_that_only_claude_may_see_are_those_of_the_settings() -> None:
    assert set(CREDENTIALS) == set(RunnerSettings.credential_names().values())
