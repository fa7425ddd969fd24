"""What people read in a terminal: text of files and models is shown as itself, and stops or steers nothing."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mcp_server.domain.outcome import Ended, Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.journal.entries import Entry
from runner.cli import show
from runner.cli.context import fail
from tests.runner.conftest import Command

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "[/x] [bold]b[/] :warning: \x1b[2J\x9b1m\a\r\u202e \\"
SHOWN = "[/x] [bold]b[/] :warning: [2J1m  \\"


def shown(outcome: Outcome, waiting: str | None = None, pair: str = HOSTILE) -> str:
    console = Console(file=StringIO(), width=300, force_terminal=False)
    strategy = parse_strategy("s", {"trading_pair": pair, "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    show.executed(console, strategy, Ended(1, "rules", NOW, outcome, NOW, NOW, waiting))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_signals_words_are_shown_as_they_are_without_what_steers_a_terminal() -> None:
    said = shown(Outcome(Status.SUCCESS, Signal("BUY", Decimal(70), HOSTILE), model=HOSTILE), waiting=HOSTILE)
    assert said.splitlines()[0] == f"BUY  s  {SHOWN}  as of 2026-01-01 00:00 UTC"
    assert said.count(SHOWN) == 4
    assert not set(said) & set("\x1b\x9b\a\r\u202e")


def test_an_errors_words_are_shown_as_they_are() -> None:
    said = shown(Outcome(Status.ERROR, error=HOSTILE))
    assert said.startswith(f"error  s  {SHOWN}  as of")
    assert said.count(SHOWN) == 2


@pytest.mark.parametrize("signal", ["BUY", None])
def test_the_journals_words_are_shown_as_they_are(signal: str | None) -> None:
    entry = Entry(1, HOSTILE[:5], "rules", "manual", Status.ERROR, NOW, NOW, NOW, None, None, None, HOSTILE, None, None)
    other = Entry(2, "s", "rules", "manual", Status.SUCCESS, NOW, NOW, NOW, "BUY", None, 1.0, "line\nline", None, None)
    console = Console(file=StringIO(), width=200, force_terminal=False)
    show.journal(console, [entry, other], "Journal")
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    assert "[/x] [bold]b[/] :warning:" in said
    assert "line line" in said
    assert not set(said) & set("\x1b\x9b\a\r\u202e")


def test_a_terminal_that_lacks_a_character_shows_a_question_mark() -> None:
    script = (
        "import sys; from runner.cli import show; show.console().print(show.plain('a · \\u2026 \\u20ac'))\n"
        "show.console(stderr=True).print('€')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, env={"PYTHONIOENCODING": "ascii"}
    )
    assert (done.stdout.strip(), done.stderr.strip()) == (b"a ? ? ?", b"?")


def test_a_trading_pair_with_markup_is_told_after_its_run(trader: Command, home: Path) -> None:
    folder = home / "strategies" / "odd"
    folder.mkdir(parents=True)
    config = {"trading_pair": "[/x]BTC\x1b[2J/USDT", "exchange": "simulated", "interval": "1h"}
    (folder / "config.json").write_text(json.dumps({**config, "rules": {"buy": "close > 1"}}))
    done = trader("run", "odd", "--as-of", "2026-01-31T12:00Z")
    assert done.code == 1
    assert "odd  [/x]BTC[2J/USDT  as of 2026-01-31 12:00 UTC" in done.out
    assert "\x1b" not in done.out + done.err


def test_the_words_of_an_error_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(HOSTILE, 2)
    assert capsys.readouterr().err.strip() == f"claude-trader: {SHOWN}"
