"""Liveness in Postgres: an advisory lock of a session shows that a process is alive. It ends with the session.

The session is a process' own, for nothing else, and a thread watches it: where it is lost while the process lives, the
thread makes it anew and takes its locks again, long before anybody counts the process as gone. Where the server misses
it first, as after a cable was pulled, the process claims nothing until it has its locks again.
"""

import logging
import selectors
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

import psycopg

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.journal.liveness import Taken
from mcp_server.storage.journal.runner_note import RunnerNote
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.connection import PostgresConnection, connect, could_not_be_used
from mcp_server.storage.postgres.locks import HELD, lock_of, lock_of_name, number_in
from mcp_server.storage.postgres.runners import exchanged, scheduled_elsewhere

if TYPE_CHECKING:
    from mcp_server.storage.postgres.database import PostgresDatabase
    from mcp_server.storage.sql import SqlConnection

GONE_AFTER_S = 1.0
"""A process is gone when its lock was missing for so long, at each look."""

LOOK_EVERY_S = 0.5
"""How often a scheduler looks: so a process that was killed is noticed within two seconds."""

LOOKS_S = 5.0
"""Looks that are further apart say nothing of the time between."""

RESTARTED_S = 60
"""After a start of Postgres nobody is counted as gone for so long: it has dropped the locks of all. Nor is anybody by a
process whose own session was lost: those of the others may have been, too, as after a crash or a failover."""

AGAIN_S = 0.1
"""How often a session that was lost is tried anew."""

LOOK_AT_SESSION_S = 5.0
"""How often the session is looked at, whatever comes from it."""

CONNECT_S = 2

_LOOK, _END = b"?", b""
"""What the thread is told: to look at the session, or to end."""

WATCHER = "signs of life"  # the thread's name

_MISSING = (
    "SELECT DISTINCT split_part(run_key, '.', 1) FROM executions WHERE status = 'running' AND answer_by IS NULL "  # noqa: S608 - ours
    "AND run_key ~ '^[0-9a-f]{32}' "
    "AND clock_timestamp() - pg_postmaster_start_time() > CAST(? AS BIGINT) * INTERVAL '1' SECOND "
    f"AND {number_in('run_key')} NOT IN {HELD}"
)


class HeldLocks:
    """The locks of this process, and which others have lost theirs.

    Args:
        address: where.
        database: what the journal is read by.
    """

    look_every_s: float | None = LOOK_EVERY_S

    def __init__(self, address: PostgresAddress, database: "PostgresDatabase") -> None:
        self._address = address
        self._database = database
        self._changing = threading.RLock()
        self._held: dict[str, int] = {}
        self._session: PostgresConnection | None = None
        self._watcher: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._missing: dict[str, float] = {}
        self._looked_at = -LOOKS_S
        self._lost_at: float | None = None
        """When the session was made anew."""

    def show(self, key: str) -> "HeldLock":
        """Show that this process is alive, under a key.

        Raises:
            Retryable: the server is away.
        """
        with self._changing:
            self._take(key, lock_of(key))
        return HeldLock(key, self)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold what only one process may, for as long as the block lasts.

        Raises:
            Taken: another process holds it, or another part of this one.
            Retryable: the server is away.
        """
        with self._changing:
            if name in self._held:
                raise Taken
            self._take(name, self._number(name))
        try:
            yield
        finally:
            self.give_back(name)

    def dead(self, connection: "SqlConnection | None" = None) -> Iterator[str]:
        """Yield the keys of processes that were gone at each look for `GONE_AFTER_S`, and have runs under way.

        None, where this one has lost its session lately.
        """
        missing = self.look(connection) if connection is not None else self._database.read(self.look)
        now = monotonic()
        if self._lost or (self._lost_at is not None and now - self._lost_at < RESTARTED_S):
            missing = []
        earlier, self._looked_at = ({} if now - self._looked_at > LOOKS_S else self._missing), now
        self._missing = {key: earlier.get(key, now) for key in missing}
        yield from [key for key, since in self._missing.items() if now - since >= GONE_AFTER_S]

    def here(self) -> None:
        """Return None: who is alive is known by `dead` alone."""

    def forget(self, key: str) -> None:
        """Do nothing: what ends leaves nothing here."""

    def exchange(self, own: RunnerNote) -> list[RunnerNote]:
        """Note what a runner has, and return the same of all runners that are alive, this one's first."""
        return exchanged(self._database, own)

    def scheduled_elsewhere(self, key: str, names: Collection[str], connection: "SqlConnection") -> frozenset[str]:
        """Note that the runner of this key lacks strategies; return those that another one has scheduled."""
        return scheduled_elsewhere(key, names, connection)

    def give_back(self, name: str) -> None:
        """Release the lock of a key or a name."""
        with self._changing:
            number = self._held.pop(name, None)
            if number is not None and self._session is not None:
                with suppress(psycopg.Error):  # it is lost with its locks
                    self._session.execute("SELECT pg_advisory_unlock(?)", [number])

    def confirm(self, key: str, connection: "SqlConnection") -> None:
        """Look whether others see this process alive, in the transaction that relies on it.

        Raises:
            Retryable: they do not; the session is made anew as soon as it can be.
        """
        held = connection.execute(f"SELECT 1 WHERE CAST(? AS BIGINT) IN {HELD}", [lock_of(key)])
        if held.fetchone() is not None:
            return
        if self._wake is not None:
            self._wake.send(_LOOK)
        raise Retryable(
            f"The database {self._address} has lost the session by which others see that this program is alive.",
            "It is made anew by itself.",
        )

    def close(self) -> None:
        """End the session, and so all signs of life."""
        with self._changing:
            self._held.clear()
            if self._wake is not None:
                self._wake.close()
                self._wake = None
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.join()
        with self._changing:
            if self._session is not None:
                self._session.close()
                self._session = None

    @staticmethod
    def look(connection: "SqlConnection") -> list[str]:
        """Return the keys that have runs under way and whose lock nobody holds at this moment."""
        return [key for (key,) in connection.execute(_MISSING, [RESTARTED_S]).fetchall()]

    def _connect(self) -> PostgresConnection:
        """Begin a session, and take all locks in it."""
        session = connect(self._address, CONNECT_S)
        try:
            for number in self._held.values():
                _lock(session, number)
        except BaseException:
            session.close()
            raise
        if self._session is not None:
            self._session.close()
            self._lost_at = monotonic()
        self._session = session
        return session

    def _take(self, name: str, number: int) -> None:
        """Take a lock, which is taken again in each session that follows."""
        try:
            _lock(self._usable(), number)
        except psycopg.Error as error:
            raise could_not_be_used(self._address, error) from None
        self._held[name] = number
        self._watch()

    def _usable(self) -> PostgresConnection:
        """Return the session, or begin one."""
        try:
            return self._connect() if self._session is None or self._lost else self._session
        except Taken:
            raise Retryable(
                f"The database {self._address} has not missed an earlier session yet.", "Try again."
            ) from None
        except psycopg.Error as error:
            raise could_not_be_used(self._address, error, connected=False) from None

    def _number(self, name: str) -> int:
        try:
            return lock_of_name(self._usable(), name)
        except psycopg.Error as error:
            raise could_not_be_used(self._address, error) from None

    def _watch(self) -> None:
        if self._watcher is None:
            woken, self._wake = socket.socketpair()
            self._watcher = threading.Thread(target=self._keep, args=[woken], name=WATCHER, daemon=True)
            self._watcher.start()

    @property
    def _lost(self) -> bool:
        return self._session is not None and self._session.broken

    def _keep(self, woken: socket.socket) -> None:
        """Wait until the session is lost, and begin another; end when `woken` does."""
        heard: bytes | None = None
        with woken:
            while heard != _END:
                try:
                    heard = _heard(woken, None if self._lost else self._session)
                    if heard != _END and (heard is not None or self._lost):
                        self._renew()
                except Exception:  # no more files can be opened, say; nobody is there to start it again
                    logging.getLogger(__name__).exception("looking at the session of signs of life")
                    sleep(LOOK_EVERY_S)

    def _renew(self) -> None:
        with self._changing:
            with suppress(psycopg.Error):
                if self._session is not None and not self._session.broken:
                    self._session.execute("SELECT 1")
                    return
            with suppress(psycopg.Error, Taken, Misconfigured):  # `Taken`: the earlier one is not missed yet
                self._connect()


class HeldLock:
    """One sign of life of this process."""

    def __init__(self, key: str, locks: HeldLocks) -> None:
        self.key = key
        self._locks = locks

    def confirm(self, connection: "SqlConnection") -> None:
        """Raise `Retryable` where others do not see it."""
        self._locks.confirm(self.key, connection)

    def close(self, *, forget: bool = True) -> None:
        """Take it back. Whether its runs have all ended is in the journal: there is nothing to `forget`."""
        self._locks.give_back(self.key)


def _heard(woken: socket.socket, session: PostgresConnection | None) -> bytes | None:
    """Wait for a word on `woken`, or until something comes from the session; return it, or None: nothing came."""
    with selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ)
        if session is not None:
            with suppress(psycopg.Error, ValueError, OSError):  # it was lost at this moment
                selector.register(session.opened.fileno(), selectors.EVENT_READ)
        ready = selector.select(AGAIN_S if session is None else LOOK_AT_SESSION_S)
        if any(key.fileobj is woken for key, _ in ready):
            return woken.recv(len(_LOOK))
        return _LOOK if ready else None


def _lock(session: PostgresConnection, number: int) -> None:
    if session.execute("SELECT pg_try_advisory_lock(?)", [number]).fetchone() != (True,):
        raise Taken
