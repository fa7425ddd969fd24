"""What people read in a terminal: text of files and models is shown as itself, and stops or steers nothing."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from mcp_server.domain.outcome import Ended, Outcome, Signal, SignalName, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.text import number
from mcp_server.storage.journal.entries import Entry
from runner.cli import show
from runner.cli.context import fail
from runner.cli.show_signals import LIKE_A_TERMINAL, on_terminal, table, width
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


def test_a_run_that_was_decided_in_a_chat_says_so() -> None:
    entry = Entry(1, "s", "host", "manual", Status.SUCCESS, NOW, NOW, NOW, "BUY", None, 1.0, "It rises.", None, None)
    console = Console(file=StringIO(), width=200, force_terminal=False)
    waits = replace(entry, status=Status.RUNNING, completed_at=None, signal=None, reasoning=None)
    show.journal(console, [entry, replace(entry, engine="claude"), waits], "Journal")
    assert isinstance(console.file, StringIO)
    for text in ("decided in a chat: It rises.", "decided in a chat", "waits for its answer from a chat"):
        assert console.file.getvalue().count(text) == 1


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


def _journal(width: int, entries: list[Entry]) -> list[str]:
    console = Console(file=StringIO(), width=width, force_terminal=False)
    show.journal(console, entries, "Journal")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def _entry(number: int, strategy: str, status: Status, price: float | None) -> Entry:
    signal: SignalName | None = "SELL" if status is Status.SUCCESS else None
    confidence = Decimal("62.5") if signal else None
    why = "the exchange was down"
    return Entry(number, strategy, "rules", "manual", status, NOW, NOW, NOW, signal, confidence, price, why, None, None)


@pytest.mark.parametrize("same_strategy", [True, False])
@pytest.mark.parametrize("status", [Status.SKIPPED_OVERLAP, Status.SUCCESS])
@pytest.mark.parametrize("price", [None, 0.0000081234, 88_434.33, 123_456.789])
def test_in_80_columns_no_header_and_no_figure_is_cut_and_the_reason_is_shown(
    same_strategy: bool, status: Status, price: float | None
) -> None:
    other = "btc-funding-contrarian" if same_strategy else "a-name-of-the-greatest-length"
    lines = _journal(80, [_entry(12345, "btc-funding-contrarian", status, price), _entry(7, other, status, price)])
    assert max(map(len, lines)) <= 80
    head = ["run", "as of (UTC)", *([] if same_strategy else ["strategy"]), "outcome", "price", "conf."]
    assert not [name for name in head if name not in lines[1]]
    for whole in ("12345", "2026-01-01 00:00", "SELL" if status is Status.SUCCESS else "skipped_overlap"):
        assert any(whole in line for line in lines)
    assert price is None or any(number(price) in line for line in lines)
    assert sum("the exchange was down"[:20] in line for line in lines) == 2


def test_a_narrower_terminal_loses_the_last_columns_and_never_a_part_of_one() -> None:
    lines = _journal(48, [_entry(12345, "a", Status.SKIPPED_OVERLAP, 88_434.33), _entry(7, "b", Status.SUCCESS, 1.0)])
    assert max(map(len, lines)) <= 48
    assert "outcome" not in lines[1] or "skipped_overlap" in lines[3]
    assert "…" not in lines[1]


def test_a_contaminated_run_says_why_and_names_the_first_clean_moment() -> None:
    signal, trace = (
        Signal("BUY", Decimal(70), "because"),
        {"requests": {"cassette": "cassettes/s/abc/20260101T000000Z"}},
    )
    ended = Outcome(Status.SUCCESS, signal, cost_usd=Decimal(0), trace=trace)
    ended = replace(ended, recorded_usd=Decimal("0.02"))
    known = shown(replace(ended, knowledge_cutoff="2026-06", contaminated=True))
    assert "Contaminated: a model of this run knows what happened until 2026-06" in known
    assert "shows no skill" in known
    assert "The first clean moment is 2026-07-31 00:00 UTC." in known
    assert "no cost, from the cassette for $0.0200" in known
    assert "recorded in cassettes/s/abc/20260101T000000Z of the home" in known
    assert "Not all of it is recorded" not in known
    unkept = {"requests": {**trace["requests"], "unkept": "A reply could not be kept: the disk is full."}}
    assert "Not all of it is recorded: A reply could not be kept" in shown(replace(ended, trace=unkept))
    unknown = shown(replace(ended, contaminated=True))
    assert "The knowledge cutoff of a model of this run is not known" in unknown
    assert "first clean" not in unknown
    assert "ontaminated" not in shown(replace(ended, knowledge_cutoff="2025-06", contaminated=False))


def test_a_run_as_of_the_past_is_labelled_in_the_journal_and_others_need_no_column_for_that() -> None:
    own = _entry(1, "a", Status.SUCCESS, 1.0)
    replayed = replace(_entry(2, "a", Status.SUCCESS, 1.0), replay_id="1a2b3c4d", contaminated=True)
    clean = replace(_entry(3, "a", Status.SUCCESS, 1.0), replay_id="1a2b3c4d", contaminated=False)
    by_hand = replace(_entry(4, "a", Status.SUCCESS, 1.0), contaminated=True)
    lines = _journal(120, [own, replayed, clean, by_hand])
    assert "replay" in lines[1]
    assert [line for line in lines if "1a2b3c4d contaminated" in line] == [lines[4]]
    assert [line for line in lines if "by hand contaminated" in line] == [lines[6]]
    assert "contaminated" not in lines[3] + lines[5]
    assert "replay" not in _journal(120, [own])[1]


@pytest.mark.parametrize("room", [12, 30, 60, 80, 140])
def test_what_is_no_terminal_is_shown_the_same_lines(room: int) -> None:
    entries = [
        _entry(1, "比特币-趋势-比特币-趋势", Status.SUCCESS, 64_000.25),
        replace(_entry(2, "dip", Status.ERROR, None), error="交易所没有回答" * 20),
        replace(_entry(3, "dip", Status.SUCCESS, 1e-7), reasoning="It rises. " * 30, contaminated=True),
    ]
    lines = ["".join(text for text, _ in line) for line in table(entries, "Journal", room)]
    assert lines == _journal(room, entries)
    assert max(map(cell_len, lines)) <= room


@pytest.mark.parametrize(("variables", "expected"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colours_are_for_a_terminal_or_who_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    for name in LIKE_A_TERMINAL:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert on_terminal() is expected


def test_a_line_is_as_wide_as_rich_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("70", "", "wide"):
        monkeypatch.setenv("COLUMNS", columns)
        assert width() == Console(file=StringIO()).width
