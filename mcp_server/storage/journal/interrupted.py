"""Runs whose process is gone: their rows still say `running`, and end here as interrupted."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.domain.outcome import Status
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.liveness import is_alive
from mcp_server.storage.journal.outbox import Outbox
from mcp_server.storage.sql import SqlConnection

KEY = re.compile(r"[0-9a-f]{32}(\.[0-9]+)?", re.ASCII)
"""The key of a run or a runner. Files of other names are not ours, and are left alone."""

BROKEN = "its outcome could not be read, and was moved to outbox/broken/"
KILLED = "interrupted: the process that ran it was killed or lost power before it could end"
ORPHANED = "interrupted: it was under way when this home was copied or restored, and nothing here goes on with it"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Finds and ends interrupted runs.

    Args:
        running: the folder with one locked file for each process that has runs under way.
        outbox: the outcomes that are not in the database yet; their runs are not interrupted.
    """

    running: Path
    outbox: Outbox

    def dead(self) -> Iterator[str]:
        """Yield the keys of runs, or of runners, whose process ended without entering every outcome."""
        try:
            files = list(self.running.iterdir())
        except OSError:
            return
        for file in files:
            # The outbox is looked at after the lock: a run leaves its outcome there before it lets go.
            if KEY.fullmatch(file.name) and not is_alive(file) and file.name not in self.outbox.run_keys():
                yield file.name

    def end_dead(self, connection: SqlConnection) -> list[str]:
        """End the rows of dead runs; return their keys. Their files may go only when this is committed."""
        dead = list(self.dead())
        for key in dead:
            connection.execute(
                "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
                "WHERE (run_key = ? OR starts_with(run_key, ?)) AND NOT run_key = ANY(CAST(? AS VARCHAR[])) "
                "AND status = ?",
                [
                    Status.ERROR,
                    KILLED,
                    naive(datetime.now(UTC)),
                    key,
                    f"{key}.",  # a runner has one key, each of its slots that and a number
                    [*filter(KEY.fullmatch, self.outbox.run_keys())],
                    Status.RUNNING,
                ],
            )
        return dead

    def end_orphans(self, connection: SqlConnection) -> None:
        """End the rows that say `running`, but for which no process here has ever shown itself.

        Not those that a host's own model is to end: no process stands for these, and they end by themselves.
        """
        try:
            here = {file.name for file in self.running.iterdir()}
        except OSError:  # nobody can say who is alive
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
                [Status.ERROR, ORPHANED, naive(datetime.now(UTC)), orphans],
            )


def end_broken(connection: SqlConnection, keys: Iterable[str]) -> None:
    """End the rows of runs whose outcome cannot be read; what they cost is unknown."""
    connection.execute(
        "UPDATE executions SET status = ?, error_message = ?, completed_at = ? "
        "WHERE run_key = ANY(CAST(? AS VARCHAR[])) AND status = ?",
        [Status.ERROR, BROKEN, naive(datetime.now(UTC)), [*filter(KEY.fullmatch, keys)], Status.RUNNING],
    )
