"""Transactions on an open connection: one piece of work, or several that waited together."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_server.storage.database_errors import could_not_be_used

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
Work = Callable[["duckdb.DuckDBPyConnection"], T]
Job = tuple[Work[Any], Future[Any]]
"""Work, and the future of whoever waits for its result."""


def run_batch(connection: "duckdb.DuckDBPyConnection", path: Path, batch: list[Job]) -> None:
    """Run what waited together in one transaction; if one of them fails, each by itself."""
    if len(batch) == 1 or not _together(connection, path, batch):
        for job in batch:
            _alone(connection, path, *job)


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
    from mcp_server.storage.duckdb_core import duckdb

    try:
        return work(connection)
    except (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException, duckdb.InternalException) as error:
        raise could_not_be_used(path, error) from None


def _together(connection: "duckdb.DuckDBPyConnection", path: Path, batch: list[Job]) -> bool:
    try:
        results = transaction(connection, path, lambda c: [work(c) for work, _ in batch])
    except Exception:  # each is run again by itself, and raises what is its own
        return False
    for (_, future), result in zip(batch, results, strict=True):
        future.set_result(result)
    return True


def _alone(connection: "duckdb.DuckDBPyConnection", path: Path, work: Work[Any], future: Future[Any]) -> None:
    try:
        future.set_result(transaction(connection, path, work))
    except BaseException as error:  # it belongs to whoever waits for this future
        future.set_exception(error)


def _roll_back(connection: "duckdb.DuckDBPyConnection") -> None:
    from mcp_server.storage.duckdb_core import duckdb

    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:  # a fatal error has already ended the transaction
        return
