"""Transactions on an open connection: one piece of work, or several that waited together."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mcp_server.storage.database_errors import could_not_be_used

if TYPE_CHECKING:
    from concurrent.futures import Future

    import duckdb

T = TypeVar("T")
Work = Callable[["duckdb.DuckDBPyConnection"], T]
Job: TypeAlias = "tuple[Callable[[Any], Any], Future[Any]]"
"""Work, and the future of whoever waits for its result."""

Transact = Callable[[Callable[[Any], Any]], Any]
"""Runs work in a transaction of its own and returns what it returns."""


class WaitingWrites:
    """Writes of all threads: whoever gets its turn runs all that wait, in one transaction.

    Args:
        turn: what it waits for.
        run: runs a batch by `run_batch`; what it raises is raised for each that has no result yet.
    """

    def __init__(self, turn: threading.Lock, run: Callable[[list[Job]], None]) -> None:
        self._turn = turn
        self._run = run
        self._queueing = threading.Lock()
        self._waiting: list[Job] = []

    def write(self, work: Callable[[Any], T]) -> T:
        """Have work done, and return what it returns."""
        from concurrent.futures import Future  # who reads needs none

        mine: Future[T] = Future()
        with self._queueing:
            self._waiting.append((work, mine))
        with self._turn:
            if not mine.done():
                with self._queueing:
                    batch, self._waiting = self._waiting, []
                self._lead(batch)
        return mine.result()

    def _lead(self, batch: list[Job]) -> None:
        try:
            self._run(batch)
        except BaseException as error:  # whatever stopped the one that leads, nobody may wait for ever
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)


def run_batch(transact: Transact, batch: list[Job]) -> None:
    """Run what waited together in one transaction; if one of them fails, each by itself."""
    if len(batch) == 1 or not _together(transact, batch):
        for job in batch:
            _alone(transact, *job)


def transaction(connection: "duckdb.DuckDBPyConnection", path: Path, work: Work[T]) -> T:
    """Run work in a transaction of its own and return what it returns."""

    def committed(c: "duckdb.DuckDBPyConnection") -> T:
        c.execute("BEGIN")
        try:
            result = work(c)
            c.execute("COMMIT")
        except BaseException:
            _roll_back(c)
            raise
        return result

    return translated(connection, path, committed)


def translated(connection: "duckdb.DuckDBPyConnection", path: Path, work: Work[T]) -> T:
    """Run work; what DuckDB raises because of the machine becomes `Retryable`."""
    from mcp_server.domain.duckdb_core import duckdb

    try:
        return work(connection)
    except (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException, duckdb.InternalException) as error:
        raise could_not_be_used(path, error) from None


def _together(transact: Transact, batch: list[Job]) -> bool:
    try:
        results = transact(lambda c: [work(c) for work, _ in batch])
    except Exception:  # each is run again by itself, and raises what is its own
        return False
    for (_, future), result in zip(batch, results, strict=True):
        future.set_result(result)
    return True


def _alone(transact: Transact, work: Callable[[Any], Any], future: "Future[Any]") -> None:
    try:
        future.set_result(transact(work))
    except BaseException as error:  # it belongs to whoever waits for this future
        future.set_exception(error)


def _roll_back(connection: "duckdb.DuckDBPyConnection") -> None:
    from mcp_server.domain.duckdb_core import duckdb

    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:  # a fatal error has already ended the transaction
        return
