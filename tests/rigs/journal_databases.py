"""Where the journal of a home is kept in a test: in a file of the home, or in a database of its own on a real Postgres.

    pytestmark = pytest.mark.usefixtures("kept_in")     # each test also on Postgres, where that form is long
    from … import kept_for_file                         # the same for a file whose tests share what they look at
    @BOTH                                               # of this test it is not
    @ON_A_FILE                                          # of this test there is none

    journal_url(home)                                   # what a program takes as TRADER_DATABASE_URL
    with_journal(home, environment)                     # the variables of a program, that one among them
    journal_database(home)                              # two of them for one home are two programs with one journal
    with away(home): ...                                # nobody can use it

One Postgres serves a process, from the first test that needs it on. A new database is a copy of one that was migrated.
"""

import atexit
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.postgres.locks import HELD
from tests.rigs.postgres import Postgres

BOTH = pytest.mark.parametrize("kept_in", ["duckdb", "postgres"], indirect=True)
IN_POSTGRES = [
    pytest.mark.usefixtures("kept_in"),
    pytest.mark.parametrize("kept_in", ["postgres"], indirect=True, ids=[""]),
]
ON_A_FILE = pytest.mark.parametrize("kept_in", ["duckdb"], indirect=True)

PLACES = ["duckdb", pytest.param("postgres", marks=pytest.mark.long)]

LIMIT_S = 30.0

URL = "TRADER_DATABASE_URL"
URLS = "JOURNALS_OF_TESTS"
"""The environment variable with the URLs of journals by their homes, as JSON, for forked processes too; unset: they
are in files of their homes."""

_opened: list[PostgresDatabase] = []


@pytest.fixture(params=PLACES)
def kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the journals of this test are kept; a process is gone as soon as its lock is."""
    yield from _kept_in(request.param, monkeypatch)


@pytest.fixture(scope="module", params=PLACES, name="kept_in")
def kept_for_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the journals of all tests of a file are kept: a fixture of its modules can rely on it."""
    with pytest.MonkeyPatch.context() as patch:
        yield from _kept_in(request.param, patch)


def _kept_in(place: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(liveness, "GONE_AFTER_S", 0.0)
    patch.setattr(liveness, "RESTARTED_S", 0)
    if place == "postgres":
        patch.setenv(URLS, "{}")
    yield
    while _opened:
        _opened.pop().close()


def journal_database(root: Path, patience_s: float = 10.0) -> Any:
    """Return what keeps the journal of a home, for one more program."""
    if (url := journal_url(root)) is None:
        return Database(Home(root).database, prepare=Home(root).prepare, patience_s=patience_s)
    database = PostgresDatabase(PostgresAddress.of(url), patience_s=patience_s)
    _opened.append(database)
    return database


def journal_url(root: Path) -> str | None:
    """Return the URL of the journal of a home; None: it is in a file of the home."""
    if URLS not in os.environ:
        return None
    urls: dict[str, str] = json.loads(os.environ[URLS])
    if str(root) not in urls:
        urls[str(root)] = postgres_url()
        os.environ[URLS] = json.dumps(urls)
    return urls[str(root)]


def with_journal(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program, and where they name no journal the URL of that of a home."""
    url = None if URL in environment else journal_url(root)
    return dict(environment) if url is None else {**environment, URL: url}


def postgres_url(*, migrated: bool = True) -> str:
    """Return the URL of a new database, in which the journal has its tables, or which is empty."""
    server = _server(os.getpid())
    return server.new_database(like=_migrated(os.getpid())) if migrated else server.new_database()


def until_missed(database: Any) -> None:
    """Wait until a process that was killed is missed, as far as the system has to tell that to Postgres."""
    deadline = monotonic() + LIMIT_S
    while isinstance(database, PostgresDatabase) and not database.read(liveness.HeldLocks.look):
        assert monotonic() < deadline, "nobody is missed"
        sleep(0.005)


@contextmanager
def away(root: Path) -> Iterator[str]:
    """Keep everybody from the journal of a home; give what errors say of it."""
    url = journal_url(root)
    if url is None:
        from tests.storage.test_database import held_by_a_shell

        with held_by_a_shell(Home(root).database) as pid:
            yield f"process {pid}"
        return
    server, name = _server(os.getpid()), PostgresAddress.of(url).parameters["dbname"]
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield "is not currently accepting connections"
    finally:
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        for database in _opened:
            _until_seen(database)


def _until_seen(database: PostgresDatabase) -> None:
    """Wait until others see all signs of life again that this program shows: it takes the lost ones anew by itself."""
    signs, deadline = database._signs, monotonic() + LIMIT_S
    query = f"SELECT CAST(? AS BIGINT) IN {HELD}"

    def seen(connection: Any) -> bool:
        return all(connection.execute(query, [number]).fetchone() == (True,) for number in [*signs._held.values()])

    while signs._held and not database.read(seen):
        assert monotonic() < deadline, "a lost session was not made anew"
        sleep(0.005)


@cache
def _server(pid: int) -> Postgres:
    """Return the server of this process: one that was forked gets another."""
    server = Postgres().__enter__()
    atexit.register(lambda: server.__exit__(None, None, None) if os.getpid() == pid else None)
    return server


@cache
def _migrated(pid: int) -> str:
    address = PostgresAddress.of(_server(pid).new_database())
    database = PostgresDatabase(address)
    database.read(lambda connection: None)
    database.close()
    return address.parameters["dbname"]
