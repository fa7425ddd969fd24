"""What TRADER_DATABASE_URL changes: the journal is in Postgres, candles stay in the file; answers are the same."""

import gc
import json
import warnings
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.domain.outcome import Status
from mcp_server.errors import Retryable
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import RunEnd
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.connection import PostgresConnection
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.tables import TABLES
from runner.cli.context import Context
from runner.doctor import facts
from runner.settings import RunnerSettings
from tests.rigs.forked_script import ForkedScript
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url, until_missed
from tests.runner.conftest import trader_in
from tests.scheduler.hand_driven import Engine, make_scheduler
from tests.scheduler.slot_homes import Machine, at
from tests.storage.queries.conftest import NOW, START, record
from tests.storage.test_database import held_by_a_shell
from tests.storage.test_journal import BOUGHT, claim, end

pytestmark = IN_POSTGRES


@pytest.fixture
def url(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The programs of this home have their journal in an empty Postgres."""
    made = postgres_url()
    monkeypatch.setenv("TRADER_DATABASE_URL", made)
    monkeypatch.setenv("TRADER_HOME", str(home))
    return made


def test_the_journal_is_in_postgres_and_candles_stay_in_the_homes_file(url: str, home: Path) -> None:
    context = Context()
    assert isinstance(context.journal_database, PostgresDatabase)
    assert isinstance(context.database, Database)
    record(home, context.journal_database)
    rows = [
        database.read(lambda c: c.execute("SELECT count(*) FROM executions").fetchone())
        for database in (context.journal_database, context.database)
    ]
    candles = context.database.read(lambda c: c.execute("SELECT count(*) FROM candles").fetchone())
    assert (rows, candles) == ([(30,), (0,)], (240,))
    assert abs(context.clock.now() - context.journal_database.now()) < timedelta(seconds=5)
    context.journal_database.close()


EACH_TABLE = [f"SELECT * FROM {table}" for table in TABLES if table != "candles"]
QUESTIONS = [
    "SELECT count(*), max(close) FROM candles",
    "SELECT s.name, e.status, count(*) AS n, sum(e.cost_usd) FROM executions e JOIN strategies s "
    "ON s.id = e.strategy_id GROUP BY ALL ORDER BY ALL",
    "SELECT trace->>'turns' FROM executions LIMIT 3",
    "SELECT a.signal, o.r FROM outcomes o JOIN analysis_results a USING (execution_id)",
]
MOMENTS = (NOW, START + timedelta(days=3, seconds=8))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with candles and the URL of its journal, for all that only ask."""
    home, url = tmp_path_factory.mktemp("there") / "home", postgres_url()
    database = PostgresDatabase(PostgresAddress.of(url))
    record(home, database)
    database.close()
    return home, url


@pytest.mark.parametrize(
    ("questions", "ways"),
    [
        pytest.param(QUESTIONS, [(MOMENTS[1], True)], id="some"),
        pytest.param([*EACH_TABLE, *QUESTIONS], [*product(MOMENTS, (False, True))], id="all", marks=pytest.mark.long),
    ],
)
def test_a_question_about_the_journal_is_answered_as_by_a_file(
    there: tuple[Path, str], tmp_path: Path, questions: list[str], ways: list[tuple[datetime, bool]]
) -> None:
    home, url = there
    record(tmp_path / "file")
    for sql, (moment, in_a_run) in product(questions, ways):
        asked = (sql, moment, 500, 200, 5.0)
        in_file = answer(Question(tmp_path / "file", *asked, in_a_run=in_a_run))
        in_postgres = answer(Question(home, *asked, in_a_run=in_a_run, journal_url=url))
        assert in_postgres["rows"] or "news" in sql or "backtests" in sql or moment < NOW or "outcomes" in sql
        assert _without_times(in_postgres) == _without_times(in_file), sql


def test_a_question_about_the_journal_leaves_the_homes_file_alone(there: tuple[Path, str]) -> None:
    home, url = there

    def ask(sql: str) -> list[list[Any]]:
        rows: list[list[Any]] = answer(Question(home, sql, NOW, 500, 200, 5.0, 0.2, journal_url=url))["rows"]
        return rows

    both = "SELECT (SELECT count(*) FROM candles), (SELECT count(*) FROM executions)"
    assert ask(both) == [[240, 30]]
    with held_by_a_shell(Home(home).database):
        assert ask("SELECT count(*) FROM executions JOIN strategies s ON s.id = strategy_id") == [[30]]
        assert ask("SELECT count(*) > 9 FROM journal_columns") == [[True]]
        with pytest.raises(Retryable, match="process"):
            ask(both)


def test_a_question_reads_no_more_of_postgres_than_it_needs(
    there: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    home, url = there
    execute = PostgresConnection.execute

    def noted(self: PostgresConnection, query: str, parameters: Any = None, /) -> Any:
        asked.append(query)
        return execute(self, query, parameters)

    monkeypatch.setattr(PostgresConnection, "execute", noted)
    answer(Question(home, "SELECT status FROM executions WHERE id = 3", NOW, 500, 200, 5.0, journal_url=url))
    (copied,) = [query for query in asked if "FROM executions" in query]
    assert '"status"' in copied
    assert "trace" not in copied
    assert "reasoning" not in " ".join(asked)


def _without_times(reply: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from one home to another: when a strategy was first noted, and keys of runs."""
    kept = [at for at, column in enumerate(reply["columns"]) if column not in ("run_key", "payer")]
    return {**reply, "rows": [[row[at] for at in kept] for row in reply["rows"]]}


@pytest.mark.long
async def test_query_journal_and_the_overview_read_postgres(url: str, home: Path) -> None:
    """Both this and the commands: in short `test_same_answers` asks them too."""
    database = PostgresDatabase(PostgresAddress.of(url))
    record(home, database)
    database.close()
    async with Client(build_server(ServerSettings.load(), clock=lambda: NOW)) as client:
        reply = await client.call_tool("query_journal", {"sql": "SELECT count(*) FROM executions"})
        assert reply.structured_content["rows"] == [[30]]
        listed = await client.call_tool("list_signals", {"limit": 2})
        assert len(listed.structured_content["rows"]) == 2


@pytest.mark.long
def test_the_commands_work_on_postgres(url: str, home: Path) -> None:
    record(home, database := PostgresDatabase(PostgresAddress.of(url)))
    database.close()
    trader = trader_in(home)
    shown = [trader(*words) for words in (
        ("signals", "--json"), ("status", "--json"), ("journal", "prune", "--before", "2026-06-01", "--yes", "--json"),
    )]  # fmt: skip
    signals, status, pruned = (ran.json for ran in shown)
    assert len(signals["rows" if "rows" in signals else "signals"]) == 20
    assert status["strategies"] is not None
    assert pruned["traces"] == 27


def test_doctor_leaves_no_connection_to_postgres_open(url: str, home: Path) -> None:
    settings = RunnerSettings(home=home, database_url=SecretStr(url), news="on")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what other tests have left
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        (finding,) = facts.journal(Home(home), settings)
        facts.news(Home(home), settings)
        gc.collect()
    assert finding.sentence == "The Postgres of TRADER_DATABASE_URL has it: 0 runs."
    assert [str(warning.message) for warning in left_open] == []


def test_an_outcome_whose_run_others_have_ended_is_kept_and_told_and_changes_nothing(home: Path) -> None:
    mine, theirs = Machine(home), Machine(home)
    waiting, zombie = claim(mine.journal), claim(mine.journal)
    ended = "UPDATE executions SET status = 'error', error_message = 'interrupted', completed_at = ?"
    theirs.database.write(lambda c: c.execute(ended, [at("12:00").replace(tzinfo=None)]))
    assert end(mine.journal, zombie) is None
    late = home / "outbox" / "late"
    assert [file.stem for file in late.iterdir()] == [zombie.key]
    document = json.loads(next(late.iterdir()).read_text())
    mine.journal._outbox.put(waiting.key, {**document, "run_key": waiting.key, "execution_id": waiting.execution_id})
    mine.journal.settle()
    assert {file.stem for file in late.iterdir()} == {zombie.key, waiting.key}
    assert {entry.status for entry in mine.journal.entries(outcomes="all")} == {Status.ERROR}
    assert mine.journal.entries() == []
    assert str(mine.journal.problem()).startswith("The outcomes of 2 runs came too late")


def test_an_outcome_that_was_entered_before_its_file_went_is_not_late(home: Path) -> None:
    mine = Machine(home)
    claimed = claim(mine.journal)
    document = RunEnd(claimed, BOUGHT, at("12:00")).document()
    mine.journal.finish(claimed, BOUGHT, at("12:00"))
    mine.journal._outbox.put(claimed.key, document)
    mine.journal.settle()
    assert not [*(home / "outbox").glob("**/*.json")]
    assert mine.journal.problem() is None


CLAIMS = """
import sys
from pathlib import Path
from tests.scheduler.slot_homes import Machine
from tests.storage.test_database import held_by_a_shell
from tests.storage.test_journal import claim
claim(Machine(Path(sys.argv[1])).journal)
print("claimed", flush=True)
sys.stdin.read()
"""


async def test_a_scheduler_looks_for_killed_processes_also_while_it_looks_at_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness.HeldLocks, "look_every_s", 0.01)
    machine = Machine(home)
    scheduler = make_scheduler(machine, HandClock(at("12:00")), Engine())
    with ExitStack() as ends:
        other = ends.enter_context(ForkedScript(CLAIMS, str(home)))
        assert await anyio.to_thread.run_sync(other.stdout.readline) == "claimed\n"
        other.kill()
        other.wait(10)
        await anyio.to_thread.run_sync(until_missed, machine.database)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(scheduler._watch_others)
                while machine.journal.entries(outcomes="all")[0].status != Status.ERROR:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
