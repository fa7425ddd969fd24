"""A Postgres that cannot be used: each way in which it is away is told in a sentence, with what helps, soon."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home
from mcp_server.storage.machine import machine_name
from mcp_server.storage.postgres import connection as connections
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url
from tests.rigs.postgres import Postgres
from tests.rigs.sampled import sampled
from tests.runner.conftest import trader_in
from tests.runner.test_doctor import NO_CHAIN, _by_check

pytestmark = IN_POSTGRES
NEW = (
    'INSERT INTO backtests (family, decision_version, config, start, "end", side, fee_bps, slippage_bps, figures, '
    "created_at) VALUES ('f', 'v', '{}', now(), now(), 'long', 1, 1, '{}', now())"
)


@contextmanager
def database_of(url: str, patience_s: float = 0.5) -> Iterator[PostgresDatabase]:
    with closing(PostgresDatabase(PostgresAddress.of(url), patience_s=patience_s)) as database:
        yield database


def uses(database: PostgresDatabase) -> list[Callable[[Any], Any]]:
    """What a program does with a database: it reads, writes, and shows that it is alive."""
    return [database.read, database.write, lambda _: database.signs_of_life(Path()).show("0" * 32)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def silent(ends: ExitStack) -> str:
    """An address that takes a connection, and never says a word."""
    server = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
    return f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/j"


def refused(_: ExitStack) -> str:
    return f"postgresql://u@127.0.0.1:{free_port()}/j"


def two_refused(_: ExitStack) -> str:
    return f"postgresql://u@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/j"


def no_such_database(_: ExitStack) -> str:
    return postgres_url().replace("@/test_", "@/no_test_")


def no_such_role(_: ExitStack) -> str:
    return postgres_url().replace("trader@", "stranger@")


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def full(_: ExitStack) -> str:
    url = postgres_url()
    run(url, "DROP ROLE IF EXISTS one_of_many", "CREATE ROLE one_of_many LOGIN CONNECTION LIMIT 0")
    return url.replace("trader@", "one_of_many@")


def wrong_password(ends: ExitStack) -> str:
    server = ends.enter_context(Postgres())
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text("local all guarded scram-sha-256\nlocal all all trust\n")
    server.run("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    server.run("SELECT pg_reload_conf()")
    url = server.new_database().replace("trader@", "guarded:hunter2@")
    while _opens(url):  # until the rules are read
        pass
    return url


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def standby(ends: ExitStack) -> str:
    server = ends.enter_context(Postgres())
    url = server.new_database()
    server.stop()
    (server.folder / "data" / "standby.signal").touch()
    server.start()
    return url


def told_to_take_no_writes(_: ExitStack) -> str:
    url = postgres_url()
    run(url, f"ALTER DATABASE {PostgresAddress.of(url).parameters['dbname']} SET default_transaction_read_only = on")
    return url


AWAY = [
    pytest.param(silent, "timeout expired", id="silent"),
    pytest.param(refused, "Connection refused", id="refused"),
    pytest.param(two_refused, "Connection refused", id="two-refused"),
    pytest.param(no_such_database, "does not exist", id="no-such-database"),
    pytest.param(no_such_role, "does not exist", id="no-such-role"),
    pytest.param(full, "too many connections", id="too-many-connections"),
    pytest.param(wrong_password, "password authentication failed", id="wrong-password", marks=pytest.mark.long),
    pytest.param(standby, "session is read-only", id="standby", marks=pytest.mark.long),
    pytest.param(told_to_take_no_writes, "session is read-only", id="read-only"),
]


@pytest.mark.parametrize(("place", "why"), AWAY)
def test_a_database_that_cannot_be_reached_is_told_with_where_to_look(
    place: Callable[[ExitStack], str], why: str
) -> None:
    with ExitStack() as ends:
        database = ends.enter_context(database_of(place(ends)))
        for use in uses(database)[: 1 if place is silent else 3]:  # libpq waits no less than 2 s
            with pytest.raises(Retryable, match=f"could not be used: .*{why}") as raised:
                use(lambda connection: None)
            assert "TRADER_DATABASE_URL has the right host" in raised.value.remedy
            assert "hunter2" not in str(raised.value)


def test_a_disk_without_room_is_told_with_what_helps() -> None:
    url = postgres_url()
    run(
        url,
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER no_room BEFORE INSERT ON backtests EXECUTE FUNCTION no_room()",
    )
    with database_of(url) as database, pytest.raises(Retryable, match="could not extend file") as raised:
        database.write(lambda connection: connection.execute(NEW))
    assert "Free some space" in raised.value.remedy


LACKING: list[tuple[str, str, str]] = [
    ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor", "permission denied for table executions", "Grant it"),
    ("ALTER TABLE executions RENAME TO elsewhere", 'relation "executions" does not exist', "Restore a backup"),
]


@pytest.mark.parametrize(("change", "why", "remedy"), LACKING, ids=["rights", "table"])
def test_what_the_operator_must_mend_is_not_to_be_tried_again(change: str, why: str, remedy: str) -> None:
    url = postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'poor'").fetchone() is None:
            connection.execute("CREATE ROLE poor LOGIN")
    run(url, change)
    role = "poor" if "poor" in change else "trader"
    with database_of(url.replace("trader@", f"{role}@")) as database:
        with pytest.raises(Misconfigured, match=why) as raised:
            database.write(lambda c: c.execute("UPDATE executions SET status = 'missed'"))
        assert remedy in raised.value.remedy
        assert database.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,), "it goes on"


def test_a_table_that_another_keeps_does_not_hold_up_a_reader_for_long() -> None:
    url = postgres_url()
    with database_of(url, 0.1) as database, psycopg.connect(url) as other:
        other.execute("SET idle_in_transaction_session_timeout = '10s'")  # it ends sooner, if all is well
        other.execute("LOCK TABLE executions")
        with pytest.raises(Retryable, match="lock timeout"):
            database.read(lambda c: c.execute("SELECT 1 FROM executions"))
        other.rollback()
        assert database.read(lambda c: c.execute("SELECT count(*) FROM executions").fetchone()) == (0,)


def test_a_server_that_is_told_to_take_no_writes_is_left_for_one_that_does() -> None:
    url = postgres_url()
    insert = "INSERT INTO schema_migrations (version) VALUES (1)"

    def stopped(connection: Any) -> None:
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(insert)

    with database_of(url) as database:
        database.read(lambda c: c.execute("SET application_name = 'first'"))

        with pytest.raises(Retryable, match="read-only transaction") as raised:
            database.write(stopped)
        assert "takes writes" in raised.value.remedy
        name = database.read(lambda c: c.execute("SHOW application_name").fetchone())
    assert name != ("first",), "the next use connects anew, and libpq looks for a server that takes writes"


def test_a_postgres_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OLDEST", 99)
    with database_of(postgres_url()) as database:
        for use in uses(database):
            with pytest.raises(Misconfigured, match=r"is on Postgres [0-9]+, which is too old") as raised:
                use(lambda connection: None)
        assert raised.value.remedy == "Use Postgres 99 or newer."


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """Stand between a client and a server as PgBouncer does: the process that it tells is its own invention."""
    folder = PostgresAddress.of(url).parameters["host"]

    def forward(source: socket.socket, target: socket.socket, *, invent: bool) -> None:
        with suppress(OSError), closing(target):  # the other way may have ended first
            while part := source.recv(1 << 16):
                at = part.find(b"K\x00\x00\x00\x0c") if invent else -1
                if at >= 0:
                    invent, part = False, part[: at + 5] + struct.pack("!i", 123_456_789) + part[at + 9 :]
                target.sendall(part)
            target.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(os.path.join(folder, ".s.PGSQL.5432"))
            for ends, invent in (((client, upstream), False), ((upstream, client), True)):
                threading.Thread(target=forward, args=ends, kwargs={"invent": invent}, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        name = PostgresAddress.of(url).parameters["dbname"]
        yield f"postgresql://trader@127.0.0.1:{server.getsockname()[1]}/{name}?sslmode=disable&gssencmode=disable"


def test_a_pooler_is_refused_as_locks_of_a_session_would_not_hold() -> None:
    with pooler(postgres_url()) as url, database_of(url) as database:
        for use in uses(database):
            with pytest.raises(Misconfigured, match="connection pooler, such as PgBouncer") as raised:
                use(lambda connection: None)
        assert "direct address" in raised.value.remedy


def test_a_program_that_is_older_than_the_schema_by_now_does_nothing_more() -> None:
    with database_of(postgres_url()) as database:
        ran: list[Any] = []
        database.write(ran.append)
        run(database_url(database), "INSERT INTO schema_migrations (version) VALUES (999)")
        for use in (database.read, database.write):
            with pytest.raises(Misconfigured, match=r"newer claude-trader \(schema 999") as raised:
                use(ran.append)
        assert raised.value.remedy == "Update claude-trader."
        assert len(ran) == 1


def database_url(database: PostgresDatabase) -> str:
    parameters = database.address.parameters
    return f"postgresql://{parameters['user']}@/{parameters['dbname']}?host={parameters['host']}"


def test_the_journals_of_two_schemas_of_one_database_are_apart() -> None:
    url = postgres_url(migrated=False)
    run(url, "CREATE SCHEMA one", "CREATE SCHEMA other")
    with ExitStack() as ends:
        one, other, missing = (
            ends.enter_context(database_of(f"{url}&options=-csearch_path%3D{name}")) for name in ("one", "other", "no")
        )
        one.write(lambda c: c.execute(NEW))
        counts = [d.read(lambda c: c.execute("SELECT count(*) FROM backtests").fetchone()) for d in (one, other)]
        assert counts == [(1,), (0,)]
        ends.enter_context(one.signs_of_life(Path()).hold("name"))
        ends.enter_context(other.signs_of_life(Path()).hold("name"))
        with pytest.raises(Misconfigured) as raised:
            missing.read(lambda c: None)
        assert "CREATE SCHEMA" in raised.value.remedy


def test_whose_connections_they_are_is_told_and_how_many_a_program_has() -> None:
    url = postgres_url()
    with database_of(url) as database, psycopg.connect(url, autocommit=True) as other:
        database.read(lambda c: None)
        database.write(lambda c: None)
        sign = database.signs_of_life(Path()).show("0" * 32)
        rows = other.execute(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
        assert rows == [(f"claude-trader on {machine_name()}",)] * 2
        sign.close()


COMMANDS: list[tuple[str, ...]] = [("status",), ("signals",), ("run", "rsi-reversion"), ("score",)]


@pytest.mark.parametrize("words", sampled([(words,) for words in COMMANDS], 3), ids=[words[0] for words in COMMANDS])
def test_a_command_says_that_the_database_is_away(home: Path, words: tuple[str, ...]) -> None:
    done = trader_in(home)(*words, TRADER_DATABASE_URL=refused(ExitStack()), TRADER_EXCHANGE="simulated")
    told = " ".join((done.out + done.err).split())
    assert "could not be used: connection failed" in told
    assert "TRADER_DATABASE_URL has the right host" in told
    assert (done.code, "Traceback" in told) == (2 if words == ("score",) else 1, False)


def test_status_waits_once_for_a_database_that_does_not_answer(home: Path) -> None:
    with ExitStack() as ends:
        done = trader_in(home)("status", "--json", TRADER_DATABASE_URL=silent(ends), TRADER_NEWS="on")
    assert any("could not be used: connection timeout expired" in problem for problem in done.json["problems"])
    assert done.json["spent_today_usd"] is None


def test_doctor_says_it_once_though_the_runner_knows_it_too_and_looks_at_the_rest(home: Path) -> None:
    now = datetime.now(UTC)
    home.mkdir(exist_ok=True)
    away = "no slot can be claimed: the database could not be used"
    beat = Beat(os.getpid(), now, now + timedelta(seconds=20), 0, (away, "the disk is slow"), journal_away=True)
    Heartbeat(Home(home).heartbeat).write(beat)
    done = trader_in(home)(
        "doctor", "--json", TRADER_DATABASE_URL=refused(ExitStack()), TRADER_EXCHANGE="simulated", **NO_CHAIN
    )
    found = _by_check(done.json)
    assert "Connection refused" in found["journal"]["said"]
    assert "TRADER_DATABASE_URL" in found["journal"]["remedy"]
    assert found["server"]["status"] == "ok"
    assert [each["said"] for each in done.json["checks"] if each["check"] == "runner"] == ["the disk is slow"]
