"""Opening the DuckDB file: in this program's turn, and patiently where another process holds it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.storage.database_errors import Held, first_sentence, why_not_opened
from mcp_server.storage.file_turn import FileTurn
from mcp_server.storage.home import unwritable

if TYPE_CHECKING:
    import duckdb

PATIENCE_S = 10.0
"""How long a transaction waits for a file that another process holds."""

SHORT_PATIENCE_S = 0.5
"""How long it waits after another has just waited in vain: whoever holds the file then is in no hurry."""

HELD_S = 60.0
"""For how long that is taken to be so."""


class DatabaseFile:
    """The file as this program opens it; who has opened it calls `leave` once the connection is closed.

    To open and to attach raise what the methods of `Database` raise.
    """

    def __init__(self, path: Path, prepare: Callable[[], None] | None, patience_s: float) -> None:
        self.path = path
        self._prepare = prepare
        self._patience_s = patience_s
        self._gave_up_at = -HELD_S
        self._hurried = False
        self._turn = FileTurn(path)

    def hurry(self) -> None:
        """Wait no longer than `SHORT_PATIENCE_S` from now on, also where a wait has begun: this program is ending."""
        self._hurried = True

    def leave(self) -> None:
        """Let other programs have their turn."""
        self._turn.leave()

    def open(self, *, read_only: bool, most_s: float | None = None) -> "duckdb.DuckDBPyConnection":
        """Wait for the file, at most `most_s` seconds if that is less than usual, and connect to it."""
        return self._patiently(lambda: self.connect(read_only=read_only), most_s, read_only=read_only)

    def attach(self) -> "duckdb.DuckDBPyConnection":
        """Wait for the file, and attach it to a database in memory, as `file` and to be read only."""
        return self._patiently(self._attached, None, read_only=True)

    def connect(self, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
        """Connect to the file at once."""
        import duckdb

        try:
            return duckdb.connect(self.path, read_only=read_only, config={"autoinstall_known_extensions": "false"})
        except duckdb.ConnectionException as error:  # this very process has it open in the other mode
            raise Held(self.path, first_sentence(error)) from None
        except duckdb.Error as error:
            raise why_not_opened(self.path, str(error)) from None

    def _attached(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "threads": "1"})
        try:
            connection.execute(f"ATTACH {_quoted(str(self.path))} AS file (READ_ONLY)")
        except duckdb.Error as error:
            connection.close()
            raise why_not_opened(self.path, str(error)) from None
        return connection

    def _in_turn(
        self, connect: Callable[[], "duckdb.DuckDBPyConnection"], *, read_only: bool
    ) -> "duckdb.DuckDBPyConnection":
        """Connect in this program's turn, which ends with `leave`."""
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
        try:
            if not self._turn.take():
                raise Held(self.path, "another program of Claude Trader is at work in it")
        except OSError as error:
            if not read_only:  # where nobody can make a file, nobody writes either
                raise unwritable(self.path, error) from None
        try:
            before = self._turn.written()
            connection = connect()
            if before is not None and self._turn.written() != before:
                connection.close()
                raise Held(self.path, "another process wrote it at this very moment")
        except BaseException:
            self._turn.leave()
            raise
        return connection

    def _patiently(
        self, connect: Callable[[], "duckdb.DuckDBPyConnection"], most_s: float | None, *, read_only: bool
    ) -> "duckdb.DuckDBPyConnection":
        """Wait for the file where another process holds it."""
        import stamina

        # That it waits for its turn is no news, and would be told on standard output, where an MCP host listens.
        stamina.instrumentation.set_on_retry_hooks(())

        in_vain = self._hurried or time.monotonic() - self._gave_up_at < HELD_S
        patience_s = min(SHORT_PATIENCE_S if in_vain else self._patience_s, most_s or self._patience_s)

        def worth_waiting(error: Exception) -> bool:
            return isinstance(error, Held) and (in_vain or not self._hurried)

        try:
            for attempt in stamina.retry_context(
                on=worth_waiting, attempts=None, timeout=patience_s, wait_initial=0.005, wait_max=0.1, wait_jitter=0.05
            ):
                with attempt:
                    connection = self._in_turn(connect, read_only=read_only)
        except Held:
            if most_s is None:  # who waits less than usual cannot say that it was in vain
                self._gave_up_at = time.monotonic()
            raise
        self._gave_up_at = -HELD_S
        return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
