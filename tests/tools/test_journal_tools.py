from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.journal_databases import journal_database
from tests.tools.conftest import NOW, Ask, answer_of

REASON = "It rose, " * 60
BUY = Outcome(Status.SUCCESS, Signal("BUY", Decimal("62.5"), REASON, 0.0000081), cost_usd=Decimal("0.0123"))


@pytest.fixture(autouse=True)
def _recorded(home: Path, kept_in: None) -> None:
    """Two runs of one strategy, a day apart: a signal, and one that could not decide."""
    journal = Journal(journal_database(home), Home(home))
    what = parse_strategy("mine", {"trading_pair": "A/B", "interval": "1h", "rules": {"buy": "close > 1"}}, None)

    def record(as_of: datetime, outcome: Outcome) -> None:
        journal.finish(journal.claim(Run(what, "manual", as_of, "rules", NOW)), outcome, NOW)

    record(NOW - timedelta(days=2), BUY)
    record(NOW - timedelta(days=1), Outcome(Status.ABSTAINED, error="the candle is not there"))


async def test_signals_are_listed_with_price_confidence_cost_and_reason(ask: Ask) -> None:
    said = await ask("list_signals")
    (row,) = said["rows"]
    assert row[:9] == [1, "2026-05-18T12:17:33Z", "mine", "rules", "success", "BUY", 62.5, 0.0000081, 0.0123]
    assert (len(row[9]), row[9][-1]) == (200, "…")
    assert "detail='full'" in said["note"]
    assert (await ask("list_signals", detail="full"))["rows"][0][9] == REASON


async def test_what_ended_without_a_signal_is_listed_on_request_with_why(ask: Ask) -> None:
    said = await ask("list_signals", outcomes="all")
    first, second = said["rows"]
    slots = ["scheduled_at", "slots", "scheduled_until", "trigger", "outcome", "net_pct", "exit_time"]
    assert said["columns"][-7:] == slots
    assert first[3:10] == ["rules", "abstained", None, None, None, None, "the candle is not there"]
    assert first[10:] == [None, 1, None, "manual", None, None, None]
    assert (second[5], second[-4:]) == ("BUY", ["manual", "pending", None, "2026-05-19T13:00Z"])
    assert len((await ask("list_signals", outcomes="all", limit=1))["rows"]) == 1


async def test_missed_slots_say_from_when_to_when_they_were_due_and_how_many_they_were(ask: Ask, home: Path) -> None:
    missed = (
        "INSERT INTO executions (strategy_id, strategy_version, trigger, scheduled_at, slots, scheduled_until, as_of, "
        "engine, started_at, status, error_message, run_key) VALUES (1, 'v', 'schedule', TIMESTAMP '2026-05-20 02:00', "
        "7, TIMESTAMP '2026-05-20 08:00', TIMESTAMP '2026-05-20 08:00', 'rules', TIMESTAMP '2026-05-20 09:00', "
        "'missed', 'the machine slept', 'k')"
    )
    journal_database(home).write(lambda c: c.execute(missed))
    row, *_ = (await ask("list_signals", outcomes="all"))["rows"]
    assert (row[4], row[9:12]) == ("missed", ["the machine slept", "2026-05-20T02:00Z", 7])
    assert row[12:] == ["2026-05-20T08:00Z", "schedule", None, None, None]


async def test_that_no_scheduler_runs_is_part_of_why_there_is_no_signal(
    ask: Ask, home: Path, settings: ServerSettings
) -> None:
    def note(said: dict[str, Any]) -> str:
        return str(said.get("note"))

    assert "No scheduler is running" in note(await ask("list_signals", outcomes="all"))
    assert "scheduler" not in note(await ask("list_signals"))
    heartbeat = Heartbeat(Home(home).heartbeat)
    heartbeat.write(Beat(1, NOW, NOW - timedelta(hours=5), 0))
    assert "No scheduler is running since 2026-05-20T07:17:33Z" in note(await ask("list_signals", outcomes="all"))
    heartbeat.write(Beat(1, NOW, NOW, 0))
    assert "scheduler" not in note(await ask("list_signals", outcomes="all"))
    heartbeat.remove()
    clamped = settings.model_copy(update={"as_of": NOW - timedelta(days=1)})
    async with Client(build_server(clamped, clock=lambda: NOW)) as client:
        said = answer_of(await client.call_tool("list_signals", {"outcomes": "all"}))
    assert "scheduler" not in note(said), "that is about the present"


@pytest.mark.parametrize(
    ("signal", "state", "r", "verdict", "net_pct"),
    [
        ("BUY", "judged", 0.01, "right", 0.65),  # by hand: 1 %, less 0.05 % of fundings, less 0.3 % of costs
        ("SELL", "judged", 0.01, "wrong", -1.25),  # a short position is paid the fundings
        pytest.param("SELL", "judged", -0.004, "right", 0.15, marks=pytest.mark.long),
        pytest.param("BUY", "judged", 0.0035, "wrong", 0.0, marks=pytest.mark.long),
        ("HOLD", "judged", 0.01, None, None),
        ("BUY", "void", None, "void", None),
    ],
)
async def test_what_became_of_a_signal_is_told_from_ten_minutes_after_its_exit(
    ask: Ask, home: Path, signal: str, state: str, r: float | None, verdict: str | None, net_pct: float | None
) -> None:
    async def entered(exit_time: datetime) -> list[Any]:
        prices = (None, None) if r is None else (100.0, 100 * (1 + r))
        row = [1, exit_time - timedelta(hours=1), prices[0], exit_time, prices[1], r, 30.0, 5.0, 3_600, "1", state, NOW]
        values = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row]

        def work(connection: Any) -> None:
            connection.execute("DELETE FROM outcomes")
            connection.execute("UPDATE analysis_results SET signal = ?", [signal])
            connection.execute(f"INSERT INTO outcomes VALUES ({', '.join('?' * 12)})", values)

        journal_database(home).write(work)
        (row,) = (await ask("list_signals", outcomes="all", before=2))["rows"]
        return list(row[-3:])

    known = NOW.replace(microsecond=0) - timedelta(minutes=10)
    rounded = None if net_pct is None else pytest.approx(net_pct, abs=1e-9)
    assert await entered(known) == [verdict, rounded, "2026-05-20T12:07:33Z"]
    pending = "pending" if signal != "HOLD" else None
    assert await entered(known + timedelta(milliseconds=1)) == [pending, None, pending and "2026-05-19T13:00Z"]


async def test_older_ones_are_asked_for_by_the_number_of_a_run_and_reasonings_can_be_left_out(ask: Ask) -> None:
    older = await ask("list_signals", outcomes="all", before=2, detail="none")
    assert [row[0] for row in older["rows"]] == [1]
    assert "reasoning" not in older["columns"]
    assert len(older["columns"]) == len(older["rows"][0])
    assert "before 1 is recorded" in (await ask("list_signals", before=1))["note"]


async def test_page_after_page_gives_each_run_once_the_newest_first(ask: Ask, home: Path) -> None:
    copies = (
        "INSERT INTO executions (strategy_id, strategy_version, trigger, as_of, engine, started_at, completed_at, "
        "status, error_message, run_key) SELECT strategy_id, strategy_version, trigger, as_of, engine, started_at, "
        "completed_at, status, error_message, CAST(number AS VARCHAR) "
        "FROM executions, generate_series(1, 5) AS g(number) WHERE id = 2"
    )
    journal_database(home).write(lambda connection: connection.execute(copies))
    pages, before = list[list[int]](), None
    while not pages or len(pages[-1]) == 3:
        answer = await ask("list_signals", outcomes="all", limit=3, before=before)
        pages.append([row[0] for row in answer["rows"]])
        before = pages[-1][-1]
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]


async def test_a_strategy_without_signals_is_named(ask: Ask) -> None:
    said = await ask("list_signals", strategy_name="other")
    assert (said["rows"], said["note"]) == (
        [],
        "No signal of 'other' is recorded by then. run_strategy or `claude-trader run NAME` records one.",
    )


async def test_signals_of_later_moments_are_not_told_to_a_server_of_the_past(settings: ServerSettings) -> None:
    clamped = settings.model_copy(update={"as_of": NOW - timedelta(days=1, minutes=1)})
    async with Client(build_server(clamped, clock=lambda: NOW)) as client:
        said = answer_of(await client.call_tool("list_signals", {"outcomes": "all"}))
    assert [row[0] for row in said["rows"]] == [1]
