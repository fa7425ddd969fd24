"""Opening the DuckDB file: in this program's turn, and patiently where another process holds it.

It is attached to a DuckDB in memory that stays: to start one takes 14 ms of a core, to attach and detach a file 1 to 3.
One that nobody has used for a while ends, and what it took goes back to the system.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.domain.unbroken import WORK
from mcp_server.storage.database_errors import Held, check_regular, why_not_opened
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

TURN_S = 0.005
"""It asks for its turn this often. It costs little, and nobody else opens the file before the one that is next."""

REST_S = 10.0
"""After how long without use the DuckDB in memory ends."""

NAME = "file"
"""Of the attached file, in SQL."""

Start = Callable[[], "duckdb.DuckDBPyConnection"]
"""Starts the DuckDB in memory that the file is attached to."""


class NotInTurn(Held):
    """Another program of this project has the turn, or is next."""


def in_memory(**config: str) -> "duckdb.DuckDBPyConnection":
    """Start a DuckDB in memory."""
    from mcp_server.domain.duckdb_core import duckdb

    return duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", **config})


class DatabaseFile:
    """The file as this program opens it, once at a time; who has opened it calls `close`.

    To open raises what the methods of `Database` raise.
    """

    def __init__(
        self, path: Path, prepare: Callable[[], None] | None, patience_s: float, start: Start | None = None
    ) -> None:
        self.path = path
        self._prepare = prepare
        self._patience_s = patience_s
        self._gave_up_at = -HELD_S
        self._hurried = False
        self._turn = FileTurn(path)
        self._start = start
        self._duckdb: duckdb.DuckDBPyConnection | None = None
        self._work: object = None
        self._last: duckdb.DuckDBPyConnection | None = None  # kept, as to drop it is work of DuckDB's, too
        self._changing = threading.Lock()
        self._connected = False
        self._used_at = 0.0
        self._resting = False

    def hurry(self) -> None:
        """Wait no longer than `SHORT_PATIENCE_S` from now on, also where a wait has begun: this program is ending."""
        self._hurried = True

    def close(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Close the file, and let other programs have their turn."""
        try:
            self._disconnect(connection)
        finally:
            self._turn.leave()

    def open(self, *, read_only: bool, most_s: float | None = None) -> "duckdb.DuckDBPyConnection":
        """Wait for the file, at most `most_s` seconds if that is less than usual, and connect to it."""
        in_vain = self._hurried or time.monotonic() - self._gave_up_at < HELD_S
        patience_s = min(SHORT_PATIENCE_S if in_vain else self._patience_s, most_s or self._patience_s)

        def worth_waiting(error: Exception) -> bool | float:
            if not isinstance(error, Held) or (self._hurried and not in_vain):
                return False
            return TURN_S if isinstance(error, NotInTurn) else True

        try:
            try:
                connection = self._in_turn(read_only=read_only)
            except Held as held:
                if not worth_waiting(held):
                    raise
                connection = self._in_a_later_turn(worth_waiting, patience_s, read_only=read_only)
        except Held:
            if most_s is None:  # who waits less than usual cannot say that it was in vain
                self._gave_up_at = time.monotonic()
            raise
        finally:
            self._turn.give_up()
        self._gave_up_at = -HELD_S
        return connection

    def _in_a_later_turn(
        self, worth_waiting: Callable[[Exception], bool | float], patience_s: float, *, read_only: bool
    ) -> "duckdb.DuckDBPyConnection":
        import stamina

        # That it waits for its turn is no news, and would be told on standard output, where an MCP host listens.
        stamina.instrumentation.set_on_retry_hooks(())
        for attempt in stamina.retry_context(
            on=worth_waiting, attempts=None, timeout=patience_s, wait_initial=0.005, wait_max=0.1, wait_jitter=0.05
        ):
            with attempt:
                connection = self._in_turn(read_only=read_only)
        return connection

    def connect(self, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
        """Connect to the file at once."""
        check_regular(self.path)
        self._work = WORK.begin()
        try:
            return self._attached(read_only=read_only)
        except BaseException:
            WORK.end(self._work)
            raise

    def _attached(self, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
        from mcp_server.domain.duckdb_core import duckdb

        with self._changing:
            if self._duckdb is None:
                self._duckdb = self._start() if self._start else in_memory(temp_directory=f"{self.path}.tmp")
            self._last = connection = self._duckdb.cursor()
            self._connected = True
        try:
            mode = "READ_ONLY" if read_only else "READ_WRITE"
            connection.execute(f"ATTACH {_quoted(str(self.path))} AS {NAME} ({mode})")
            connection.execute(f"USE {NAME}")
        except duckdb.Error as error:
            connection.close()
            self._start_anew()
            self._connected = False
            raise why_not_opened(self.path, str(error)) from None
        return connection

    def _disconnect(self, connection: "duckdb.DuckDBPyConnection") -> None:
        try:
            self._detach(connection)
        finally:
            WORK.end(self._work)

    def _detach(self, connection: "duckdb.DuckDBPyConnection") -> None:
        from mcp_server.domain.duckdb_core import duckdb

        connection.close()
        try:
            if self._duckdb is not None:
                self._duckdb.execute(f"DETACH {NAME}")
        except duckdb.Error:  # what was committed is in the file or its log
            self._start_anew()
        self._used_at, self._connected = time.monotonic(), False
        if not self._resting and self._start is None:  # who starts it goes on with it
            self._resting = True
            self._rest_in(REST_S)

    def _rest_in(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._rest)
        timer.daemon = True
        timer.start()

    def _rest(self) -> None:
        """End the DuckDB in memory where nobody has used it for long enough, else look again later."""
        from mcp_server.domain.memory_at_rest import give_back_memory  # one command in ten lives that long

        with WORK.unbroken(), self._changing:
            left = self._used_at + REST_S - time.monotonic()
            self._resting = self._connected or left > 0
            if not self._resting:
                self._start_anew()
                give_back_memory()
                return
        self._rest_in(REST_S if self._connected else left)

    def _start_anew(self) -> None:
        """End the DuckDB in memory, and so whatever it still holds: after a fatal error it does nothing any more."""
        if self._duckdb is not None:
            self._duckdb.close()
            self._duckdb = None

    def _in_turn(self, *, read_only: bool) -> "duckdb.DuckDBPyConnection":
        """Connect in this program's turn, which ends with `leave`."""
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
        try:
            if not self._turn.take():
                raise NotInTurn(self.path, "another program of Claude Trader is at work in it")
        except OSError as error:
            if not read_only:  # where nobody can make a file, nobody writes either
                raise unwritable(self.path, error) from None
        try:
            before = self._turn.written()
            connection = self.connect(read_only=read_only)
            if before is not None and self._turn.written() != before:
                self._disconnect(connection)
                raise Held(self.path, "another process wrote it at this very moment")
        except BaseException:
            self._turn.leave()
            raise
        return connection


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
