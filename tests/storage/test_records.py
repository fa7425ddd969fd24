"""What scoring reads of the journal: kinds and deciders apart, and nothing that a moment did not know."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from mcp_server.domain.outcome import Outcome, SlotRow, Status, Trigger
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.records import JournalRecord
from mcp_server.storage.journal.slots import SlotStore
from tests.rigs.journal_databases import ON_A_FILE
from tests.scheduler.slot_homes import at, claim, hourly, missed
from tests.storage.outcome_homes import FAILED, OutcomeHome, judged, signalled, void

pytestmark = pytest.mark.usefixtures("kept_in")

WEEK = at("12T00:00")


@pytest.fixture
def one(home: Path) -> OutcomeHome:
    return OutcomeHome(home)


def shown(record: JournalRecord) -> dict[str, list[Any]]:
    """Return the arrays of a record as lists; NaN is None."""
    arrays = {name: getattr(record, name) for name in record.__slots__ if name not in ("strategy", "kind", "terms")}
    return {
        name: [None if value != value else value for value in array.tolist()]  # noqa: PLR0124 (NaN is not itself)
        for name, array in arrays.items()
        if isinstance(array, np.ndarray)
    }


def test_a_record_has_each_run_that_was_asked_for_a_signal(one: OutcomeHome) -> None:
    what = hourly()
    abstained = Outcome(Status.ABSTAINED, error="it cannot say", cost_usd=None)
    timed_out = Outcome(Status.TIMEOUT, error="it took too long", cost_usd=None)
    for number, outcome in enumerate(
        (signalled("BUY"), signalled("SELL", None, None), signalled("HOLD", 55), FAILED, abstained, timed_out)
    ):
        one.run(what, at(f"{number:02}:00"), outcome)
    runs = one.outcomes.due(WEEK)
    one.outcomes.add([replace(judged(runs[0], 0.02), funding_bps=1.5), void(runs[1])], WEEK)
    (record,) = one.outcomes.records(WEEK)
    assert (record.strategy, record.kind, record.terms, record.missed) == (
        "s",
        "live",
        terms_of(what, "rules", "kraken"),
        0,
    )
    hours = [round(at(f"{hour:02}:00").timestamp() * 1000) for hour in range(6)]
    assert shown(record) == {
        "execution_id": [1, 2, 3, 4, 5, 6],
        "decided_ms": hours,
        "answered_ms": [hour + 7000 for hour in hours],
        "status": [0, 0, 0, 2, 1, 3],
        "signal": [1, -1, 0, 2, 2, 2],
        "confidence": [0.6, None, 0.55, None, None, None],
        "cost_usd": [0.01, None, 0.01, 0.02, None, None],
        "state": [1, 2, 0, 0, 0, 0],
        "entry_ms": [*hours[:2], 0, 0, 0, 0],
        "exit_ms": [*(hour + 86_400_000 for hour in hours[:2]), 0, 0, 0, 0],
        "r": [0.02, None, None, None, None, None],
        "cost_bps": [30.0, 30.0, None, None, None, None],
        "funding_bps": [1.5, None, None, None, None, None],
    }


def test_slots_that_did_not_run_are_counted_apart(one: OutcomeHome, home: Path) -> None:
    store = SlotStore(one.database, one.journal._home, "kraken")
    store.open()
    gated = SlotRow(Status.SKIPPED_GATE, at("10:00"), at("10:00"), 1, "It did not hold.")
    passed = [missed("02:00", "09:00", 8), gated]
    (claimed,) = store.claim([claim(hourly(), "01:00", "12:00", *passed)], at("12:00")).started
    (record,) = one.outcomes.records(WEEK)
    assert (record.missed, len(record.status)) == (9, 0), "one that runs is nothing yet"
    one.journal.finish(claimed, signalled("BUY"), at("12:01"))
    (record,) = one.outcomes.records(WEEK)
    assert (record.missed, len(record.status)) == (9, 1)
    assert one.outcomes.records(at("11:59")) == [], "it was only then noticed that they were missed"


def test_a_rerun_that_drifted_is_in_no_record_and_counts_as_no_slot(one: OutcomeHome) -> None:
    drifted = Outcome(Status.DRIFT, error="The prompt of sub-agent 'a' changed.")
    one.run(hourly(), at("01:00"), drifted, trigger="replay")
    assert one.outcomes.records(WEEK) == []
    one.run(hourly(), at("02:00"), signalled("BUY"), trigger="replay")
    one.run(hourly(), at("03:00"), drifted, trigger="replay")
    (record,) = one.outcomes.records(WEEK)
    assert (record.execution_id.tolist(), record.missed) == ([2], 0)


def test_kinds_and_what_decides_are_never_mixed(one: OutcomeHome) -> None:
    first, second = hourly(), hourly(rules={"timeframe": "1h", "buy": "close > 2"})
    for number, (what, trigger) in enumerate([
        (first, "schedule"), (second, "schedule"), (first, "manual"), (hourly("b"), "schedule"), (first, "replay"),
        (hourly(status="paused", budget={"usd_per_day": 1}), "schedule"),
    ]):  # fmt: skip
        kind: Trigger = trigger  # type: ignore[assignment]
        one.run(what, at(f"{number:02}:00"), signalled("BUY"), kind)
    records = one.outcomes.records(WEEK)
    assert [(r.strategy, r.kind, r.terms.decision_version, r.execution_id.tolist()) for r in records] == [
        ("b", "live", hourly("b").decision_version("kraken"), [4]),
        ("s", "live", second.decision_version("kraken"), [2]),
        ("s", "live", first.decision_version("kraken"), [1, 6]),
        ("s", "manual", first.decision_version("kraken"), [3]),
        ("s", "replay", first.decision_version("kraken"), [5]),
    ], "the present one last"
    some = one.outcomes.records(WEEK, strategy="s", kind="live", since=at("01:00"))
    assert [r.execution_id.tolist() for r in some] == [[2], [6]]
    assert one.outcomes.records(WEEK, strategy="other") == []


def test_runs_by_a_hosts_own_model_are_a_kind_of_their_own(one: OutcomeHome) -> None:
    one.run(hourly(), at("12:00"), signalled("BUY"), "manual")
    one.database.write(lambda c: c.execute("UPDATE executions SET engine = 'host'"))
    assert [record.kind for record in one.outcomes.records(WEEK)] == ["host"]


def test_the_terms_of_a_record_are_those_of_its_latest_run(one: OutcomeHome) -> None:
    one.run(hourly(horizon="2h"), at("12:00"), signalled("BUY"))
    one.run(hourly(horizon="5h"), at("11:00"), signalled("BUY"))
    (record,) = one.outcomes.records(WEEK)
    assert record.terms.horizon_s == 18_000
    assert record.execution_id.tolist() == [2, 1], "by the moment that they decided on"


def test_older_runs_and_new_ones_of_one_decider_are_one_record(one: OutcomeHome) -> None:
    one.folders.write(hourly(description="before"))
    one.run(hourly(description="before"), at("12:00"), signalled("BUY"))
    one.forget_terms()
    one.folders.write(hourly())
    one.run(hourly(), at("13:00"), FAILED)
    (record,) = one.outcomes.records(WEEK)
    assert record.execution_id.tolist() == [1, 2]
    one.outcomes.freeze()
    (same,) = one.outcomes.records(WEEK)
    assert (shown(same), same.terms) == (shown(record), record.terms)


def test_an_outcome_is_known_ten_minutes_after_its_exit_whenever_it_was_settled(one: OutcomeHome) -> None:
    one.run(hourly(horizon="2h"), at("12:00"), signalled("BUY"))
    one.outcomes.add([judged(run) for run in one.outcomes.due(WEEK)], WEEK + timedelta(days=30))
    known = at("14:10")
    assert [record.state.tolist() for record in one.outcomes.records(known)] == [[1]]
    (before,) = one.outcomes.records(known - timedelta(milliseconds=1))
    assert (before.state.tolist(), shown(before)["r"], before.exit_ms.tolist()) == ([0], [None], [0])


def test_outcomes_that_are_not_in_the_journal_are_told_as_if_they_were(one: OutcomeHome) -> None:
    for hour in range(4):
        one.run(hourly(), at(f"{hour:02}:00"), signalled("BUY"))
    runs = one.outcomes.due(WEEK)
    one.outcomes.add([judged(runs[0], 0.5)], WEEK)
    computed = [judged(runs[0], 0.9), judged(runs[1], 0.1), void(runs[3])]
    (record,) = one.outcomes.records(WEEK, computed=computed)
    one.outcomes.add(computed, WEEK)
    (stored,) = one.outcomes.records(WEEK)
    assert shown(record) == shown(stored)
    assert shown(stored)["r"] == [0.5, 0.1, None, None]


@ON_A_FILE
@pytest.mark.parametrize(
    "moments", [["11:47"], pytest.param(["06:20", "11:47", "16:30"], marks=pytest.mark.long)], ids=len
)
def test_a_moment_in_the_past_knows_what_a_home_knew_that_was_cut_off_then(tmp_path: Path, moments: list[str]) -> None:
    """Runs overlap and outlast each other, and two horizons and two rules take turns."""
    whole = OutcomeHome(tmp_path / "whole")
    answered = {}
    for hour in range(16):
        rules = {"timeframe": "1h", "buy": f"close > {hour // 6}"}
        what = hourly("ab"[hour % 2], horizon=f"{2 + hour % 3}h", rules=rules)
        outcome = FAILED if hour % 5 == 0 else signalled("SELL" if hour % 3 else "BUY")
        trigger: Trigger = "manual" if hour % 4 == 3 else "schedule"
        as_of = at(f"{hour:02}:00")
        ended_at = as_of + timedelta(minutes=1 + hour * 37 % 180)
        run = whole.run(what, as_of, outcome, trigger, ended_at=ended_at)
        answered[run] = ended_at if trigger == "schedule" else as_of + timedelta(seconds=7)
    whole.outcomes.add([judged(run, run.execution_id / 100) for run in whole.outcomes.due(WEEK)], WEEK)
    for moment in map(at, moments):
        cut = _cut_off(whole, tmp_path / f"{moment:%H%M}", moment, {run for run in answered if answered[run] > moment})
        mine, its = (_told(home, moment) for home in (whole, cut))
        assert mine == its
        assert sum(len(record["r"]) for *_, record in mine) == sum(answered[run] <= moment for run in answered)


def _cut_off(whole: OutcomeHome, root: Path, moment: datetime, later: set[int]) -> OutcomeHome:
    """Return the home as it was at a moment: some runs were still under way then, or had not begun."""
    home = OutcomeHome(root)
    root.mkdir()
    whole.database.copy(home.database.path)
    known_by = naive(moment - timedelta(minutes=10))

    def forget(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("DELETE FROM outcomes WHERE exit_time > ?", [known_by])
        for run in later:
            connection.execute("DELETE FROM analysis_results WHERE execution_id = ?", [run])
            connection.execute("UPDATE executions SET status = 'running', completed_at = NULL WHERE id = ?", [run])
        connection.execute("DELETE FROM executions WHERE as_of > ?", [naive(moment)])

    home.database.write(forget)
    return home


def _told(home: OutcomeHome, moment: datetime) -> list[tuple[Any, ...]]:
    return [(r.strategy, r.kind, r.terms, r.missed, shown(r)) for r in home.outcomes.records(moment)]
