"""A journal in Postgres: one connection for each process, which is made anew whenever it is lost.

Writes of all programs take turns, as with the file: each holds one advisory lock until it is committed. So what a
transaction has looked up stays true until its end: a slot is free, a budget has room.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psycopg

from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.connection import PostgresConnection, connect, could_not_be_used
from mcp_server.storage.postgres.liveness import HeldLocks
from mcp_server.storage.postgres.schema import migrate
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

WRITES = 4_714_020_631
"""The advisory lock of whoever writes; those of signs of life are beyond 2**63 possibilities."""


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
        self._signs = HeldLocks(address, self)

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What is raised where a value cannot be kept, such as NaN, or half a character."""
        return ValueError, psycopg.Error

    def exists(self) -> bool:
        """Return True: that it was never written shows only when it is read."""
        return True

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

    def write(self, work: Callable[[PostgresConnection], T]) -> T:
        """Run `work` in a transaction, one after the other with the writes of all programs; return what it returns.

        Writes that wait together share one transaction, as in `Database.write`.
        """
        return self._writes.write(work)

    def read(self, work: Callable[[PostgresConnection], T], *, patience_s: float | None = None) -> T:
        """Run `work` on what is committed now, in a transaction that cannot write, and return what it returns."""
        if not self._turn.acquire(timeout=-1 if patience_s is None else patience_s):
            raise Retryable(f"The database {self.address} is busy with this program's own work.", "Try again.")
        try:
            return self._transact("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", work)
        finally:
            self._turn.release()

    def _run(self, batch: list[Job]) -> None:
        begin = (
            f"BEGIN; SET LOCAL lock_timeout = {round(self._patience_s * 1000)}; SELECT pg_advisory_xact_lock({WRITES})"
        )
        run_batch(partial(self._transact, begin), batch)

    def _transact(self, begin: str, work: Callable[[PostgresConnection], T]) -> T:
        try:
            connection = self._begun(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.roll_back()
                raise
            return result
        except (psycopg.OperationalError, psycopg.InternalError, psycopg.errors.UniqueViolation) as error:
            self._drop_if_broken()
            raise could_not_be_used(self.address, error) from None

    def _begun(self, begin: str) -> PostgresConnection:
        """Begin a transaction; a connection that was lost while it was not used is made anew."""
        if self._connection is not None:
            try:
                self._connection.execute(begin)
            except psycopg.OperationalError:
                if not self._connection.broken:
                    self._connection.roll_back()
                    raise
                self._drop()
            else:
                return self._connection
        self._connection = self._connected()
        self._connection.execute(begin)
        return self._connection

    def _connected(self) -> PostgresConnection:
        connection = connect(self.address, max(LEAST_CONNECT_S, round(self._patience_s)))
        try:
            if not self._migrated:
                migrate(connection, str(self.address), WRITES)
                self._migrated = True
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

    def _drop_if_broken(self) -> None:
        if self._connection is not None and self._connection.broken:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
