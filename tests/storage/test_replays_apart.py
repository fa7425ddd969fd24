"""A replay changes nothing of what the journal says of a strategy's own runs: money, last runs, failures, records."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Outcome, Signal, SlotRow, Status
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal import slot_history, slot_rows
from mcp_server.storage.journal.budget import SpendingLimits, admit, spent
from mcp_server.storage.journal.journal_state import journal_state
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.journal_databases import journal_database
from tests.rigs.sample_runs import SampleRun, enter_runs
from tests.storage.test_replays import ASKED, BOUGHT, OUTAGE, TERMS

pytestmark = pytest.mark.usefixtures("kept_in")

NOW = datetime(2026, 5, 20, 12, 17, tzinfo=UTC)
DAY = NOW.replace(hour=0, minute=0)
SLOT = NOW.replace(minute=0)
EVERY = timedelta(hours=4)
DATA = {"twin": {"signal": "SELL"}, "sub_agent_results": {"one": {"leans": "SELL"}}}
SOLD = replace(BOUGHT, signal=Signal("SELL", Decimal(80), "it fell", 1.0, DATA), cost_usd=Decimal("0.40"))
FAILED = Outcome(Status.ERROR, error="no such tool", cost_usd=Decimal("0.30"))
OWN = replace(BOUGHT, cost_usd=Decimal("0.10"), recorded_usd=None, contaminated=None, knowledge_cutoff=None)


@pytest.fixture
def database(home: Path) -> Database:
    database: Database = journal_database(home)
    return database


@pytest.fixture
def journal(home: Path, database: Database) -> Journal:
    """A journal of a strategy whose last slots failed, after one with a signal, and which then was run by hand."""
    outcomes = [OWN, FAILED, FAILED]
    slots = [SLOT - number * EVERY for number in (2, 1, 0)]
    runs = [
        SampleRun(ASKED, SlotRow(Status.RUNNING, slot, slot), outcome)
        for slot, outcome in zip(slots, outcomes, strict=True)
    ]
    at = NOW - timedelta(minutes=5)
    by_hand = SampleRun(ASKED, SlotRow(Status.RUNNING, at, at), OWN, trigger="manual", began_at=at)
    enter_runs(database, "process", [*runs, by_hand])
    database.write(lambda c: c.execute("UPDATE strategies SET scheduled_since = '2026-05-01'"))
    return Journal(database, Home(home))


def replay(journal: Journal) -> None:
    """Replay moments up to the present, with every kind of end; one is still under way."""
    with journal.replays.open(TERMS, ASKED, Decimal(50), NOW):
        for number, outcome in enumerate([SOLD, SOLD, FAILED, FAILED, FAILED, OUTAGE, None]):
            as_of = NOW - timedelta(hours=number)
            claimed = journal.claim(Run(ASKED, "replay", as_of, "claude", NOW, replay_id=TERMS.id))
            assert journal.replays.admit(claimed.execution_id, TERMS.id, Decimal("0.5"), NOW).answer == "yes"
            if outcome is not None:
                journal.finish(claimed, outcome, NOW)


def views(journal: Journal, database: Database) -> Mapping[str, Any]:
    """Return everything that is read of a strategy's own runs."""
    now, then = journal_state(database, NOW), journal_state(database, NOW + timedelta(hours=1), then=True)
    return {
        "last": (now.last, then.last),
        "spent": [
            (s.spent(today=today), s.spent("asked", today=today)) for s in (now, then) for today in (True, False)
        ],
        "running": sum(cost.running for cost in then.costs),
        "marks": now.marks,
        "versions": (then.ran, journal.ran_version("asked", NOW + timedelta(hours=1))),
        "budget": database.read(lambda c: spent(c, DAY, DAY + timedelta(days=1), "asked")),
        "failures": slot_history.failures(database, "asked", 99),
        "horizon": slot_history.next_horizon(database, NOW - timedelta(days=9)),
        "decided by": slot_history.last_decided_by(database),
        "under way": database.read(slot_rows.running),
        "taken": database.read(lambda c: slot_rows.taken(c, [*range(99)], NOW - timedelta(days=9), NOW)),
        "estimate": journal.costs("asked"),
        "entries": journal.entries(outcomes="all"),
    }


def test_a_replay_changes_nothing_of_what_is_known_of_a_strategys_own_runs_but_the_record_of_costs(
    journal: Journal, database: Database
) -> None:
    before = views(journal, database)
    assert (before["failures"], before["estimate"].mean_usd) == (2, Decimal("0.2"))
    own = {entry.execution_id for entry in journal.entries(outcomes="all")}
    replay(journal)
    for name, view in views(journal, database).items():
        assert view == before[name], name
    (costs,) = journal.day_costs(DAY, NOW + timedelta(hours=1))
    assert (costs.runs, costs.cost_usd) == (4, Decimal("0.80"))
    assert costs.replay_usd == Decimal("0.40") * 2 + Decimal("0.30") * 3 + Decimal("0.01") + Decimal("0.5")
    replayed = {entry.execution_id for entry in journal.entries(replayed=True)}
    stated = journal.statements("asked")
    assert own.isdisjoint(replayed)
    assert {*stated.twin} == {*stated.leans["one"]} == replayed, "a record looks for its own runs alone"


def test_a_run_after_a_replay_has_the_budget_of_the_day_and_follows_the_signal_of_the_last_slot(
    journal: Journal, database: Database
) -> None:
    replay(journal)
    claimed = journal.claim(Run(ASKED, "manual", NOW, "claude", NOW))
    limits = SpendingLimits(Decimal("0.2"), Decimal(1), Decimal(1))
    assert admit(database, claimed.execution_id, "asked", limits, NOW).answer == "yes", "the replay would have spent it"
    assert journal.finish(claimed, OWN, NOW).before == "BUY", "and no signal of the replay"


def test_a_run_that_a_cassette_gave_for_nothing_is_estimated_at_what_it_once_cost(journal: Journal) -> None:
    claimed = journal.claim(Run(ASKED, "manual", NOW - timedelta(days=9), "claude", NOW))
    journal.finish(claimed, replace(OWN, cost_usd=Decimal(0), recorded_usd=Decimal("0.50")), NOW)
    costs = journal.costs("asked")
    assert (costs.runs, costs.mean_usd) == (5, Decimal("0.26"))
