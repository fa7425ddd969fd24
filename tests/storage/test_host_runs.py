"""Runs that wait for a host's own model: claimed once, ended once, whoever looks, and not confused with runs here."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.home import Home
from mcp_server.storage.journal.interrupted import KILLED
from mcp_server.storage.journal.journal_state import journal_state
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.journal_databases import ON_A_FILE, journal_database

pytestmark = pytest.mark.usefixtures("kept_in")

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
CONFIG = {"trading_pair": "BTC/USDT", "interval": "1h", "synthesis_logic": "Decide."}
STRATEGY = parse_strategy("asked", CONFIG, {"a": {"description": "d", "prompt": "p", "tools": ["get_price"]}})
BUY = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "Because."))


def journal_of(home: Path) -> Journal:
    at = Home(home)
    return Journal(journal_database(home), at)


@pytest.fixture
def journal(home: Path) -> Journal:
    return journal_of(home)


def run(after_s: int = 0, engine: str = "host") -> Run:
    now = NOON + timedelta(seconds=after_s)
    answer_by = now + timedelta(seconds=60) if engine == "host" else None
    return Run(STRATEGY, "manual", now, engine, now, answer_by=answer_by)  # type: ignore[arg-type]


def status(journal: Journal) -> list[str]:
    return [entry.status for entry in journal.entries(outcomes="all")]


def test_of_two_answers_at_once_one_is_entered_and_the_other_told_so(home: Path, journal: Journal) -> None:
    claimed = journal.host_runs.claim(run())
    ends = [journal_of(home).host_runs, journal.host_runs]
    outcomes = [BUY, Outcome(Status.ABSTAINED, error="nothing")]
    with ThreadPoolExecutor(2) as pool:
        ended = [*pool.map(lambda at: ends[at].end(claimed, STRATEGY, outcomes[at], NOON), (0, 1))]
    assert ended.count(None) == 1
    (entered,) = [one for one in ended if one is not None]
    assert status(journal) == [entered.outcome.status]
    again = journal.host_runs.read(claimed.execution_id, "asked")
    assert (again.open, again.status) == (False, entered.outcome.status)


def test_of_two_claims_at_once_both_get_the_same_run(home: Path, journal: Journal) -> None:
    claims = [journal_of(home).host_runs, journal.host_runs]
    journal.end_orphans(NOON)  # the database is there
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda at: claims[at].claim(run()), (0, 1))
    assert one == other
    assert status(journal) == ["running"]


def test_an_answer_at_the_very_end_of_its_time_is_too_late(journal: Journal) -> None:
    claimed = journal.host_runs.claim(run())
    assert journal.host_runs.end(claimed, STRATEGY, BUY, claimed.answer_by) is None
    assert status(journal) == ["timeout"]


def test_an_outcome_that_cannot_be_kept_is_entered_as_an_error(journal: Journal) -> None:
    claimed = journal.host_runs.claim(run())
    odd = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "Because.", data={"x": float("nan")}))
    ended = journal.host_runs.end(claimed, STRATEGY, odd, NOON)
    assert ended is not None
    assert (ended.outcome.status, ended.outcome.cost_usd) == ("error", None)
    assert status(journal) == ["error"]


def test_what_a_killed_process_left_is_interrupted_and_a_hosts_run_beside_it_goes_on(journal: Journal) -> None:
    killed = journal.claim(run(engine="rules"))
    assert killed.liveness is not None
    killed.liveness.close(forget=False)
    journal.host_runs.claim(run())
    journal.settle(NOON)
    journal.end_orphans(NOON)
    host, rules = journal.entries(outcomes="all")
    assert (host.status, rules.status, rules.error) == ("running", "error", KILLED)


def test_a_run_here_goes_on_while_that_of_a_host_ends(journal: Journal) -> None:
    journal.host_runs.claim(run())
    here = journal.claim(run(30, engine="rules"))
    journal.settle(NOON + timedelta(minutes=2))
    assert status(journal) == ["running", "timeout"]
    assert journal.under_way("asked") == [here.execution_id]
    journal.finish(here, Outcome(Status.ABSTAINED, error="x"), NOON)


@ON_A_FILE
def test_nothing_is_written_while_no_run_of_a_host_is_due(home: Path, journal: Journal) -> None:
    journal.host_runs.claim(run())
    before = Home(home).database.stat().st_mtime_ns
    journal.settle(NOON + timedelta(seconds=59))
    assert Home(home).database.stat().st_mtime_ns == before
    journal.settle(NOON + timedelta(seconds=60))
    assert status(journal) == ["timeout"]
    assert list(Home(home).running.iterdir()) == []


def test_how_things_stand_shows_a_run_as_over_before_anybody_has_entered_it(home: Path, journal: Journal) -> None:
    journal.host_runs.claim(run())
    database = journal_database(home)
    seen = [journal_state(database, NOON + timedelta(seconds=after)).last["asked"].run.status for after in (30, 60)]
    assert (seen, status(journal)) == (["running", "timeout"], ["running"])
