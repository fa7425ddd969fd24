"""A journal in Postgres: one connection for each process, which is made anew whenever it is lost.

Writes of all programs take turns, as with the file: each holds one advisory lock until it is committed. So what a
transaction has looked up stays true until its end: a slot is free, a budget has room.
"""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

import psycopg

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.journal.place import where_it_is
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.clock import SKEW, DatabaseClock, clock_of
from mcp_server.storage.postgres.connection import (
    READ_ONLY,
    PostgresConnection,
    PostgresResult,
    connect,
    could_not_be_used,
)
from mcp_server.storage.postgres.liveness import HeldLocks
from mcp_server.storage.postgres.locks import others_alive
from mcp_server.storage.postgres.schema import SCHEMA, migrate, present_version, refuse_newer
from mcp_server.storage.transactions import Job, WaitingWrites, run_batch

if TYPE_CHECKING:
    from mcp_server.storage.journal.liveness import SignsOfLife

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long a transaction waits for its turn, or for a server that does not answer."""

SHORT_PATIENCE_S = 0.5
"""How long it waits once the program is ending."""

LEAST_CONNECT_S = 2
"""libpq waits no less for a server."""

SILENT_S = 1.0
"""A server that has not answered is not waited for again so soon: who asks several things waits once."""

_ONE_MOMENT = "READ ONLY ISOLATION LEVEL REPEATABLE READ"

_UNUSABLE = (
    psycopg.OperationalError,
    psycopg.InternalError,
    psycopg.errors.UniqueViolation,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedTable,
)
"""What is no fault of a statement: the server, its disk, its rights or its tables are not as they must be."""

WRITES = 4_714_020_631
"""The advisory lock of whoever writes; those of signs of life have other numbers, by `locks.OURS`."""


class PostgresDatabase:
    """One database with a journal; its tables are made when it is first used.

    Each method raises:
        Retryable: the server is away, or others kept the turn for too long; what had not been committed is undone.
        Misconfigured: the operator must act.
    """

    def __init__(self, address: PostgresAddress, *, patience_s: float = PATIENCE_S) -> None:
        self.address = address
        self._patience_s = patience_s
        self._turn = threading.Lock()
        self._writes = WaitingWrites(self._turn, self._run)
        self._connection: PostgresConnection | None = None
        self._migrated = False
        self._silent_until_s = 0.0
        self._signs = HeldLocks(address, self)
        self.clock = DatabaseClock()

    @property
    def path(self) -> None:
        """None: it is no file of this machine."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What is raised where a value cannot be kept, such as NaN, or half a character."""
        return ValueError, psycopg.Error

    def problem(self) -> str | None:
        """Return that this machine's clock is wrong, if it is: what it shows is not when things are done."""
        skew_s = self.clock.skew.total_seconds()
        if abs(skew_s) <= SKEW.total_seconds():
            return None
        way = "ahead of" if skew_s > 0 else "behind"
        return (
            f"This machine's clock is {abs(skew_s):.0f} s {way} that of the database {self.address}, by which runs go. "
            "Have it set from the network (NTP)."
        )

    def now(self) -> datetime:
        """Return the present (aware UTC) by the database's clock, which is asked again beside that once a minute."""
        if self.clock.ask:
            threading.Thread(target=self._ask_clock, name="the database's clock", daemon=True).start()
        return self.clock.now()

    def _ask_clock(self) -> None:
        with suppress(Retryable, Misconfigured):
            self.read(lambda connection: None)

    def now_within(self, connection: PostgresConnection) -> datetime:
        """Return what time the database has at this moment of a transaction (aware UTC)."""
        return clock_of(connection)

    def exists(self) -> bool:
        """Return True: that it was never written shows only when it is read."""
        return True

    def untouched(self) -> bool:
        """Return whether no journal was ever here; to look makes no table."""
        try:
            with closing(connect(self.address, self._connect_s)) as connection:
                return present_version(connection, str(self.address)) == 0
        except psycopg.Error as error:
            raise could_not_be_used(self.address, error, connected=False) from None

    def alive(self) -> int:
        """Return how many other programs run strategies here."""
        return self.read(others_alive, anyway=True)

    def hurry(self) -> None:
        """Wait no longer than `SHORT_PATIENCE_S` from now on: this program is ending."""
        self._patience_s = SHORT_PATIENCE_S

    def close(self) -> None:
        """End the connections; the next use makes them anew."""
        self._signs.close()
        with self._turn:
            self._drop()

    def signs_of_life(self, _: Path) -> "SignsOfLife":
        """Return what shows which processes are alive."""
        return self._signs

    def write(self, work: Callable[[PostgresConnection], T], *, anyway: bool = False) -> T:
        """Run `work` in a transaction, one after the other with the writes of all programs; return what it returns.

        Writes that wait together share one transaction, as in `Database.write`; so is `anyway`.
        """
        return self._writes.write(work if anyway else where_it_is(work))

    def read(
        self,
        work: Callable[[PostgresConnection], T],
        *,
        patience_s: float | None = None,
        in_turn: bool = False,
        anyway: bool = False,
    ) -> T:
        """Run `work` on what is committed now, in a transaction that cannot write, and return what it returns.

        With `in_turn`, nobody writes meanwhile: what is entered later is stamped later. `anyway` is as in `write`.
        """
        begin = f"READ ONLY; {self._waiting()}; {_turn('_shared')}" if in_turn else f"{_ONE_MOMENT}; {self._waiting()}"
        if not self._turn.acquire(timeout=-1 if patience_s is None else patience_s):
            if self._connection is None:  # whoever has the turn waits for the server
                raise could_not_be_used(self.address, _no_answer(), connected=False)
            raise Retryable(f"The database {self.address} is busy with this program's own work.", "Try again.")
        try:
            return self._transact(begin, work if anyway else where_it_is(work))
        finally:
            self._turn.release()

    def _run(self, batch: list[Job]) -> None:
        run_batch(partial(self._transact, f"READ WRITE; {self._waiting()}; {_turn()}"), batch)

    def _waiting(self) -> str:
        """Return what bounds how long a transaction waits for a lock."""
        return f"SET LOCAL lock_timeout = {round(self._patience_s * 1000)}"

    def _transact(self, begin: str, work: Callable[[PostgresConnection], T]) -> T:
        """Run work in a transaction, if the schema is still one that this program knows.

        A newer program may have migrated it meanwhile, in its turn: from then on this one reads and writes nothing.
        """
        try:
            connection, schema = self._begun(f"BEGIN {begin}; {SCHEMA}")
            try:
                refuse_newer(schema, str(self.address))
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.roll_back()
                raise
            return result
        except _UNUSABLE as error:
            connected = self._connection is not None
            self._drop_if_useless(error)
            raise could_not_be_used(self.address, error, connected=connected) from None

    def _begun(self, begin: str) -> tuple[PostgresConnection, int]:
        """Begin a transaction, and return its connection and the number of the schema.

        A connection that was lost while it was not used is made anew.
        """
        fresh = self._connection is None
        if self._connection is None:
            self._connection = self._connected()
        try:
            if not fresh and self.clock.due:
                self.clock.measure(self._connection)
            return self._connection, _number(self._connection.execute(begin))
        except psycopg.Error:
            if fresh or not self._connection.broken:
                self._connection.roll_back()
                raise
        self._drop()
        return self._begun(begin)

    @property
    def _connect_s(self) -> int:
        return max(LEAST_CONNECT_S, round(self._patience_s))

    def _connected(self) -> PostgresConnection:
        if monotonic() < self._silent_until_s:
            raise _no_answer()
        try:
            connection = connect(self.address, self._connect_s)
        except psycopg.errors.ConnectionTimeout:
            self._silent_until_s = monotonic() + SILENT_S
            raise
        try:
            if not self._migrated:
                migrate(connection, str(self.address), WRITES)
                self._migrated = True
            self.clock.measure(connection)
        except psycopg.errors.InsufficientPrivilege:
            connection.close()
            raise Misconfigured(
                f"The tables of the database {self.address} are to be made, and this role may not.",
                "Let its owner start the program once, or grant it CREATE on the schema.",
            ) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop_if_useless(self, error: psycopg.Error) -> None:
        """End a connection that is lost, or with a server that takes no writes any more: another one may."""
        if self._connection is not None and (self._connection.broken or error.diag.sqlstate == READ_ONLY):
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _no_answer() -> psycopg.OperationalError:
    return psycopg.errors.ConnectionTimeout("connection timeout expired")


def _turn(kind: Literal["", "_shared"] = "") -> str:
    """Return what waits for the turn of writes, or until nobody writes."""
    return f"SELECT pg_advisory_xact_lock{kind}({WRITES})"


def _number(result: PostgresResult) -> int:
    row = result.last()
    return int(row[0] or 0) if row else 0
