"""What of the journal's past can go: how old runs came to their ends, and their reports. Every row stays.

A row is what others rest on: a slot that has one is never run or recorded again; signals, outcomes, costs and what is
pending are read from it. Its trace, most of the file, is only ever looked at. The runs of a replay keep theirs:
a replay that goes on estimates by them.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import naive
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home

if TYPE_CHECKING:
    import duckdb

_OLD = "trace IS NOT NULL AND completed_at < {before} AND status <> 'running' AND \"trigger\" <> 'replay'"


@dataclass(frozen=True, slots=True)
class Prunable:
    """What can go: traces of runs, and files of reports, each with their bytes."""

    traces: int
    trace_bytes: int
    reports: int
    report_bytes: int


def prunable(database: Database, home: Home, before: datetime) -> Prunable:
    """Count what can go of runs that ended before a moment; nothing is changed."""
    traces, size = 0, 0
    if database.path.exists():
        traces, size = database.read(lambda connection: _traces(connection, before))
    sizes = [file.lstat().st_size for file in _reports(home, before)]
    return Prunable(traces, size, len(sizes), sum(sizes))


def prune(database: Database, home: Home, before: datetime) -> None:
    """Remove it. The journal is replaced in one step; then the reports go, one after the other.

    Raises:
        Retryable, Misconfigured: as `Database.rewrite`; then nothing was changed.
    """
    if database.path.exists():
        old = _OLD.format(before=f"TIMESTAMP '{naive(before).isoformat(sep=' ')}'")
        database.rewrite({"executions.trace": f"CASE WHEN {old} THEN NULL ELSE trace END"})
    for file in list(_reports(home, before)):
        file.unlink(missing_ok=True)


def _traces(connection: "duckdb.DuckDBPyConnection", before: datetime) -> tuple[int, int]:
    query = f"SELECT count(*), coalesce(sum(strlen(CAST(trace AS VARCHAR))), 0) FROM executions WHERE {_OLD}"  # noqa: S608
    row = connection.execute(query.format(before="?"), [naive(before)]).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return int(row[0]), int(row[1])


def _reports(home: Home, before: datetime) -> Iterator[Path]:
    """Yield the files of reports and their charts that were written before a moment; what links lead to is not ours."""
    for folder in _entries(home.analysis):
        if folder.is_dir(follow_symlinks=False):
            for file in _entries(Path(folder.path)):
                status = file.stat(follow_symlinks=False)
                ours = file.name.endswith((".md", ".png")) and stat.S_ISREG(status.st_mode)
                if ours and status.st_mtime < before.timestamp():
                    yield Path(file.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
