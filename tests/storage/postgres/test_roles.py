"""The roles of the page on more machines, made by its very SQL: a runner's can do what it must, and nothing else."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.errors import Misconfigured
from mcp_server.storage.home import Home
from mcp_server.storage.journal.budget import SpendingLimits, admit
from mcp_server.storage.journal.prune import prune
from mcp_server.storage.news.store import NewsStore
from mcp_server.storage.postgres import liveness, schema
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.postgres.rights import EMPTIED, lacking_rights
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.tables import TABLES
from tests.rigs.postgres import Postgres
from tests.runner.conftest import trader_in
from tests.scheduler.slot_homes import HELD, Machine, at, claim, hourly
from tests.storage.queries.conftest import NOW, record
from tests.storage.test_backtests import ROW
from tests.storage.test_replays import ASKED, TERMS

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "scaling.md").read_text("utf-8")
SECTION = PAGE.partition("## Roles with least rights\n")[2].partition("\n## ")[0]
FIRST, LAST = re.findall(r"```sql\n(.*?)```", SECTION, re.DOTALL)
(OWNERS,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)

MOVES = "journal_place"
"""The table that only `journal move` changes, which the owner does."""


class Journals(Postgres):
    """A server with the database and the roles of the page."""

    def of(self, role: str) -> str:
        return self.url("journal").replace("postgresql://trader@", f"postgresql://{role}@")

    def type(self, sql: str, url: str) -> None:
        """Run statements as psql does."""
        with psycopg.connect(url, autocommit=True) as session:
            for statement in filter(str.strip, sql.split(";")):
                session.execute(statement.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journals]:
    with Journals() as running:
        before, inside = FIRST.split("\\connect journal\n")
        running.type(before, running.url("postgres"))
        running.type(inside, running.url("journal"))
        home = tmp_path_factory.mktemp("home")
        (*_, command) = OWNERS.splitlines()
        program, *words = shlex.split(command)
        assert program == "claude-trader"
        done = trader_in(home)(*words, TRADER_DATABASE_URL=running.of("journal_owner"))
        assert done.code == 0, done.err
        running.type(LAST, running.of("journal_owner"))
        yield running


@contextmanager
def used_as(server: Journals, role: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(PostgresAddress.of(server.of(role)))
    try:
        yield database
    finally:
        database.close()


def test_a_runner_does_all_its_work_under_its_role(
    server: Journals, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "RESTARTED_S", 0)
    with used_as(server, "journal_runner") as database:
        monkeypatch.setattr("tests.scheduler.slot_homes.journal_database", lambda *_: database)
        machine = Machine(home)
        machine.adopt(hourly(), at("10:00"))
        machine.slot_store.open()
        (run,) = machine.slot_store.claim([claim(hourly(), "11:00", "12:00")], at("12:00")).started
        assert admit(
            database, run.execution_id, "s", SpendingLimits(Decimal(1), Decimal(2), Decimal(5)), at("12:00")
        ).answer
        machine.slot_store.exchange_notes("here", "1.0", {"s": ("v", "active")})
        machine.journal.finish(run, HELD, at("12:00"))
        machine.slot_store.take_back(at("12:30"))
        machine.journal.end_dead()
        machine.slot_store.close(forget=True)
        record(home, database)
        assert machine.journal.backtests.record([ROW])
        with machine.journal.replays.open(TERMS, ASKED, Decimal(2), NOW):
            pass
        feed = Feed("coindesk", "https://feeds.example/a", "press")
        news = NewsStore(database)
        assert news.enter(NewsFetch("coindesk", 0, "ok", 1), feed, [Told("1", None, "Bitcoin rises", None)]) == 1
        assert prune(database, Home(home), NOW + timedelta(days=1)) == []
        (count,) = machine.ask("SELECT count(*) FROM executions WHERE status = 'running'")
        assert count == (0,)
        question = Question(home, "SELECT count(*) FROM executions", NOW, 10, 200, 5.0)
        for role in ("journal_runner", "journal_reader"):
            assert answer(replace(question, journal_url=server.of(role)))["rows"] == [[31]]


def test_a_reader_reads_and_changes_nothing(server: Journals, home: Path) -> None:
    trader = trader_in(home)
    assert trader("signals", "--json", TRADER_DATABASE_URL=server.of("journal_reader")).code == 0
    with used_as(server, "journal_reader") as database:
        for table in set(TABLES) - {"candles", "columns"}:
            database.read(lambda c, table=table: c.execute(f"SELECT * FROM {table} LIMIT 1").fetchall())  # type: ignore[misc]
        with pytest.raises(Misconfigured, match="permission denied"):
            database.write(lambda c: c.execute("UPDATE strategies SET status = 'paused'"))


def test_what_a_role_lacks_is_known_before_it_is_needed(server: Journals) -> None:
    lacking = {}
    for role in ("journal_owner", "journal_runner", "journal_reader"):
        with used_as(server, role) as database:
            lacking[role] = database.read(lacking_rights)
    reads = set(lacking.pop("journal_reader"))
    assert reads >= {"INSERT on executions", "UPDATE on strategies", "USAGE on execution_ids"}
    assert {right for right in reads if right.startswith("DELETE")} == {f"DELETE on {name}" for name in EMPTIED}
    assert lacking == {"journal_owner": [], "journal_runner": []}


@pytest.mark.parametrize("homes", [["one"], pytest.param(["one", "two"], marks=pytest.mark.long)], ids=len)
def test_the_steps_of_the_page_put_two_homes_on_one_journal(server: Journals, tmp_path: Path, homes: list[str]) -> None:
    """In `make test`, `test_many_runners.py` has several runners on one journal."""
    (steps,) = re.findall(r"## One journal for several machines\n.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    install, url, *ours, up = [line.partition("  # ")[0].rstrip() for line in steps.splitlines()]
    assert (install, up) == ("pip install 'claude-trader[postgres]'", "claude-trader up")
    name, _, written = shlex.split(url)[1].partition("=")
    address = PostgresAddress.of(written)
    assert (address.parameters["user"], address.parameters["sslmode"]) == ("journal_runner", "verify-full")
    seen = []
    for home in (tmp_path / name for name in homes):
        home.mkdir()
        trader = trader_in(home)
        for command in [*ours, "claude-trader run rsi-reversion"]:
            done = trader(*shlex.split(command)[1:], **{name: server.of("journal_runner")})
            assert done.code == ("status" in command), (command, done.err)  # the scheduler does not run
        seen.append(
            len(trader("signals", "rsi-reversion", "--json", **{name: server.of("journal_runner")}).json["signals"])
        )
    assert seen == [1, 2][: len(homes)], "each sees the runs of both"


def test_a_newer_schema_is_the_owners_to_make(server: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    known = schema.postgres_migrations()
    newer = {**known, max(known) + 1: "CREATE TABLE more (n INTEGER)"}
    monkeypatch.setattr(schema, "postgres_migrations", lambda: newer)
    with used_as(server, "journal_runner") as database, pytest.raises(Misconfigured) as raised:
        database.read(lambda connection: None)
    assert "this role may not" in raised.value.problem
    assert "owner" in raised.value.remedy


BEYOND = [
    "CREATE TABLE more (n INTEGER)",
    "CREATE TEMPORARY TABLE more (n INTEGER)",
    "CREATE SCHEMA more",
    "CREATE FUNCTION f() RETURNS INTEGER LANGUAGE SQL AS 'SELECT 1'",
    "CREATE ROLE more",
    "CREATE DATABASE more",
    "DROP TABLE executions",
    "ALTER TABLE executions ADD COLUMN more INTEGER",
    "TRUNCATE executions",
    "DELETE FROM analysis_results",
    "DELETE FROM strategies",
    "DELETE FROM outcomes",
    "UPDATE schema_migrations SET version = 99",
    "INSERT INTO schema_migrations (version) VALUES (99)",
    "INSERT INTO journal_place SELECT * FROM journal_place",
    "SELECT setval('execution_ids', 1)",
    "COPY executions TO PROGRAM 'cat'",
    "COPY executions TO '/tmp/executions'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT rolpassword FROM pg_authid",
    "ALTER SYSTEM SET fsync = off",
    "SET ROLE journal_owner",
    "GRANT journal_owner TO journal_runner",
    "CREATE EXTENSION file_fdw",
]


@pytest.mark.parametrize("statement", BEYOND)
def test_a_runners_role_can_do_nothing_else(server: Journals, statement: str) -> None:
    with (
        psycopg.connect(server.of("journal_runner"), autocommit=True) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement.encode())


def rights(server: Journals) -> dict[str, set[str]]:
    asked = (
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee = 'journal_runner' AND table_schema = 'public'"
    )
    found: dict[str, set[str]] = {}
    with psycopg.connect(server.url("journal")) as session:
        for table, right in session.execute(asked):
            found.setdefault(table, set()).add(right)
    return found


def test_each_table_has_the_rights_that_statements_of_ours_need(server: Journals) -> None:
    """A new table has them from the page's own default; one of which rows go must be named there."""
    folder = Path(__file__).parents[3] / "mcp_server" / "storage"
    sources = [file.read_text("utf-8") for file in folder.rglob("*.py") if "candles" not in file.parts]
    gone = {table for source in sources for table in re.findall(r"DELETE FROM (\w+)", source)}
    every: dict[str, Any] = rights(server)
    assert {table for table, own in every.items() if "DELETE" in own} == gone & every.keys() - {MOVES}
    assert [every.pop(table) for table in ("schema_migrations", MOVES)] == [{"SELECT"}] * 2
    assert all(own >= {"SELECT", "INSERT", "UPDATE"} for own in every.values())
    assert set(TABLES) - {"candles", "columns"} <= every.keys()
