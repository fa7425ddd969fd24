"""`claude-trader signals --csv`: what a spreadsheet or a program reads of the journal."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Outcome, Signal, SlotRow, Status
from mcp_server.domain.strategy.parse import parse_strategy
from runner.cli import signals
from tests.rigs.sample_runs import SampleRun, enter_runs
from tests.runner.conftest import Command
from tests.storage.outcome_homes import FAILED, OutcomeHome

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RULES = parse_strategy("mine", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 0"}}, None)


def said(reasoning: str, confidence: str = "60") -> Outcome:
    return Outcome(Status.SUCCESS, Signal("BUY", Decimal(confidence), reasoning, price=0.0000081), cost_usd=Decimal(0))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_column_of_json_is_there_and_every_signal_newest_first(trader: Command, home: Path) -> None:
    ended = {T0 + timedelta(hours=hour): said(f'because, "{hour}"\nand more') for hour in range(23)}
    ended[T0 + timedelta(hours=30)] = FAILED
    runs = [SampleRun(RULES, SlotRow(Status.RUNNING, slot, slot), outcome) for slot, outcome in ended.items()]
    enter_runs(OutcomeHome(home).database, "one", runs)
    done = trader("signals", "--csv")
    assert (done.code, done.err) == (0, "")
    rows = rows_of(done.out)
    as_json = trader("signals", "--json", "--limit", "10000").json["signals"]
    assert [list(row) for row in rows] == [list(row) for row in as_json], "not the 20 of the table"
    assert [row["execution_id"] for row in rows] == [str(row["execution_id"]) for row in as_json]
    newest, same = rows[0], as_json[0]
    assert newest["reasoning"] == 'because, "22"\nand more'
    assert (newest["error"], float(newest["price"]), newest["as_of"]) == ("", 0.0000081, same["as_of"])
    assert len(rows_of(trader("signals", "--csv", "--limit", "3").out)) == 3
    assert rows_of(trader("signals", "--csv", "--all").out)[0]["error"] == "it broke"


def test_a_strangers_text_is_no_formula_and_hides_nothing(trader: Command, home: Path) -> None:
    stored = OutcomeHome(home)
    texts = ["=HYPERLINK(A1)", "+1", "-2", "@SUM(A1)", "\t=1", "＝1", "\x1b[31m=1", "a = b", "\u202e=1"]  # noqa: RUF001
    for hour, text in enumerate(texts):
        stored.run(RULES, T0 + timedelta(hours=hour), said(text))
    cells = [row["reasoning"] for row in reversed(rows_of(trader("signals", "--csv").out))]
    assert cells == ["'=HYPERLINK(A1)", "'+1", "'-2", "'@SUM(A1)", "'=1", "'＝1", "[31m=1", "a = b", "'=1"]  # noqa: RUF001


def test_records_end_as_rfc_4180_has_it_and_an_empty_journal_has_a_header(trader: Command) -> None:
    done = trader("signals", "--csv")
    assert done.code == 0
    assert done.out.strip().split(",")[:3] == ["execution_id", "strategy", "engine"]
    assert "replay_id" in trader("signals", "--csv", "--replayed").out
    assert signals._line(["a", "b\nc", 'd"', None]) == b'a,"b\nc","d""",\r\n'


def test_a_journal_is_read_in_parts_and_no_signal_is_lost_between_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    stored = OutcomeHome(home)
    ids = [stored.run(RULES, T0 + timedelta(hours=hour), said("why")) for hour in range(5)]
    monkeypatch.setattr(signals, "AT_ONCE", 2)
    monkeypatch.setenv("TRADER_HOME", str(home))
    for limit, expected in ((None, ids[::-1]), (3, ids[:1:-1]), (4, ids[:0:-1])):
        signals.signals(limit=limit, as_csv=True)
        rows = rows_of(capsysbinary.readouterr().out.decode())
        assert [int(row["execution_id"]) for row in rows] == expected


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["--csv", "--json"], "both"), (["rsi-revertion", "--csv"], "Did you mean 'rsi-reversion'")],
)
def test_wrong_use_is_refused(trader: Command, arguments: list[str], problem: str) -> None:
    done = trader("signals", *arguments)
    assert done.code == 2
    assert problem in done.err + done.out
