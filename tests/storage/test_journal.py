import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic

import pytest

from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import BOTH, LIMIT_S, ON_A_FILE, away, journal_database, until_missed

pytestmark = pytest.mark.usefixtures("kept_in")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BOUGHT = Outcome(
    Status.SUCCESS,
    Signal("BUY", Decimal("62.5"), "it rose", 0.0000081, {"sub_agent_results": {"a": {"rsi": 28.1}}}),
    model="m",
    tokens_used=1234,
    cost_usd=Decimal("0.012345"),
    trace={"agents": [{"name": "a"}]},
)


def strategy(description: str = "") -> Strategy:
    config = {"trading_pair": "BTC/USD", "interval": "1h", "description": description, "rules": {"buy": "close > 1"}}
    return parse_strategy("s", config, None)


@pytest.fixture
def database(home: Path) -> Database:
    database: Database = journal_database(home, patience_s=0.2)
    return database


@pytest.fixture
def journal(home: Path, database: Database) -> Journal:
    return Journal(database, Home(home))


def claim(journal: Journal, *, what: Strategy | None = None) -> Claimed:
    return journal.claim(Run(what or strategy(), "manual", NOON, "rules", NOON + timedelta(seconds=5)))


def end(journal: Journal, claimed: Claimed, outcome: Outcome = BOUGHT) -> str | None:
    return journal.finish(claimed, outcome, NOON + timedelta(seconds=7)).waiting


@BOTH
def test_a_run_is_recorded_from_claim_to_signal(journal: Journal, database: Database) -> None:
    claimed = claim(journal)
    assert [entry.status for entry in journal.entries(outcomes="all")] == [Status.RUNNING]
    assert journal.entries() == []
    assert end(journal, claimed) is None
    (entry,) = journal.entries("s")
    assert (entry.signal, entry.confidence, entry.price, entry.why) == ("BUY", Decimal("62.50"), 0.0000081, "it rose")
    assert (entry.as_of, entry.started_at) == (NOON, NOON + timedelta(seconds=5))
    assert entry.cost_usd == Decimal("0.012345")
    assert journal.trace(claimed.execution_id) == {"agents": [{"name": "a"}]}
    (row,) = database.read(lambda c: c.execute("SELECT data, execution_time_ms FROM analysis_results").fetchall())
    assert row == ('{"sub_agent_results": {"a": {"rsi": 28.1}}}', 2000)


@BOTH
def test_text_that_looks_like_sql_is_kept_as_it_is_and_does_nothing(journal: Journal, database: Database) -> None:
    text = "'); DROP TABLE executions; -- ? $1 %s %(a)s {0} \"quoted\" \\' E'\\x27'"
    bought = replace(BOUGHT, signal=Signal("BUY", None, text, 1.0, {text: text}), model=text, trace={text: text})
    assert end(journal, claim(journal, what=strategy(text)), bought) is None
    assert end(journal, claim(journal, what=strategy(text)), Outcome(Status.ERROR, error=text)) is None
    query = (
        "SELECT s.description, e.model, a.reasoning, CAST(a.data AS VARCHAR), CAST(e.trace AS VARCHAR) "
        "FROM executions e JOIN strategies s ON s.id = e.strategy_id JOIN analysis_results a ON a.execution_id = e.id"
    )
    ((*texts, data, trace),) = database.read(lambda c: c.execute(query).fetchall())
    assert texts == [text] * 3
    assert [json.loads(data), json.loads(trace)] == [{text: text}] * 2
    assert [entry.why for entry in journal.entries(outcomes="all")] == [text] * 2


def test_a_run_without_a_signal_is_one_row_that_says_why_and_no_signal(journal: Journal, database: Database) -> None:
    end(journal, claim(journal), Outcome(Status.ABSTAINED, error="the candle is not there"))
    assert journal.entries() == []
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.signal, entry.why) == (Status.ABSTAINED, None, "the candle is not there")
    assert entry.cost_usd is None
    assert database.read(lambda c: c.execute("SELECT count(*) FROM analysis_results").fetchall()) == [(0,)]


def test_a_signal_belongs_to_success_and_to_nothing_else() -> None:
    for status in Status:
        if status is Status.SUCCESS:
            continue
        with pytest.raises(ValueError, match="belongs to success"):
            Outcome(status, BOUGHT.signal, error="x")
        with pytest.raises(ValueError, match="says why"):
            Outcome(status)


def test_only_a_failure_has_somebody_to_blame() -> None:
    assert Outcome(Status.TIMEOUT, error="x").blame == "strategy"
    for outcome in (Status.ABSTAINED, Status.SKIPPED_GATE, Status.MISSED, Status.DRIFT):
        assert Outcome(outcome, error="x").blame is None
        with pytest.raises(ValueError, match="blame"):
            Outcome(outcome, error="x", blame="outside")


OWN_FAILURES = [
    (Outcome(Status.ERROR, error="x"), True),
    (Outcome(Status.TIMEOUT, error="x", blame="outside"), None),
    (Outcome(Status.ERROR, error="x", blame="runner"), None),
    (Outcome(Status.SKIPPED_GATE, error="x"), None),
    (Outcome(Status.DRIFT, error="x"), None),
    (Outcome(Status.ABSTAINED, error="x"), False),
    (BOUGHT, False),
]


@pytest.mark.parametrize(("outcome", "own_failure"), OWN_FAILURES)
def test_the_column_of_failures_counts_those_that_the_strategy_is_to_blame_for(
    journal: Journal, database: Database, outcome: Outcome, own_failure: bool | None
) -> None:
    end(journal, claim(journal), outcome)
    assert database.read(lambda c: c.execute("SELECT own_failure FROM executions").fetchall()) == [(own_failure,)]


def test_the_strategies_table_mirrors_the_version_that_ran(journal: Journal, database: Database) -> None:
    first, second = strategy("one"), strategy("two")
    for what in (first, second, second):
        end(journal, claim(journal, what=what))
    rows = database.read(lambda c: c.execute("SELECT name, description, version FROM strategies").fetchall())
    assert rows == [("s", "two", second.version)]
    versions = database.read(lambda c: c.execute("SELECT strategy_version FROM executions ORDER BY id").fetchall())
    assert versions == [(first.version,), (second.version,), (second.version,)]


@BOTH
def test_an_outcome_that_cannot_be_entered_waits_in_the_outbox(
    journal: Journal, database: Database, home: Path
) -> None:
    claimed = claim(journal)
    with away(home) as who:
        said = end(journal, claimed)
        assert said is not None
        assert who in said
        with pytest.raises(Retryable):
            journal.entries()
    assert [file.name for file in (home / "outbox").iterdir()] == [f"{claimed.key}.json"]
    journal.settle()
    (entry,) = journal.entries()
    assert (entry.signal, entry.completed_at) == ("BUY", NOON + timedelta(seconds=7))
    assert list((home / "outbox").iterdir()) == []


def test_an_outcome_is_entered_once_however_often_it_is_settled(
    journal: Journal, database: Database, home: Path
) -> None:
    claimed = claim(journal)
    with away(home):
        end(journal, claimed)
    waiting = next((home / "outbox").iterdir())
    content = waiting.read_bytes()
    for _ in range(2):
        waiting.write_bytes(content)
        journal.settle()
    assert len(journal.entries()) == 1


def test_no_run_starts_while_a_shell_holds_the_file(journal: Journal, database: Database, home: Path) -> None:
    journal.entries()
    with away(home), pytest.raises(Retryable):
        claim(journal)
    assert journal.entries(outcomes="all") == []
    assert list((home / "running").iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from tests.storage.test_journal import Home, Journal, claim, journal_database
home = Home(Path(sys.argv[1]))
claim(Journal(journal_database(home.root), home))
os.kill(os.getpid(), 9)
"""


def test_a_run_that_was_killed_ends_as_an_error_and_one_that_lives_does_not(
    journal: Journal, database: Database, home: Path
) -> None:
    alive = claim(journal)
    with ForkedScript(KILLED, str(home)) as killed_program:
        killed_program.communicate()
    assert [entry.status for entry in journal.entries(outcomes="all")] == [Status.RUNNING, Status.RUNNING]
    until_missed(database)
    journal.settle()
    killed, running = journal.entries(outcomes="all")
    assert (killed.status, running.status) == (Status.ERROR, Status.RUNNING)
    assert killed.why is not None
    assert killed.why.startswith("interrupted")
    end(journal, alive)
    assert [entry.signal for entry in journal.entries()] == ["BUY"]


def test_an_outcome_left_by_a_process_that_is_gone_counts_more_than_its_absence(
    journal: Journal, database: Database, home: Path
) -> None:
    claimed = claim(journal)
    with away(home):
        end(journal, claimed)
    (home / "running" / claimed.key).write_text("")
    journal.settle()
    assert [entry.status for entry in journal.entries(outcomes="all")] == [Status.SUCCESS]


def test_only_what_was_asked_for_is_listed(journal: Journal) -> None:
    for _ in range(3):
        end(journal, claim(journal))
    assert [entry.execution_id for entry in journal.entries(limit=2)] == [3, 2]
    assert journal.entries("other") == []
    assert journal.entries(until=NOON - timedelta(seconds=1)) == []
    assert len(journal.entries(until=NOON + timedelta(seconds=2))) == 3
    assert [entry.execution_id for entry in journal.entries(before=3, limit=1)] == [2]
    assert journal.entries(before=1) == []


def test_a_run_that_had_not_answered_by_a_moment_was_under_way_then_and_had_no_signal(journal: Journal) -> None:
    end(journal, claim(journal))  # it is as of noon, and took two seconds
    before = NOON + timedelta(seconds=1)
    assert journal.entries(until=before) == []
    (entry,) = journal.entries(until=before, outcomes="all")
    assert (entry.status, entry.signal, entry.why, entry.cost_usd, entry.completed_at) == ("running", *[None] * 4)
    (entry,) = journal.entries(until=NOON + timedelta(seconds=2), outcomes="all")
    assert (entry.status, entry.signal) == ("success", "BUY")


def test_an_outcome_with_a_number_that_is_none_is_an_error_and_not_a_signal(journal: Journal) -> None:
    wrong = Outcome(Status.SUCCESS, Signal("BUY", None, "x", None, {"rsi": float("nan")}), cost_usd=Decimal("0.5"))
    assert end(journal, claim(journal), wrong) is None
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.signal, entry.cost_usd) == (Status.ERROR, None, Decimal("0.5"))
    assert "cannot be kept" in (entry.why or "")


UNKEEPABLE = {
    "half a character": Outcome(Status.SUCCESS, Signal("BUY", None, "up \ud83d")),
    "half a character in the trace": Outcome(Status.SUCCESS, Signal("BUY", None, "x"), trace={"said": "\ud83d"}),
    "a confidence beyond 100": Outcome(Status.SUCCESS, Signal("BUY", Decimal(101), "x")),
    "a price that is none": Outcome(Status.SUCCESS, Signal("BUY", None, "x", float("nan"))),
    "a cost beyond measure": Outcome(Status.SUCCESS, Signal("BUY", None, "x"), cost_usd=Decimal("1e14")),
}


@pytest.mark.parametrize("outcome", UNKEEPABLE.values(), ids=UNKEEPABLE.keys())
def test_whatever_an_outcome_holds_its_row_ends(journal: Journal, home: Path, outcome: Outcome) -> None:
    end(journal, claim(journal), outcome)
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.signal) == (Status.ERROR, None)
    assert "cannot be kept" in (entry.why or "")
    assert list((home / "running").iterdir()) == []


def test_an_outcome_that_can_be_kept_nowhere_is_ended_as_interrupted_later(
    journal: Journal, database: Database, home: Path
) -> None:
    claimed = claim(journal)
    (home / "outbox").rmdir()
    (home / "outbox").write_text("in the way")
    with away(home), pytest.raises(Misconfigured, match="outbox"):
        end(journal, claimed)
    (home / "outbox").unlink()
    deadline = monotonic() + LIMIT_S
    while (entry := journal.entries(outcomes="all")[0]).status == Status.RUNNING and monotonic() < deadline:
        journal.settle()  # in Postgres it judges nobody until its own session is there again
    assert (entry.status, (entry.why or "")[:11]) == (Status.ERROR, "interrupted")


@ON_A_FILE
def test_an_outcome_waits_until_the_database_that_has_its_row_is_back(
    journal: Journal, database: Database, home: Path
) -> None:
    claimed = claim(journal)
    with away(home):
        end(journal, claimed)
    aside = database.path.rename(home / "aside.duckdb")
    end(journal, claim(journal), Outcome(Status.ABSTAINED, error="another run, with the same number"))
    assert len(list((home / "outbox").iterdir())) == 1
    aside.replace(database.path)
    journal.settle()
    assert [entry.signal for entry in journal.entries(outcomes="all")] == ["BUY"]
