"""What came of each signal is entered once, by whoever settles it first, and never changes."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.strategy import Strategy
from tests.rigs.forked_script import ForkedScript
from tests.scheduler.slot_homes import at, hourly
from tests.storage.outcome_homes import FAILED, OutcomeHome, ids, judged, signalled, void

pytestmark = pytest.mark.usefixtures("kept_in")

WEEK = at("12T00:00")
COLUMNS = "execution_id, state, entry_price, exit_price, r, cost_bps, funding_bps, horizon_s, definition, settled_at"


@pytest.fixture
def one(home: Path) -> OutcomeHome:
    return OutcomeHome(home)


def settled(one: OutcomeHome) -> list[tuple[object, ...]]:
    return one.rows(f"SELECT {COLUMNS} FROM outcomes ORDER BY execution_id")


def test_only_a_run_with_a_signal_is_due_from_when_its_answer_came(one: OutcomeHome) -> None:
    what = hourly(horizon="4h")
    live = one.run(what, at("12:00"), signalled("BUY"))
    one.run(what, at("13:00"), FAILED)
    held = one.run(what, at("14:00"), signalled("HOLD"), ended_at=at("16:30"))
    by_hand = one.run(what, at("08:00"), signalled("SELL"), "manual", ended_at=at("20:00"))
    replayed = one.run(what, at("09:00"), signalled("SELL"), "replay", ended_at=at("21:00"))
    seven = timedelta(seconds=7)
    answered = {
        live: at("12:00") + seven,
        held: at("16:30"),
        by_hand: at("08:00") + seven,
        replayed: at("09:00") + seven,
    }
    due = one.outcomes.due(WEEK)
    assert {run.execution_id: run.answered_ms for run in due} == {
        run: round(moment.timestamp() * 1000) for run, moment in answered.items()
    }
    assert [run.terms for run in due] == [terms_of(what, "rules", "kraken")] * 4
    assert [run.decided_ms for run in due] == [
        round(moment.timestamp() * 1000) for moment in (at("12:00"), at("14:00"), at("08:00"), at("09:00"))
    ]
    assert ids(one.outcomes.due(at("16:29"))) == [live, by_hand, replayed]
    assert ids(one.outcomes.due(at("08:00") + seven)) == [by_hand]
    assert ids(one.outcomes.due(at("08:00") + timedelta(seconds=6))) == []


def test_an_outcome_is_entered_once_and_never_changes(one: OutcomeHome) -> None:
    for hour in range(4):
        one.run(hourly(), at(f"{hour:02}:00"), signalled("BUY"))
    runs = one.outcomes.due(WEEK)
    one.outcomes.add([judged(runs[0], 0.02), void(runs[1])], WEEK)
    first = settled(one)
    assert first == [
        (1, "judged", 100.0, 102.0, 0.02, 30.0, 0.0, 86_400, "1", WEEK.replace(tzinfo=None)),
        (2, "void", None, None, None, 30.0, None, 86_400, "1", WEEK.replace(tzinfo=None)),
    ]
    assert ids(one.outcomes.due(WEEK)) == [3, 4]
    other = [judged(runs[1], 0.5), judged(runs[0], -0.5), judged(runs[2], 0.1), judged(runs[2], 0.1)]
    one.outcomes.add(other, WEEK + timedelta(days=1))
    assert settled(one)[:2] == first
    assert [row[0] for row in settled(one)] == [1, 2, 3]
    one.outcomes.add([], WEEK)
    assert ids(one.outcomes.due(WEEK)) == [4]


def test_times_of_an_outcome_are_its_entry_and_its_exit(one: OutcomeHome) -> None:
    one.run(hourly(horizon="4h"), at("12:00"), signalled("SELL"))
    (run,) = one.outcomes.due(WEEK)
    one.outcomes.add([judged(run)], WEEK)
    times = [at(time).replace(tzinfo=None) for time in ("12:00", "16:00")]
    assert one.rows("SELECT entry_time, exit_time FROM outcomes") == [tuple(times)]


def test_outcomes_are_added_all_or_none(one: OutcomeHome) -> None:
    one.run(hourly(), at("12:00"), signalled("HOLD"))
    (run,) = one.outcomes.due(WEEK)
    many = [replace(judged(run), execution_id=number) for number in range(1, 241)]
    unheard: Any = "right"
    with pytest.raises(one.database.refusals):
        one.outcomes.add([*many[:-1], replace(many[-1], state=unheard)], WEEK)
    assert settled(one) == []
    assert one.outcomes.due(WEEK) == [run]
    one.outcomes.add(many, WEEK)
    assert len(settled(one)) == 240


SETTLES = """
import os, sys
from datetime import timedelta
from pathlib import Path
from tests.storage.outcome_homes import OutcomeHome, judged
from tests.storage.test_outcomes import WEEK

who, kills = int(sys.argv[2]), sys.argv[3] == "kills"
home = OutcomeHome(Path(sys.argv[1]))
Database = type(home.database)
write = Database.write
def killed(self, work):
    write(self, lambda connection: (work(connection), os._exit(9)))
due = home.outcomes.due(WEEK)
print(len(due), flush=True)
sys.stdin.readline()
if kills:
    Database.write = killed
home.outcomes.add([judged(run, who / 1000) for run in due], WEEK + timedelta(days=who))
"""


def settler(home: Path, who: int, how: str) -> ForkedScript:
    return ForkedScript(SETTLES, str(home), str(who), how)


def test_two_processes_that_settle_at_once_add_one_row_a_signal(one: OutcomeHome, home: Path) -> None:
    for minute in range(4):
        one.run(hourly(), at(f"12:{minute:02}"), signalled("BUY"))
    with settler(home, 1, "ends") as first, settler(home, 2, "ends") as second:
        for process in (first, second):
            assert process.stdout.readline() == "4\n", "both see all of them as due"
        for process in (first, second):
            process.stdin.write("\n")
            process.stdin.flush()
        for process in (first, second):
            process.communicate()
            assert process.returncode == 0
    rows = settled(one)
    assert [row[0] for row in rows] == [*range(1, 5)]
    assert len({(row[4], row[-1]) for row in rows}) == 1, "the rows of one of them, whole"


def test_a_process_that_is_killed_before_it_commits_leaves_all_of_it_due(one: OutcomeHome, home: Path) -> None:
    for minute in range(3):
        one.run(hourly(), at(f"12:{minute:02}"), signalled("BUY"))
    with settler(home, 1, "kills") as killed:
        killed.communicate("\n")
        assert killed.returncode == 9
    assert settled(one) == []
    runs = one.outcomes.due(WEEK)
    assert len(runs) == 3
    one.outcomes.add([judged(run) for run in runs], WEEK)
    assert one.outcomes.due(WEEK) == []


def older(one: OutcomeHome, *versions: Strategy) -> None:
    """Let each version of a strategy have run, by a program that stored no terms."""
    for number, what in enumerate(versions):
        one.folders.write(what)
        one.run(what, at(f"{number:02}:00"), signalled("BUY"))
    one.forget_terms()


def test_an_older_run_is_judged_by_the_version_that_ran(one: OutcomeHome) -> None:
    first, second, third = (hourly(horizon=horizon, costs={"fee_bps": 7}) for horizon in ("2h", "3h", "5h"))
    older(one, first, second, third)
    assert [run.terms for run in one.outcomes.due(WEEK)] == [
        terms_of(what, "rules", "kraken") for what in (first, second, third)
    ]


def test_an_older_run_whose_version_was_not_kept_is_judged_by_what_is_known(one: OutcomeHome) -> None:
    gone, there = hourly(horizon="2h"), hourly(horizon="9h")
    one.run(gone, at("01:00"), signalled("BUY"))
    one.forget_terms()
    assert by(one) == terms_of(gone, "rules", "kraken"), "the journal has that version"
    one.folders.write(there)
    assert by(one) == terms_of(gone, "rules", "kraken"), "the version that ran, before the present one"
    another = [json.dumps(hourly(horizon="4h").config_json())]
    one.database.write(lambda c: c.execute("UPDATE strategies SET version = 'another', config = ?", another))
    assert by(one) == terms_of(there, "rules", "kraken"), "the strategy's folder as it is now"
    one.folders.write(hourly())
    assert by(one).horizon_s == 86_400, "a default"


def by(one: OutcomeHome) -> Terms:
    (run,) = one.outcomes.due(WEEK)
    return run.terms


def test_an_older_run_of_a_strategy_that_no_check_passes_today_has_its_own_costs(one: OutcomeHome) -> None:
    what = hourly(costs={"fee_bps": 1})
    short = what.model_copy(update={"config": what.config.model_copy(update={"horizon": "5m"})})
    older(one, short)
    assert by(one) == terms_of(what, "rules", "kraken")
    one.folders.write(hourly())
    assert by(one) == terms_of(what, "rules", "kraken"), "kept, as it was"


def test_an_older_run_of_a_journal_that_says_nothing_has_defaults(one: OutcomeHome) -> None:
    one.run(hourly(), at("01:00"), signalled("BUY"))
    one.forget_terms()
    nothing = ['{"trading_pair": "ETH/USD", "interval": "2y"}']
    one.database.write(lambda c: c.execute("UPDATE strategies SET config = ?, version = 'x'", nothing))
    terms = by(one)
    assert (terms.exchange, terms.symbol, terms.horizon_s, terms.cost_bps) == ("kraken", "ETH/USD", 86_400, 30.0)


def frozen(one: OutcomeHome) -> list[tuple[object, ...]]:
    return one.rows("SELECT horizon_s, exchange FROM executions ORDER BY id")


def test_the_terms_of_older_runs_are_written_with_the_first_outcome_and_never_move(one: OutcomeHome) -> None:
    older(one, hourly(horizon="2h"), hourly(horizon="3h"))
    due = one.outcomes.due(WEEK)
    one.outcomes.records(WEEK)
    one.outcomes.add([], WEEK)
    assert frozen(one) == [(None, None)] * 2, "to look writes nothing"
    one.outcomes.add([judged(due[0])], WEEK)
    assert frozen(one) == [(7_200, "kraken"), (10_800, "kraken")]
    one.folders.write(hourly(horizon="8h"))
    moved = one.journal.outcomes(one.folders, "coinbase")
    moved.freeze()
    assert [run.terms for run in moved.due(WEEK)] == [due[1].terms]
    assert frozen(one) == [(7_200, "kraken"), (10_800, "kraken")]


def test_what_a_run_was_claimed_with_is_never_derived_anew(one: OutcomeHome) -> None:
    older(one, hourly(horizon="2h"))
    one.run(hourly(horizon="2h"), at("05:00"), signalled("SELL"))
    one.database.write(lambda c: c.execute("UPDATE executions SET horizon_s = 60 WHERE id = 2"))
    one.outcomes.freeze()
    assert frozen(one) == [(7_200, "kraken"), (60, "kraken")]
