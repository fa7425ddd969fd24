"""The journal: one row for each run, one more for its signal, and nothing lost when the database is held by others."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.checks.budget import Costs
from mcp_server.errors import TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.liveness import Liveness, is_alive
from mcp_server.storage.journal.outbox import Outbox
from mcp_server.storage.journal.rows import Claimed, Entry, Run, ended_run, enter, entry, has_run, insert_run, naive

if TYPE_CHECKING:
    import duckdb

MOST_COST_USD = 10**9
"""A cost beyond this is no cost, and its column could not hold much more."""

RECENT_RUNS = 100
"""What runs cost is estimated from so many of the latest."""

COSTS_PATIENCE_S = 2.0
"""Whoever checks a strategy waits no longer to learn what it costs: without that, the rest is as good."""

_LATEST = {
    "signals": "SELECT execution_id FROM analysis_results "
    "WHERE ($1 IS NULL OR strategy_id = (SELECT id FROM strategies WHERE name = $1)) "
    "AND ($2 IS NULL OR timestamp <= $2) ORDER BY execution_id DESC LIMIT $3",
    "all": "SELECT id FROM executions WHERE ($1 IS NULL OR strategy_id = (SELECT id FROM strategies WHERE name = $1)) "
    "AND ($2 IS NULL OR as_of <= $2) ORDER BY id DESC LIMIT $3",
}
"""The ids of the latest runs: of one strategy or of all, up to a moment."""

STRAY = "interrupted: it was under way when this home was copied or restored, and nothing here goes on with it"

_RAN = (Status.SUCCESS, Status.ABSTAINED, Status.ERROR, Status.TIMEOUT)

__all__ = ["Claimed", "Entry", "Journal", "Run"]


class Journal:
    """The record of runs in one home."""

    def __init__(self, database: Database, home: Home) -> None:
        self._database = database
        self._home = home
        self._outbox = Outbox(home.outbox)

    def claim(self, run: Run) -> Claimed:
        """Give a run its row, with the status `running`, and its strategy a row that mirrors its folder.

        Raises:
            Retryable, Misconfigured: as `Database.write`; then the run has no row and must not start.
        """
        self._home.prepare()
        self.settle()
        key = uuid4().hex
        presence = Liveness(self._home.running / key)
        try:
            execution_id = self._database.write(lambda connection: insert_run(connection, run, key))
            return Claimed(execution_id, run, key, presence)
        except BaseException:
            presence.close()
            raise

    def finish(
        self, claimed: Claimed, outcome: Outcome, completed_at: datetime, *, began_at: datetime | None = None
    ) -> str | None:
        """Enter how a run ended; give None, or why it could only be left in the outbox, to be entered later.

        `began_at` is when it began, where it had to wait for its turn after it was claimed.

        An outcome that cannot be kept as it is, because it holds a number that is none, say, is entered as an error.

        Raises:
            Misconfigured: neither the database nor the outbox can be written; `settle` will end the row as interrupted.
        """
        kept = False
        try:
            if began_at is not None:
                claimed = replace(claimed, run=replace(claimed.run, started_at=began_at))
            ended, why_later = self._entered(claimed, outcome, completed_at)
            if why_later is not None:
                self._outbox.put(ended["run_key"], ended)
            kept = True
            return why_later
        finally:
            if claimed.presence is not None:
                claimed.presence.close(forget=kept)

    def _entered(self, claimed: Claimed, outcome: Outcome, completed_at: datetime) -> tuple[dict[str, Any], str | None]:
        """Enter an outcome, or else an error in its place; give what was entered, and why it is not in yet."""
        import duckdb

        try:
            ended = ended_run(claimed, outcome, completed_at)
            return ended, self._try_to_enter(ended)
        except (ValueError, duckdb.Error) as error:
            why = _refusal(error)
            cost = outcome.cost_usd
            known = cost is not None and cost.is_finite() and 0 <= cost < MOST_COST_USD
            refused = Outcome(
                Status.ERROR, error=why, tokens_used=outcome.tokens_used, cost_usd=cost if known else None
            )
            ended = ended_run(claimed, refused, completed_at)
            return ended, self._try_to_enter(ended)

    def _try_to_enter(self, ended: dict[str, Any]) -> str | None:
        try:
            self._database.write(lambda connection: enter(connection, ended))
        except TraderError as error:
            return str(error)
        return None

    def settle(self) -> None:
        """Enter what waits in the outbox, and end the rows of runs that were killed.

        Raises:
            Retryable, Misconfigured: as `Database.write`; then everything is still there to be settled later.
        """
        for name, ended in list(self._outbox):
            if self._entered_late(ended):
                self._outbox.remove(name)
        if any(True for _ in self._dead()):
            for key in self._database.write(self._end_the_dead):
                (self._home.running / key).unlink(missing_ok=True)

    def _entered_late(self, ended: Mapping[str, Any]) -> bool:
        """Enter what waits, or an error in its place where it cannot be kept as it is: no slot may wait for that."""
        import duckdb

        try:
            return self._database.write(partial(_enter_waiting, ended))
        except (ValueError, duckdb.Error) as error:
            gone = {"status": str(Status.ERROR), "error": _refusal(error), "signal": None, "trace": None, "model": None}
            spent = {"tokens_used": None, "cost_usd": None, "own_failure": True}  # unknown counts as the most it may be
            return self._database.write(partial(_enter_waiting, {**ended, **gone, **spent}))

    def end_strays(self) -> None:
        """End the rows that are running, they say, and that no process here has ever shown itself for.

        A home that was restored from a backup has them: what ran when it was made, and `running/` is not in it.

        Raises:
            Retryable, Misconfigured: as `Database.write`; then they are still there to be ended later.
        """
        self._database.write(self._end_the_strays)

    def entries(
        self,
        strategy: str | None = None,
        *,
        limit: int = 20,
        outcomes: Literal["signals", "all"] = "signals",
        until: datetime | None = None,
    ) -> list[Entry]:
        """Give the latest runs, newest first: those with a signal, or all of them; none with an as-of after `until`.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> list[Entry]:
            told = None if until is None else naive(until)
            latest = connection.execute(_LATEST[outcomes], [strategy, told, limit]).fetchall()
            ids = [row[0] for row in latest]
            if not ids:
                return []
            # The bounds are there for speed alone: by them, years of other rows need not be read.
            rows = connection.execute(
                "SELECT e.id, s.name, e.engine, e.trigger, e.status, e.as_of, e.started_at, e.completed_at, a.signal, "
                "a.confidence, a.price, a.reasoning, e.error_message, e.cost_usd, e.scheduled_at, e.slots "
                "FROM executions e JOIN strategies s ON s.id = e.strategy_id LEFT JOIN (SELECT * FROM analysis_results "
                "WHERE execution_id BETWEEN $2 AND $3) a ON a.execution_id = e.id "
                "WHERE e.id BETWEEN $2 AND $3 AND list_contains($1, e.id) ORDER BY e.id DESC",
                [ids, min(ids), max(ids)],
            ).fetchall()
            return [entry(row) for row in rows]

        return self._database.read(work)

    def costs(self, strategy: str) -> Costs:
        """Give what the latest runs of a strategy by claude have cost, up to `RECENT_RUNS` of those that asked a model.

        Raises:
            Retryable, Misconfigured: as `Database.read`, after `COSTS_PATIENCE_S`.
        """
        if not self._database.path.exists():
            return Costs(0, 0, None)

        def work(connection: "duckdb.DuckDBPyConnection") -> Costs:
            row = connection.execute(
                "SELECT count(*), count(cost_usd), CAST(avg(cost_usd) AS DECIMAL(18, 6)) FROM (SELECT e.cost_usd "
                "FROM executions e JOIN strategies s ON s.id = e.strategy_id WHERE s.name = $1 AND e.engine = 'claude' "
                "AND list_contains($2, e.status) AND coalesce(e.tokens_used, 1) > 0 ORDER BY e.id DESC LIMIT $3)",
                [strategy, [*_RAN], RECENT_RUNS],
            ).fetchone()
            assert row is not None  # noqa: S101 (an aggregate always gives a row)
            return Costs(*row)

        return self._database.read(work, patience_s=COSTS_PATIENCE_S)

    def trace(self, execution_id: int) -> Mapping[str, Any] | None:
        """Give what happened on the way of one run, or None where there is no such run or nothing was kept.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> Any:
            row = connection.execute("SELECT trace FROM executions WHERE id = ?", [execution_id]).fetchone()
            return json.loads(row[0]) if row and row[0] else None

        kept: Mapping[str, Any] | None = self._database.read(work)
        return kept

    def _dead(self) -> Iterator[str]:
        """Keys of runs, or of runners, whose process ended without entering every outcome."""
        try:
            files = list(self._home.running.iterdir())
        except OSError:
            return
        for file in files:
            # The outbox is looked at after the lock: a run leaves its outcome there before it lets go.
            if not is_alive(file) and file.name not in self._waiting():
                yield file.name

    def _waiting(self) -> frozenset[str]:
        """Keys of the runs whose outcome waits in the outbox."""
        return frozenset(ended["run_key"] for _, ended in self._outbox)

    def _end_the_dead(self, connection: "duckdb.DuckDBPyConnection") -> list[str]:
        """End the rows of dead runs; give their keys. Their files go only when this is committed."""
        dead = list(self._dead())
        for key in dead:
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
                "WHERE (run_key = ? OR starts_with(run_key, ?)) AND NOT list_contains(?, run_key) AND status = ?",
                [
                    Status.ERROR,
                    "interrupted: the process that ran it was killed or lost power before it could end",
                    naive(datetime.now(UTC)),
                    key,
                    f"{key}.",  # a runner has one key, each of its slots that and a number
                    [*self._waiting()],
                    Status.RUNNING,
                ],
            )
        return dead

    def _end_the_strays(self, connection: "duckdb.DuckDBPyConnection") -> None:
        try:
            here = {file.name for file in self._home.running.iterdir()}
        except OSError:  # nobody can say who is alive
            return
        waiting = self._waiting()
        rows = connection.execute("SELECT run_key FROM executions WHERE status = ?", [Status.RUNNING]).fetchall()
        # A process shows itself before its rows are written, and until each has ended or waits in the outbox.
        strays = [key for (key,) in rows if key.partition(".")[0] not in here and key not in waiting]
        if strays:
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? WHERE list_contains(?, run_key)",
                [Status.ERROR, STRAY, naive(datetime.now(UTC)), strays],
            )


def _refusal(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")
    return f"its outcome cannot be kept ({type(error).__name__}: {first[:200]!r})"


def _enter_waiting(ended: Mapping[str, Any], connection: "duckdb.DuckDBPyConnection") -> bool:
    """Enter what waits, unless this is not the database that has its row: then it goes on waiting."""
    if not has_run(connection, ended["run_key"]):
        return False
    enter(connection, ended)
    return True
