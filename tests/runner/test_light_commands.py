"""What commands import: a command that only lists or explains starts about as fast as Python and typer do."""

import gc
import inspect
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console
from rich.markdown import Markdown

from mcp_server.storage.journal.runs import Journal
from runner.cli.app import app
from runner.cli.commands import COMMANDS, CommandLine
from runner.cli.context import Context
from runner.cli.light_help import HelpText
from runner.cli.signals import EmptyJournal, _journal
from tests.rigs.sample_home import sample_home
from tests.runner.conftest import Command

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
"""That of the sample homes of other tests, for all of which one is made."""

HEAVY = {"mcp", "ccxt", "pandas", "matplotlib", "talib", "claude_agent_sdk", "numpy", "apprise"}
READS_A_JOURNAL = {"duckdb"}
CHECKS_SETTINGS = {"pydantic"}
ASYNCHRONOUS = {"anyio", "asyncio"}
OF_NO_STATUS = {"ssl", "dotenv", "importlib.metadata", "filelock", "rich.live", "mcp_server.domain.outcome"}
ALL = HEAVY | READS_A_JOURNAL | CHECKS_SETTINGS | ASYNCHRONOUS

COMMANDS_AND_WHAT_THEY_LEAVE_OUT: list[tuple[list[str], set[str]]] = [
    (["--help"], ALL | {"rich.markdown", "rich.traceback", "importlib.metadata"}),
    (["--version"], ALL | {"rich.console"}),
    (["no-such-command"], ALL | {"rich.markdown", "rich.traceback"}),
    (["signals", "--no-such-option"], ALL | {"rich.markdown", "rich.traceback"}),
    (["strategies"], ALL - CHECKS_SETTINGS),
    (["strategies", "--json"], ALL - CHECKS_SETTINGS),
    (["strategies", "pause", "no-such-strategy"], ALL - CHECKS_SETTINGS),
    (["signals"], ALL | {"rich.console", "runner.tool_server.server_process"}),
    (["signals", "--json"], ALL),
    (["status"], HEAVY | ASYNCHRONOUS | OF_NO_STATUS),
    (["notify"], HEAVY | READS_A_JOURNAL),
    (["journal", "prune", "--before", "2020-01-01"], HEAVY),
    (["score", "--help"], ALL),
    (["run", "--help"], ALL - ASYNCHRONOUS),
    (["COMPLETE", "strategies pause ", "3"], ALL - CHECKS_SETTINGS),
    (["COMPLETE", "sig", "1"], ALL),
    (["COMPLETE", "strategies ", "2"], ALL),
]

HELP_OF_OTHERS: list[tuple[list[str], set[str]]] = [
    *(([name, "--help"], ALL) for name in COMMANDS if name not in ("score", "run", "up", "build", "replay")),
    *(([name, "--help"], ALL - ASYNCHRONOUS) for name in ("up", "build", "replay")),
]
"""It is read as that of the two above."""

FORKING = """
import json, os, sys, tempfile
import runner.cli.app, runner.__main__ as program
for arguments in json.loads(sys.argv.pop()):
    reading, writing = os.pipe()
    if not (child := os.fork()):
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        sys.argv = ["claude-trader", *arguments]
        if arguments[0] == "COMPLETE":
            words = {"COMP_WORDS": f"claude-trader {arguments[1]}", "COMP_CWORD": arguments[2]}
            os.environ.update(_CLAUDE_TRADER_COMPLETE="complete_bash", **words)
            sys.argv = ["claude-trader"]
        try:
            program.run_command_line()
        except SystemExit:
            pass
        finally:
            os.write(writing, json.dumps([*sys.modules]).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        print(stream.read())
    os.waitpid(child, 0)
"""
"""One program imports what all commands share, and is forked for each: it prints which modules that has at its end."""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return the modules that each command imports, by its words."""
    return imported_by(
        [arguments for arguments, _ in COMMANDS_AND_WHAT_THEY_LEAVE_OUT], tmp_path_factory.mktemp("home")
    )


def imported_by(typed: list[list[str]], home: Path) -> dict[str, set[str]]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRADER_")}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, json.dumps(typed)], env={**variables, "TRADER_HOME": str(home)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return {" ".join(words): set(json.loads(line)) for words, line in zip(typed, lines, strict=True)}


@pytest.mark.parametrize(
    ("arguments", "left_out"),
    [pytest.param(*case, id=" ".join(case[0])) for case in COMMANDS_AND_WHAT_THEY_LEAVE_OUT],
)
def test_a_command_imports_nothing_heavy_that_it_does_not_need(
    imported: dict[str, set[str]], arguments: list[str], left_out: set[str]
) -> None:
    assert sorted(imported[" ".join(arguments)] & left_out) == []


@pytest.mark.long
def test_the_help_of_each_command_imports_nothing_heavy(home: Path) -> None:
    modules = imported_by([arguments for arguments, _ in HELP_OF_OTHERS], home)
    heavy = {" ".join(words): modules[" ".join(words)] & left_out for words, left_out in HELP_OF_OTHERS}
    assert {words: names for words, names in heavy.items() if names} == {}


def test_a_command_imports_no_other_command(imported: dict[str, set[str]]) -> None:
    def files(words: str) -> set[str]:
        names = {f"runner.cli.{name.replace('-', '_')}" for name in COMMANDS}
        return imported[words] & names

    assert files("--help") == set()
    assert files("signals") == {"runner.cli.signals"}
    assert files("COMPLETE sig 1") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_the_first_paragraph_of_its_own_help(name: str) -> None:
    module = import_module(f"runner.cli.{name.replace('-', '_')}")
    function = getattr(module, name.replace("-", "_"))
    assert COMMANDS[name][1] == _first_paragraph(inspect.getdoc(function) or "")
    whole = CommandLine(name).whole()
    assert (whole.name, COMMANDS[name][1]) == (name, _first_paragraph(whole.help))


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def test_help_texts_look_as_markdown_shows_them() -> None:
    texts = [*_texts(typer.main.get_command(app))]
    assert len(texts) > 100
    for text in texts:
        assert _shown(HelpText(text, style="dim")) == _shown(Markdown(text, style="dim")), text


def _texts(command: Any) -> list[str]:
    whole = command.whole() if isinstance(command, CommandLine) else command
    own = [whole.help, whole.epilog, *(getattr(parameter, "help", None) for parameter in whole.params)]
    below = [text for line in getattr(whole, "commands", {}).values() for text in _texts(line)]
    return [inspect.cleandoc(text) for text in own if text] + below


def _shown(text: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=60, legacy_windows=False)
    console.print(text)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_a_home_without_a_record_is_listed_without_making_one(trader: Command, home: Path) -> None:
    assert trader("signals").code == 0
    assert not [*home.glob("claude_trader*")]


def test_a_home_whose_journal_is_in_postgres_is_not_taken_for_one_without_a_record(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(_journal(Context()), EmptyJournal)
    monkeypatch.setenv("TRADER_DATABASE_URL", "postgresql://trader@127.0.0.1:9/trader")
    assert isinstance(_journal(Context()), Journal)
    assert not [*home.glob("claude_trader*")]


def test_a_home_that_is_a_file_is_told_and_is_not_taken_for_one_without_a_record(trader: Command, home: Path) -> None:
    (home / "file").write_text("")
    done = trader("signals", TRADER_HOME=str(home / "file"))
    assert (done.code, done.out) == (1, "")
    assert "is in the way" in done.err


LISTING = """
import gc, sys, runner.__main__ as program
seen = []
started_with = {name.partition(".")[0] for name in sys.modules}
sys.addaudithook(lambda event, given: event == "open" and str(given[0]).endswith(".sql") and seen.append("text"))
gc.callbacks.append(lambda phase, _: seen.append(f"garbage {phase}"))
program._leave = lambda code: print(*sys.modules, *seen, *(f"at once {name}" for name in started_with & {"mcp_server"}))
program.main()
"""


def test_recorded_signals_are_listed_without_all_that_they_do_not_need(home: Path) -> None:
    """That is pydantic, DuckDB's package, rich, what writes, the text of migrations, and a look for garbage."""
    sample_home(home, NOW).close()
    done = subprocess.run(
        [sys.executable, "-c", LISTING, "signals"], env={**os.environ, "TRADER_HOME": str(home)},
        stdout=subprocess.PIPE, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "eth-two-analysts" in done.stdout
    modules = set(done.stdout.splitlines()[-1].split())
    assert "_duckdb" in modules
    writes = {f"mcp_server.storage.journal.{name}" for name in ("rows", "ends", "replay_rows", "slot_history")}
    assert (
        sorted(modules & (ALL | writes | {"stamina", "tenacity", "filelock", "rich.console", "rich.cells", "csv"}))
        == []
    )
    assert modules & {"text", "garbage", "once"} == set()


@pytest.mark.parametrize("name", ["up", "mcp", "backtest", "signals"])
def test_a_command_has_its_garbage_collected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
    group, threshold = typer.main.get_group(app), gc.get_threshold()
    gc.disable()
    try:
        group.resolve_command(typer.Context(group), [name])
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.set_threshold(*threshold)


def test_a_listing_does_not_need_settings_that_are_right(trader: Command, home: Path) -> None:
    (home / ".env").write_text("TRADER_BUDGET_USD_PER_DAY=much\n")
    for name in ("strategies", "signals"):
        done = trader(name)
        assert (done.code, done.err) == (0, "")
