"""`claude-trader up` as a program of its own, under a fast clock, on a home of a test's own.

    with RunningUp(home, speed=60) as up:
        up.until(lambda: up.rows("dip"))
        code = up.stop()

Its journal is where the fixture `kept_in` says, or TRADER_DATABASE_URL.

It is killed at the end of the block if it still runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil

from mcp_server.storage.home import Home
from mcp_server.storage.sql import JournalDatabase
from tests.rigs.fast_clock import START, FastClock
from tests.rigs.journal_databases import journal_database, with_journal
from tests.rigs.processes import command_line
from tests.rigs.warm import Warm, forked_by

CHECKOUT = Path(__file__).parents[2]
PROGRAM = "tests.rigs.fast_runner"
LIMIT_S = 60.0
"""Nothing is waited for longer, however busy the machine is."""

T = TypeVar("T")


class RunningUp:
    """Use it as a context manager.

    Args:
        home: where its strategies are.
        speed: how many seconds of its clock pass in one.
        start: what its clock shows at `epoch_s`.
        epoch_s: a Unix time of the machine; None: now.
        grace_s: how long runs may go on after a stop, in real seconds.
        metrics_port: where it serves its metrics; 0: nowhere.
        environment: variables beside those of this process.
        warm: fork it from a process that has imported everything; False starts Python anew, as people do.
        warm_server: fork its tool server, too.
    """

    def __init__(
        self,
        home: Path,
        *,
        speed: float = 60.0,
        start: datetime = START,
        epoch_s: float | None = None,
        grace_s: float = 2.0,
        metrics_port: int = 0,
        environment: Mapping[str, str] | None = None,
        warm: bool = True,
        warm_server: bool = False,
    ) -> None:
        self.home = home
        self._warm = warm
        self._warm_server = warm_server
        self.clock = FastClock(speed, start, time.time() if epoch_s is None else epoch_s)
        self._arguments = [repr(speed), start.isoformat(), repr(self.clock.epoch_s), repr(grace_s), str(metrics_port)]
        # What it starts is told by its scratch folder, also where it sees nothing else of this environment.
        self.mark = str(home.parent / "scratch")
        Path(self.mark).mkdir(exist_ok=True)
        own = {"TRADER_HOME": str(home), "TMPDIR": self.mark, "TRADER_NEWS": "off"}
        self._environment = with_journal(home, {**os.environ, **own, **(environment or {})})
        self._log = home.parent / f"up-{time.monotonic_ns()}.log"

    @cached_property
    def _database(self) -> JournalDatabase:
        database: JournalDatabase = journal_database(self.home)
        return database

    def __enter__(self) -> "RunningUp":
        with self._log.open("wb") as log, open(os.devnull) as nothing:
            streams = (nothing.fileno(), log.fileno(), log.fileno())
            self.process: Warm | subprocess.Popen[bytes] = (
                Warm(
                    PROGRAM,
                    self._arguments,
                    self._environment,
                    CHECKOUT,
                    streams,
                    session=True,
                    forks_servers=self._warm_server,
                )
                if self._warm
                else subprocess.Popen(
                    [sys.executable, "-m", PROGRAM, *self._arguments],
                    cwd=CHECKOUT,
                    env=self._environment,
                    stdin=nothing,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for child in self.children():
            with suppress(psutil.NoSuchProcess):  # it ends by itself, too
                child.kill()

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self._log.read_text("utf-8", "replace")

    def children(self) -> list[psutil.Process]:
        """Give every process that it has started, directly or not, and that still runs."""
        forked = forked_by(self.process.pid)
        return forked + [each for each in marked(self.mark) if each.pid != self.process.pid]

    def agents(self) -> list[psutil.Process]:
        """Give its agent CLIs."""
        return [each for each in self.children() if "_bundled/claude" in command_line(each)]

    def server(self) -> psutil.Process:
        """Give its tool server."""
        forked = forked_by(self.process.pid)
        (server,) = forked or [each for each in self.children() if "-m mcp_server " in command_line(each)]
        return server

    def until(self, found: Callable[[], T], *, within_s: float = LIMIT_S) -> T:
        """Wait until something is so; give what was found."""
        deadline = time.monotonic() + within_s
        while not (result := found()):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"never came to be within {within_s} s:\n{self.log}"
            time.sleep(0.1)  # a look at the journal opens its file, which the program wants too
        return result

    def says(self, text: str) -> str:
        """Wait until it has logged a text; give all that it has said."""
        self.until(lambda: text in self.log)
        return self.log

    def beat(self) -> dict[str, Any]:
        """Wait for a heartbeat; give the latest."""
        file = Home(self.home).heartbeat
        self.until(file.exists)
        said: dict[str, Any] = json.loads(file.read_text())
        return said

    def rows(self, name: str | None = None, *, ended: bool = True) -> list[dict[str, Any]]:
        """Give the rows of slots, oldest first; those that still run only without `ended`."""
        if not self._database.exists():
            return []
        return rows_of(self._database, name, ended=ended)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    def ended(self, within_s: float) -> int:
        """Wait for its end; give its exit code."""
        try:
            code: int = self.process.wait(within_s)
        except psutil.TimeoutExpired:
            raise AssertionError(f"it has not ended within {within_s} s:\n{self.log}") from None
        return code

    def stop(self, within_s: float = 20.0) -> int:
        """End it as an init system does; give its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended(within_s)


def rows_of(database: JournalDatabase, name: str | None = None, *, ended: bool = True) -> list[dict[str, Any]]:
    """Give the rows of slots in a journal, oldest first, each with its strategy and signal."""
    columns = (
        "id",
        "strategy",
        "scheduled_at",
        "slots",
        "as_of",
        "engine",
        "status",
        "error_message",
        "started_at",
        "completed_at",
        "cost_usd",
        "own_failure",
        "version",
        "decision_version",
        "recorded_usd",
        "contaminated",
        "signal",
        "data",
        "trace",
    )

    def work(connection: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = connection.execute(
            "SELECT e.id, s.name, e.scheduled_at, e.slots, e.as_of, e.engine, e.status, e.error_message, e.started_at, "
            "e.completed_at, e.cost_usd, e.own_failure, e.strategy_version, e.decision_version, e.recorded_usd, "
            "e.contaminated, a.signal, a.data, e.trace "
            "FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "LEFT JOIN analysis_results a ON a.execution_id = e.id "
            "WHERE e.\"trigger\" = 'schedule' "
            "AND (CAST($1 AS VARCHAR) IS NULL OR s.name = $1) AND (CAST($2 AS BOOLEAN) OR e.status <> 'running') "
            "ORDER BY e.scheduled_at, e.id",
            [name, not ended],
        ).fetchall()
        return found

    return [dict(zip(columns, row, strict=True)) for row in database.read(work)]


def write_strategy(home: Path, name: str, agents: Mapping[str, Any] | None = None, /, **config: Any) -> None:
    """Write a strategy by hand, as an editor does: rules on the simulated exchange every minute, unless said."""
    folder = home / "strategies" / name
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any] = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1m", "offset_s": 0}
    if agents is None:
        said["rules"] = {"buy": "close > open", "sell": "close <= open"}
    said |= config
    said = {key: value for key, value in said.items() if value is not None}
    (folder / "agents.json").write_text(json.dumps(agents or {}))
    (folder / "config.json").write_text(json.dumps(said))


def edit(home: Path, name: str, **config: Any) -> None:
    """Change some of a strategy's config by hand; its folder must be there."""
    file = home / "strategies" / name / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))


def marked(mark: str) -> list[psutil.Process]:
    """Give the running processes that carry a mark in their environment."""
    return [each for each in psutil.process_iter() if each.pid != os.getpid() and _carries(each, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and any(mark in said for said in process.environ().values())
    except (OSError, psutil.Error):
        return False
