"""A program that ends while one of its daemon threads is inside DuckDB ends as it was to, and is not aborted."""

import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mcp_server.domain import unbroken
from mcp_server.domain.rules import engine
from mcp_server.domain.rules.engine import Engine
from mcp_server.domain.unbroken import UnbrokenWork
from mcp_server.errors import Misconfigured
from mcp_server.storage import database_file
from mcp_server.storage.database import Database

SCRIPT = """
import sys, threading
from pathlib import Path
from mcp_server.storage.database import Database

database, begun = Database(Path(sys.argv[1])), threading.Event()

def ask():
    while True:
        database.read(lambda connection: connection.execute("SELECT sum(sqrt(range)) FROM range(300000)").fetchall())
        begun.set()

for _ in range(3):
    threading.Thread(target=ask, daemon=True).start()
begun.wait()
"""

USES = ("transaction", "rest", "rules", "first rules")


class Ending:
    """The end of a program: `wait` in a thread, so that a test can look at it."""

    def __init__(self, work: UnbrokenWork) -> None:
        self._thread = threading.Thread(target=work.wait)

    def begin(self) -> None:
        self._thread.start()

    def is_waiting(self) -> bool:
        self._thread.join(0.05)
        return self._thread.is_alive()

    def has_ended(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[UnbrokenWork]:
    """What a process of the test's own would know; whoever stays at the end goes on with the test's end."""
    own = UnbrokenWork()
    monkeypatch.setattr(unbroken, "LAST_S", 60.0)
    for module in (database_file, engine):
        monkeypatch.setattr(module, "WORK", own)
    yield own
    with own._changed:
        own._ending = False
        own._changed.notify_all()


def daemon(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("use", USES)
def test_the_end_waits_for_what_is_inside_duckdb_and_lets_nothing_begin(
    use: str, work: UnbrokenWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def inside(*_: object) -> None:
        begun.set()
        go_on.wait(30)

    database, rules = Database(tmp_path / "claude_trader.duckdb"), Engine()
    database.read(lambda _: None)  # which migrates it, in several transactions
    table = {"close": np.arange(3.0)}
    if use == "rest":
        monkeypatch.setattr(database_file, "REST_S", 0.0)
        monkeypatch.setattr(database._file, "_start_anew", inside)
    elif use == "rules":
        monkeypatch.setattr(rules._limit, "over", lambda _: _Within(inside))
    elif use == "first rules":
        monkeypatch.setattr(engine, "_LOCK_DOWN", _Within(inside))
    uses: dict[str, Callable[[], object]] = {
        "transaction": lambda: database.read(inside),
        "rest": database._file._rest,
        "rules": lambda: rules.query("SELECT close FROM candles", table),
        "first rules": lambda: rules.parse("SELECT 1"),
    }
    early, ending = daemon(uses[use]), Ending(work)
    assert begun.wait(10)
    ending.begin()
    assert ending.is_waiting()
    go_on.set()
    assert ending.has_ended()
    begun.clear()
    late = daemon(uses[use])
    assert not begun.wait(0.05)
    assert late.is_alive()
    assert early.is_alive(), "it must not go on either: its next step may be inside C++ again"


class _Within:
    """Calls something as a context that is entered, and as a list that is gone through."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._call()

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[str]:
        self._call()
        return iter(())


def test_threads_that_python_waits_for_go_on(work: UnbrokenWork, tmp_path: Path) -> None:
    work.wait()
    database = Database(tmp_path / "claude_trader.duckdb")
    waited_for = threading.Thread(target=database.read, args=[lambda _: None], daemon=False)
    waited_for.start()
    waited_for.join(10)
    assert not waited_for.is_alive()


def test_a_connection_is_not_dropped_after_its_transaction(tmp_path: Path) -> None:
    """To drop it is work of DuckDB's, too."""
    assert Database(tmp_path / "claude_trader.duckdb").read(weakref.ref)() is not None


def test_a_transaction_that_fails_keeps_no_program_from_its_end(work: UnbrokenWork, tmp_path: Path) -> None:
    (tmp_path / "no.duckdb").write_bytes(b"no database" * 1000)

    def fail() -> None:
        with suppress(Misconfigured):
            Database(tmp_path / "no.duckdb").read(lambda _: None)

    failed = daemon(fail)
    failed.join(10)
    assert not failed.is_alive()
    work.wait()  # also for a DuckDB of another test that is put to rest at this moment
    assert work._under_way == set()


@pytest.mark.parametrize("tries", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_program_that_ends_meanwhile_is_not_aborted(tries: int, tmp_path: Path) -> None:
    for _ in range(tries):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "claude_trader.duckdb")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
