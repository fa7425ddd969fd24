"""The engine under the rules: an in-memory DuckDB that can reach nothing, change nothing and not run for long."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mcp_server.domain.rules.time_limit import TimeLimit
from mcp_server.domain.unbroken import WORK
from mcp_server.errors import BadInput, Retryable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import numpy.typing as npt

    from mcp_server.domain.candles import Floats, Times

ResultT = TypeVar("ResultT")
Table: TypeAlias = "Mapping[str, Floats | Times]"
"""Columns of one length by their names."""

TIME_LIMIT_S = 10.0
TABLE = "candles"

_LOCK_DOWN = (
    "threads = 1",
    "memory_limit = '512MB'",
    "temp_directory = ''",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)
"""In this order: without external access the folder can't be set any more, and after the lock nothing can."""

_CTRL_C = ("Query interrupted", "KeyboardInterrupt")
"""In the middle of a query DuckDB takes Ctrl-C from Python, and raises a RuntimeError or an error of its own."""


class Engine:
    """One locked-down database. Any number of threads may use it: each call works on a connection of its own.

    Where nothing is asked for about as long as a call may take, the database ends; the next call starts another.
    """

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._limit = TimeLimit(time_limit_s, self.close)
        self._changing = Lock()
        self._database: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Release the database, which ends with the last call that is under way, and what it took."""
        from mcp_server.domain.memory_at_rest import give_back_memory

        with WORK.unbroken(), self._changing:
            self._database = None  # its own `close` would close the connections of calls, too
        give_back_memory()

    def start(self) -> Thread:
        """Start the database in a thread, beside imports, and return that: DuckDB needs no Python for most of it.

        What goes wrong there goes wrong again for the first call, which raises it.
        """

        def work() -> None:
            with WORK.unbroken(), suppress(Exception):
                self._connection()

        thread = Thread(target=work, name="engine of rules", daemon=True)
        thread.start()
        return thread

    def _connection(self) -> "duckdb.DuckDBPyConnection":
        with self._changing:
            if self._database is None:
                self._database = _locked_down()
            return self._database.cursor()

    def parse(self, select: str) -> dict[str, Any]:
        """Return the parse tree of a SELECT as DuckDB serialises it, without running it.

        Raises:
            BadInput: it is no SELECT, or nests too deeply.
        """
        rows = self._run(lambda work: work.execute("SELECT json_serialize_sql(?::VARCHAR)", [select]).fetchall())
        try:
            tree: dict[str, Any] = json.loads(rows[0][0])
        except RecursionError:
            raise BadInput("it nests too deeply.", "Split it, or drop parentheses and signs.") from None
        if tree["error"]:
            problem = f"it can't be read as an expression: {tree['error_message']}."
            raise BadInput(problem, "Write one condition, like 'rsi_14 < 30'.")
        return tree

    def query(self, sql: str, table: Table) -> list[tuple[Any, ...]]:
        """Run one SELECT over the arrays of `table`, of one length, as the table `candles`. NaN goes in as NULL.

        Raises:
            BadInput: DuckDB refuses it, or it needs too much memory.
            Retryable: it ran into the time limit.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> list[tuple[Any, ...]]:
            connection.register(TABLE, dict(table))
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.unregister(TABLE)

        return self._run(work)

    def columns(self, sql: str, table: Table) -> "dict[str, npt.NDArray[Any]]":
        """Run one SELECT as `query` does, and return its columns as arrays by their names; none may hold a NULL."""

        def work(connection: "duckdb.DuckDBPyConnection") -> "dict[str, npt.NDArray[Any]]":
            connection.register(TABLE, dict(table))
            try:
                return connection.execute(sql).fetchnumpy()
            finally:
                connection.unregister(TABLE)

        return self._run(work)

    def _run(self, work: Callable[["duckdb.DuckDBPyConnection"], ResultT]) -> ResultT:
        with WORK.unbroken():
            return self._limited(work)

    def _limited(self, work: Callable[["duckdb.DuckDBPyConnection"], ResultT]) -> ResultT:
        from mcp_server.domain.duckdb_core import duckdb

        connection = self._connection()
        try:
            with self._limit.over(connection.interrupt):
                return work(connection)
        except duckdb.InterruptException:
            raise Retryable(
                f"The rules took longer than {self._limit.seconds:g} s and were stopped.", "Try again, or shorten them."
            ) from None
        except duckdb.OutOfMemoryException:
            raise BadInput("The rules need too much memory.", "Give fewer candles, or shorten them.") from None
        except (RuntimeError, duckdb.Error) as error:
            if any(sign in str(error) for sign in _CTRL_C):
                raise KeyboardInterrupt from None
            if isinstance(error, RuntimeError):
                raise
            raise BadInput(f"The rules can't be evaluated: {str(error).splitlines()[0]}", "Rewrite them.") from None
        finally:
            connection.close()


def _locked_down() -> "duckdb.DuckDBPyConnection":
    from mcp_server.domain.duckdb_core import duckdb

    database = duckdb.connect(":memory:")
    for setting in _LOCK_DOWN:
        database.execute(f"SET {setting}")
    return database


@lru_cache(maxsize=1)
def rules_engine() -> Engine:
    """Return the engine of this process, made when it is first asked for: one is enough, as it holds nothing."""
    return Engine()
