"""Replays in the journal: one row for each moment, taken up again where it was stopped, within what was allowed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import NotFound, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.replays import ReplayTerms
from mcp_server.storage.journal.rows import Claimed, Run, is_final
from mcp_server.storage.journal.runs import Journal
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import ON_A_FILE, away, journal_database
from tests.rigs.sampled import sampled
from tests.runner.conftest import trader_in

pytestmark = pytest.mark.usefixtures("kept_in")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 9, 1, tzinfo=UTC)
CONFIG = {"trading_pair": "BTC/USD", "interval": "4h", "engine": "claude", "synthesis_logic": "Decide."}
AGENTS = {"one": {"description": "Looks", "prompt": "Use get_price.", "tools": ["get_price"]}}
ASKED = parse_strategy("asked", CONFIG, AGENTS)
TERMS = ReplayTerms("asked", "0123456789ab", NOON, NOON + timedelta(days=3), "4h", ("two", "one"))
LIMIT = Decimal("0.5")
BOUGHT = Outcome(
    Status.SUCCESS,
    Signal("BUY", Decimal("62.5"), "it rose", 0.0000081, {"sub_agent_results": {"a": {"rsi": 28.1}}}),
    model="m",
    tokens_used=1234,
    cost_usd=Decimal("0.02"),
    recorded_usd=Decimal("0.03"),
    knowledge_cutoff="2026-06",
    contaminated=True,
)
OUTAGE = Outcome(Status.ERROR, error="overloaded", blame="outside", cost_usd=Decimal("0.01"))
UNKNOWN = Outcome(Status.ERROR, error="stopped", blame="runner")


@pytest.fixture
def database(home: Path) -> Database:
    database: Database = journal_database(home, patience_s=0.2)
    return database


@pytest.fixture
def journal(home: Path, database: Database) -> Journal:
    """A journal with one replay, which may spend 2 USD."""
    journal = Journal(database, Home(home))
    with journal.replays.open(TERMS, ASKED, Decimal(2), NOW):
        pass
    return journal


def moment(number: int = 0, replay_id: str = TERMS.id) -> Run:
    return Run(ASKED, "replay", NOON + number * timedelta(hours=4), "claude", NOW, replay_id=replay_id)


def end(journal: Journal, claimed: Claimed, outcome: Outcome = BOUGHT) -> None:
    journal.finish(claimed, outcome, claimed.run.started_at + timedelta(seconds=7))


def kill(journal: Journal, claimed: Claimed) -> None:
    """Do what kill -9 does to a run, and what the next program then does."""
    assert claimed.liveness is not None
    claimed.liveness.close(forget=False)
    journal.settle()


def admit(journal: Journal, claimed: Claimed) -> str:
    return journal.replays.admit(claimed.execution_id, TERMS.id, LIMIT, NOW).answer


def spent(journal: Journal) -> tuple[str, str]:
    """Return what is spent and what is reserved, in US dollars."""
    spent = journal.replays.spent(TERMS.id)
    return f"{spent.ended:.2f}", f"{spent.reserved:.2f}"


def test_the_same_terms_go_on_with_the_same_replay_and_any_other_is_another(journal: Journal) -> None:
    later = NOW + timedelta(days=1)
    berlin = timedelta(hours=2)
    same = replace(TERMS, without=("one", "two"), since=TERMS.since.astimezone(tz=UTC))
    with journal.replays.open(same, ASKED, Decimal(3), later) as again:
        pass
    assert again == journal.replays.read(TERMS.id)
    assert (again.id, again.terms, again.max_usd) == (TERMS.id, replace(TERMS, without=("one", "two")), Decimal(3))
    assert (again.started_at, again.opened_at, again.strategy_version) == (NOW, later, ASKED.version)
    others: list[dict[str, Any]] = [{"strategy": "other"}, {"decision_version": "ba9876543210"}, {"every": None}]
    others += [{"since": TERMS.since + berlin}, {"until": TERMS.until + berlin}, {"without": ("one",)}]
    others += [{"contaminated": True}, {"rerun": True}, {"repeat": 1}]
    ids = {TERMS.id, *(replace(TERMS, **other).id for other in others)}
    assert len(ids) == 1 + len(others)
    assert all(len(id_) == 8 and int(id_, 16) >= 0 for id_ in ids)


def test_the_replays_of_a_strategy_are_told_and_what_is_none_is_said_to_be_none(journal: Journal) -> None:
    rerun = replace(TERMS, rerun=True, every=None, without=(), repeat=2)
    with journal.replays.open(rerun, ASKED, Decimal(0), NOW + timedelta(hours=1)):
        pass
    assert [replay.terms for replay in journal.replays.of("asked")] == [rerun, replace(TERMS, without=("one", "two"))]
    assert [replay.terms.id for replay in journal.replays.of("asked")] == [rerun.id, TERMS.id]
    assert journal.replays.of("other") == []
    with pytest.raises(NotFound, match="ffffffff"):
        journal.replays.read("ffffffff")


def test_a_row_of_a_replay_tells_its_moment_its_money_and_whether_it_is_contaminated(journal: Journal) -> None:
    end(journal, journal.claim(moment(1)))
    end(journal, journal.claim(moment(0)), OUTAGE)
    rows = journal.replays.rows(TERMS.id)
    assert [*rows] == [NOON, NOON + timedelta(hours=4)]
    row = rows[NOON + timedelta(hours=4)]
    assert (row.status, row.signal) == ("success", "BUY")
    assert (row.cost_usd, row.recorded_usd) == (Decimal("0.02"), Decimal("0.03"))
    assert (row.contaminated, row.is_open) == (True, False)
    assert (rows[NOON].error, rows[NOON].signal, rows[NOON].contaminated) == ("overloaded", None, None)
    assert rows[NOON].is_open


def test_a_moment_has_one_row_in_its_replay_and_may_have_one_in_another(journal: Journal) -> None:
    first = journal.claim(moment())
    with pytest.raises(Retryable, match=f"run {first.execution_id}"):
        journal.claim(moment())
    end(journal, first)
    with pytest.raises(Retryable, match="has its row already"):
        journal.claim(moment())
    end(journal, journal.claim(moment(replay_id="00000000")))
    assert len(journal.replays.rows(TERMS.id)) == len(journal.replays.rows("00000000")) == 1


OPEN = [
    OUTAGE,
    Outcome(Status.TIMEOUT, error="x", blame="outside"),
    Outcome(Status.ERROR, error="stopped", blame="runner"),
    Outcome(Status.MISSED, error="x", **NOTHING_SPENT),
    Outcome(Status.SKIPPED_BUDGET, error="x", **NOTHING_SPENT),
]
FINAL = [
    BOUGHT,
    Outcome(Status.ABSTAINED, error="x"),
    Outcome(Status.ERROR, error="x"),
    Outcome(Status.TIMEOUT, error="x"),
    Outcome(Status.SKIPPED_GATE, error="x"),
    Outcome(Status.DRIFT, error="x"),
]


@ON_A_FILE
def test_a_replay_takes_up_again_what_ended_for_a_reason_outside_and_nothing_else() -> None:
    assert [outcome for outcome in [*OPEN, *FINAL] if is_final(outcome)] == FINAL


@pytest.mark.parametrize("outcome", sampled(OPEN, 2), ids=lambda outcome: f"{outcome.status}, {outcome.blame}")
def test_what_ended_for_a_reason_outside_is_taken_up_again_in_its_row(journal: Journal, outcome: Outcome) -> None:
    first = journal.claim(moment())
    end(journal, first, outcome)
    assert journal.replays.rows(TERMS.id)[NOON].is_open
    later = replace(moment(), started_at=NOW + timedelta(hours=1))
    again = journal.claim_again(first.execution_id, later)
    assert again.key != first.key
    row = journal.replays.rows(TERMS.id)[NOON]
    assert (row.status, row.error, row.cost_usd) == ("running", None, None)
    end(journal, again, replace(BOUGHT, cost_usd=Decimal("0.02")))
    (entry,) = journal.entries("asked", replayed=True)
    assert (entry.execution_id, entry.started_at) == (first.execution_id, later.started_at)
    assert entry.cost_usd == Decimal("0.02") + (outcome.cost_usd or 0)


@pytest.mark.parametrize("outcome", sampled(FINAL, 3), ids=lambda outcome: f"{outcome.status}, {outcome.blame}")
def test_what_is_final_is_never_run_again(journal: Journal, outcome: Outcome) -> None:
    first = journal.claim(moment())
    end(journal, first, outcome)
    before = journal.replays.rows(TERMS.id)
    assert not before[NOON].is_open
    with pytest.raises(Retryable, match="cannot be taken up again"):
        journal.claim_again(first.execution_id, moment())
    assert journal.replays.rows(TERMS.id) == before


def test_a_row_is_taken_up_again_for_its_own_replay_and_moment_alone_and_never_while_it_runs(journal: Journal) -> None:
    running, ended = journal.claim(moment()), journal.claim(moment(1))
    end(journal, ended, OUTAGE)
    wrong = [(running.execution_id, moment()), (ended.execution_id, moment()), (ended.execution_id + 1, moment(1))]
    wrong += [(ended.execution_id, moment(1, "00000000"))]
    for execution_id, run in wrong:
        with pytest.raises(Retryable, match="cannot be taken up again"):
            journal.claim_again(execution_id, run)
    assert [row.status for row in journal.replays.rows(TERMS.id).values()] == ["running", "error"]
    again = journal.claim_again(ended.execution_id, moment(1))
    with pytest.raises(Retryable):
        journal.claim_again(ended.execution_id, moment(1))
    end(journal, running)
    end(journal, again)


def test_a_run_that_was_killed_is_interrupted_and_taken_up_again(journal: Journal) -> None:
    first = journal.claim(moment())
    kill(journal, first)
    row = journal.replays.rows(TERMS.id)[NOON]
    assert (row.status, row.is_open) == ("error", True)
    again = journal.claim_again(first.execution_id, moment())
    journal.settle()
    journal.end_orphans()
    assert journal.replays.rows(TERMS.id)[NOON].status == "running"
    end(journal, again)
    assert journal.replays.rows(TERMS.id)[NOON].signal == "BUY"


def test_one_process_at_a_time_works_on_a_replay_and_another_is_told_which(journal: Journal, home: Path) -> None:
    program = (
        "import sys; from decimal import Decimal; from pathlib import Path; "
        "from tests.storage.test_replays import *; root = Path(sys.argv[1]); "
        "journal = Journal(journal_database(root), Home(root)); "
        "opened = journal.replays.open(TERMS, ASKED, Decimal(2), NOW); opened.__enter__(); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with ForkedScript(program, str(home)) as other:
        assert other.stdout.readline() == "open\n"
        with (
            pytest.raises(Retryable, match=f"process {other.pid}"),
            journal.replays.open(TERMS, ASKED, Decimal(2), NOW),
        ):
            pass
        with journal.replays.open(replace(TERMS, rerun=True), ASKED, Decimal(2), NOW):
            pass  # another replay is not held up
    with journal.replays.open(TERMS, ASKED, Decimal(2), NOW) as replay:
        assert replay.pid != other.pid


def test_a_replay_admits_a_run_where_its_money_has_room_for_it_and_its_last_turn(journal: Journal) -> None:
    first, second, third = (journal.claim(moment(number)) for number in range(3))
    assert [admit(journal, run) for run in (first, second, third)] == ["yes", "yes", "wait"]  # 2 * 1.00 + 0.50 > 2
    assert spent(journal) == ("0.00", "1.00")
    end(journal, first, replace(BOUGHT, cost_usd=Decimal("0.2")))
    assert admit(journal, third) == "yes"  # 0.20 + 2 * 0.50 + 0.50
    end(journal, second, replace(BOUGHT, cost_usd=Decimal("0.9")))
    end(journal, third, replace(BOUGHT, cost_usd=Decimal("0.5")))
    assert spent(journal) == ("1.60", "0.00")
    fourth = journal.claim(moment(3))
    refused = journal.replays.admit(fourth.execution_id, TERMS.id, LIMIT, NOW)
    assert refused.answer == "no"
    assert all(part in refused.why for part in ("1.60", "0.50", "2.00", "--max-usd"))
    with journal.replays.open(TERMS, ASKED, Decimal("2.1"), NOW):
        assert admit(journal, fourth) == "yes"  # it has been allowed more, to the cent
    end(journal, fourth)


def test_a_run_admitted_again_is_not_counted_beside_itself(journal: Journal) -> None:
    run = journal.claim(moment())
    assert [admit(journal, run) for _ in range(3)] == ["yes", "yes", "yes"]
    end(journal, run)


def test_the_money_of_a_killed_attempt_counts_until_the_cost_of_its_row_is_known(journal: Journal) -> None:
    first = journal.claim(moment())
    assert first.payer == first.key
    assert admit(journal, first) == "yes"
    kill(journal, first)
    assert spent(journal) == ("0.50", "0.00")
    again = journal.claim_again(first.execution_id, moment())
    assert again.payer == first.key  # so that it knows the replies that the killed attempt has paid
    assert spent(journal) == ("0.00", "0.50")  # before it is admitted anew
    end(journal, again, Outcome(Status.TIMEOUT, error="no server", blame="outside", **NOTHING_SPENT))
    assert spent(journal) == ("0.50", "0.00")  # this attempt met none of those replies: their price is still unknown
    third = journal.claim_again(first.execution_id, moment())
    assert (third.payer, admit(journal, third)) == (first.key, "yes")
    end(journal, third, replace(BOUGHT, cost_usd=Decimal("0.07")))
    assert spent(journal) == ("0.07", "0.00")


def test_what_attempts_are_known_to_have_cost_is_added_up(journal: Journal) -> None:
    first = journal.claim(moment())
    admit(journal, first)
    end(journal, first, OUTAGE)
    second = journal.claim_again(first.execution_id, moment())
    assert second.payer == second.key
    assert spent(journal) == ("0.01", "0.00")
    admit(journal, second)
    assert spent(journal) == ("0.01", "0.50")
    end(journal, second, OUTAGE)
    assert spent(journal) == ("0.02", "0.00")
    third = journal.claim_again(first.execution_id, moment())
    admit(journal, third)
    kill(journal, third)
    assert spent(journal) == ("0.52", "0.00")
    fourth = journal.claim_again(first.execution_id, moment())
    assert fourth.payer == third.key
    end(journal, fourth)
    assert spent(journal) == ("0.04", "0.00")


def test_a_run_that_was_killed_before_it_was_admitted_has_cost_nothing(journal: Journal) -> None:
    first = journal.claim(moment())
    kill(journal, first)
    assert spent(journal) == ("0.00", "0.00")
    end(journal, journal.claim_again(first.execution_id, moment()), UNKNOWN)
    assert spent(journal) == ("0.00", "0.00")


def test_a_replay_that_leaves_sub_agents_out_changes_nothing_of_what_the_journal_says_of_the_strategy(
    journal: Journal, database: Database
) -> None:
    query = "SELECT id, version, agents, updated_at FROM strategies"
    before = database.read(lambda c: c.execute(query).fetchall())
    later = NOW + timedelta(days=1)
    ablated = parse_strategy("asked", CONFIG, {"two": AGENTS["one"]})
    with journal.replays.open(TERMS, ablated, Decimal(2), later):
        first = journal.claim(replace(moment(), strategy=ablated, started_at=later))
        end(journal, first, OUTAGE)
        end(journal, journal.claim_again(first.execution_id, replace(moment(), strategy=ablated, started_at=later)))
    assert database.read(lambda c: c.execute(query).fetchall()) == before
    assert journal.ran_version("asked", later + timedelta(hours=1)) is None
    (version,) = database.read(lambda c: c.execute("SELECT strategy_version FROM executions").fetchall())
    assert version == (ablated.version,)


@ON_A_FILE
def test_the_command_line_lists_the_runs_of_replays_by_themselves_with_their_label(
    journal: Journal, home: Path
) -> None:
    end(journal, journal.claim(moment()))
    trader = trader_in(home)
    assert "Nothing is recorded" in trader("signals").out
    (run,) = json.loads(trader("signals", "asked", "--replayed", "--json").out)["signals"]
    assert (run["replay_id"], run["contaminated"], run["knowledge_cutoff"]) == (TERMS.id, True, "2026-06")
    assert (run["trigger"], run["signal"], run["recorded_usd"], run["cost_usd"]) == ("replay", "BUY", 0.03, 0.02)
    shown = trader("signals", "--replayed").out
    assert f"{TERMS.id} contaminated" in shown
    assert shown.startswith("Signals of replays")


def test_an_outcome_that_waited_in_the_outbox_has_its_label_and_one_of_an_older_version_needs_none(
    journal: Journal, home: Path
) -> None:
    claimed, older = journal.claim(moment()), journal.claim(moment(1))
    with away(home):
        for run in (claimed, older):
            assert journal.finish(run, BOUGHT, NOW + timedelta(seconds=7)).waiting
    file = home / "outbox" / f"{older.key}.json"
    document = json.loads(file.read_text())
    for name in ("recorded_usd", "knowledge_cutoff", "contaminated"):
        assert document.pop(name) is not None
    file.write_text(json.dumps(document))
    journal.settle()
    second, first = journal.entries(replayed=True)
    assert (first.signal, first.recorded_usd, first.knowledge_cutoff, first.contaminated) == (
        "BUY",
        Decimal("0.03"),
        "2026-06",
        True,
    )
    assert (second.signal, second.cost_usd) == ("BUY", Decimal("0.02"))
    assert (second.recorded_usd, second.knowledge_cutoff, second.contaminated) == (None, None, None)
