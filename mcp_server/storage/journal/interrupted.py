"""Runs whose process is gone: their rows still say `running`, and end here as interrupted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mcp_server.domain.run_status import Status
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.liveness import KEY, SignsOfLife
from mcp_server.storage.journal.outbox import Outbox
from mcp_server.storage.sql import SqlConnection

BROKEN = "its outcome could not be read, and was moved to outbox/broken/"
KILLED = "interrupted: the process that ran it was killed or lost power before it could end"
ORPHANED = "interrupted: it was under way when this home was copied or restored, and nothing here goes on with it"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Finds and ends interrupted runs.

    Args:
        signs: which processes are alive.
        outbox: the outcomes that are not in the database yet; their runs are not interrupted.
    """

    signs: SignsOfLife
    outbox: Outbox

    def dead(self, connection: SqlConnection | None = None) -> Iterator[str]:
        """Yield the keys of runs, or of runners, whose process ended without entering every outcome."""
        for key in self.signs.dead(connection):
            # The outbox is looked at after the lock: a run leaves its outcome there before it lets go.
            if key not in self.outbox.run_keys():
                yield key

    def end_dead(self, connection: SqlConnection, now: datetime) -> list[str]:
        """End the rows of dead runs; return their keys. Their files may go only when this is committed."""
        dead = list(self.dead(connection))
        for key in dead:
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
                "WHERE (run_key = ? OR starts_with(run_key, ?)) AND NOT run_key = ANY(CAST(? AS VARCHAR[])) "
                "AND status = ?",
                [
                    Status.ERROR,
                    KILLED,
                    naive(now),
                    key,
                    f"{key}.",  # a runner has one key, each of its slots that and a number
                    [*filter(KEY.fullmatch, self.outbox.run_keys())],
                    Status.RUNNING,
                ],
            )
        return dead

    def end_orphans(self, connection: SqlConnection, now: datetime) -> None:
        """End the rows that say `running`, but for which no process here has ever shown itself.

        Not those that a host's own model is to end: no process stands for these, and they end by themselves.
        """
        here = self.signs.here()
        if here is None:
            return
        waiting = self.outbox.run_keys()
        rows = connection.execute(
            "SELECT run_key FROM executions WHERE status = ? AND answer_by IS NULL", [Status.RUNNING]
        ).fetchall()
        # A process shows itself before its rows are written, and until each has ended or waits in the outbox.
        orphans = [key for (key,) in rows if key.partition(".")[0] not in here and key not in waiting]
        if orphans:
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
                "WHERE run_key = ANY(CAST(? AS VARCHAR[]))",
                [Status.ERROR, ORPHANED, naive(now), orphans],
            )


def end_broken(connection: SqlConnection, keys: Iterable[str], now: datetime) -> None:
    """End the rows of runs whose outcome cannot be read; what they cost is unknown."""
    connection.execute(
        "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
        "WHERE run_key = ANY(CAST(? AS VARCHAR[])) AND status = ?",
        [Status.ERROR, BROKEN, naive(now), [*filter(KEY.fullmatch, keys)], Status.RUNNING],
    )
