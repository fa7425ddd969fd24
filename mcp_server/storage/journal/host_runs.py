"""Runs that a host's own model decides: one call claims such a run, another one ends it, each in whatever process.

No process shows that such a run is under way. Its row says until when it may be answered: once that has passed it is
over, whoever looks next, and as of that moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcp_server.domain.run_status import Status
from mcp_server.domain.timeframes import naive
from mcp_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended, Outcome
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.rows import Claimed, Run
    from mcp_server.storage.sql import JournalDatabase, SqlConnection

SIGN = ".host"
"""How the files end that show these runs, beside those of processes."""

MOST_OPEN = 10
"""So many may be open at once, one of each strategy: they are a person's, who waits for each."""

UNANSWERED = "The host gave no answer in time: 'timeout_s' in config.json says how long it has."

_RUNS = (
    "SELECT e.id, e.run_key, s.name, e.strategy_version, e.exchange, e.as_of, e.started_at, e.answer_by, e.status, "
    "a.signal, CAST(a.confidence AS DOUBLE PRECISION), e.error_message FROM executions e "
    "JOIN strategies s ON s.id = e.strategy_id LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "WHERE e.engine = 'host' AND "
)


@dataclass(frozen=True, slots=True)
class HostRun:
    """One run that a host's own model decides, as it stands. Times are aware."""

    execution_id: int
    key: str
    strategy: str
    version: str
    exchange: str
    as_of: datetime
    started_at: datetime
    answer_by: datetime
    status: str
    signal: str | None
    confidence: float | None
    error: str | None

    @property
    def open(self) -> bool:
        """Whether it waits for its answer."""
        return self.status == Status.RUNNING

    @property
    def result(self) -> str:
        """How it ended, in a few words."""
        if self.signal is None:
            return f"{self.status}: {(self.error or '').rstrip('.')}"
        return f"{self.signal}, confidence {self.confidence:g}"

    def claimed(self, strategy: Strategy) -> Claimed:
        """Return it as any run that has its row; `strategy` is the version that it was claimed for."""
        from mcp_server.storage.journal.rows import Claimed, Run

        run = Run(
            strategy, "manual", self.as_of, "host", self.started_at, self.exchange, answer_by=self.answer_by
        )  # fmt: skip
        return Claimed(self.execution_id, run, self.key, None)


class HostRuns:
    """The runs of one home that a host's own model decides.

    Every method raises `Retryable` and `Misconfigured`, as `Database` does; then nothing has changed.

    Args:
        database: the home's.
        running: the folder with the signs of runs that are under way.
        prepare: makes the home, and ends what other processes had under way by a moment.
    """

    def __init__(self, database: JournalDatabase, running: Path, prepare: Callable[[datetime], None]) -> None:
        self._database = database
        self._running = running
        self._prepare = prepare

    def open_run(self, strategy: str, now: datetime) -> HostRun | None:
        """Return the run of a strategy that waits for its answer; None: there is none."""
        if not self._database.exists():
            return None
        runs = self._database.read(partial(_select, "e.status = 'running' AND s.name = ?", [strategy]))
        return next((run for run in runs if run.answer_by > now), None)

    def claim(self, run: Run) -> HostRun:
        """Give a run its row, or return the one of its strategy that is open: nobody may answer several and choose.

        Raises:
            BadInput: too many are open.
        """
        from mcp_server.storage.journal.rows import insert_run

        self._prepare(run.started_at)
        key = uuid4().hex

        def work(connection: SqlConnection) -> HostRun:
            end_unanswered(connection, run.started_at)
            open_runs = _select("e.status = 'running'", [], connection)
            if same := [one for one in open_runs if one.strategy == run.strategy.name]:
                return same[0]
            if len(open_runs) >= MOST_OPEN:
                names = ", ".join(one.strategy for one in open_runs)
                raise BadInput(
                    f"{MOST_OPEN} runs wait for their answers already: {names}.", "Answer one of them first."
                )
            return _select("e.id = ?", [insert_run(connection, run, key)], connection)[0]

        claimed = self._database.write(work)
        self._show(claimed)
        return claimed

    def read(self, execution_id: int, strategy: str) -> HostRun:
        """Return one run as its row says.

        Raises:
            NotFound: the strategy has no such run.
        """
        runs: Sequence[HostRun] = ()
        if self._database.exists():
            runs = self._database.read(partial(_select, "e.id = ? AND s.name = ?", [execution_id, strategy]))
        if not runs:
            raise NotFound(
                f"{strategy!r} has no run {execution_id} that waits for an answer.",
                "run_strategy without execution_id begins one.",
            )
        return runs[0]

    def end(self, run: HostRun, strategy: Strategy, outcome: Outcome, now: datetime) -> Ended | None:
        """End an open run, once; None: it was over already, or its time was.

        An outcome that the database refuses is entered as an error.
        """
        from mcp_server.storage.journal.ends import enter
        from mcp_server.storage.journal.rows import ended_run, unkept

        claimed = run.claimed(strategy)

        def enter_in_time(document: dict[str, Any], connection: SqlConnection) -> bool:
            end_unanswered(connection, now)
            if not _select("e.id = ?", [run.execution_id], connection)[0].open:
                return False
            enter(connection, document)
            return True

        def entered(outcome: Outcome) -> Ended | None:
            document = ended_run(claimed, outcome, None, now)
            done = self._database.write(partial(enter_in_time, document))
            self._sign(run).unlink(missing_ok=True)
            return claimed.ended(outcome, run.started_at, now, None) if done else None

        try:
            return entered(outcome)
        except self._database.refusals as error:
            return entered(unkept(outcome, error))

    def end_unanswered(self, now: datetime) -> bool:
        """End the runs whose time for an answer is over; return whether there were any."""
        signs = self._due(now)
        ended = self._database.write(partial(end_unanswered, now=now))
        for sign in signs:
            sign.unlink(missing_ok=True)
        return ended

    def end_if_due(self, now: datetime) -> None:
        """End them if a sign of such a run is there; without one this costs nothing."""
        if self._due(now):
            self.end_unanswered(now)

    def _show(self, run: HostRun) -> None:
        """Leave a file that is dated to the run's end: so nobody has to open the database to see that it is over."""
        with suppress(OSError):  # whoever looks into the database sees it too
            self._sign(run).touch()
            os.utime(self._sign(run), (run.answer_by.timestamp(),) * 2)

    def _sign(self, run: HostRun) -> Path:
        return self._running / f"{run.key}{SIGN}"

    def _due(self, now: datetime) -> list[Path]:
        due = []
        with suppress(OSError):
            due = [file for file in self._running.glob(f"*{SIGN}") if file.stat().st_mtime <= now.timestamp()]
        return due


def end_unanswered(connection: SqlConnection, now: datetime) -> bool:
    """End the rows whose time for an answer is over, as of that time; return whether there were any."""
    over = "engine = 'host' AND status = 'running' AND answer_by <= ?"
    ended = connection.execute(
        f"UPDATE executions SET status = ?, error_message = ?, completed_at = answer_by WHERE {over} RETURNING id",  # noqa: S608 - ours
        [Status.TIMEOUT, UNANSWERED, naive(now)],
    ).fetchall()
    return bool(ended)


def _select(condition: str, values: Sequence[Any], connection: SqlConnection) -> list[HostRun]:
    rows = connection.execute(f"{_RUNS}{condition} ORDER BY e.id", [*values]).fetchall()
    return [HostRun(*[_aware(value) for value in row]) for row in rows]


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
