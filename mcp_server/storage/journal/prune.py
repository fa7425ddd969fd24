"""What of the journal's past can go: how old runs came to their ends, their reports, old copies. Every row stays.

A row is what others rest on: a slot that has one is never run or recorded again; signals, outcomes, costs and what is
pending are read from it. Its trace, most of the file, is only ever looked at. The runs of a replay keep theirs:
a replay that goes on estimates by them.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcp_server.domain.timeframes import naive
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.sql import JournalDatabase, SqlConnection

_OLD = "trace IS NOT NULL AND completed_at < {before} AND status <> 'running' AND \"trigger\" <> 'replay'"


@dataclass(frozen=True, slots=True)
class Prunable:
    """What can go, with its bytes: traces of runs, files of reports, and copies from before an upgrade."""

    traces: int
    trace_bytes: int
    reports: int
    report_bytes: int
    copies: int
    copy_bytes: int


def prunable(database: JournalDatabase, home: Home, before: datetime) -> Prunable:
    """Count what can go of runs that ended before a moment; nothing is changed."""
    traces, size = 0, 0
    if database.exists():
        traces, size = database.read(lambda connection: _traces(connection, before))
    reports, copies = ([_size(file) for file in files(home, before)] for files in (_reports, _copies))
    return Prunable(traces, size, len(reports), sum(reports), len(copies), sum(copies))


def prune(database: JournalDatabase, home: Home, before: datetime) -> list[Path]:
    """Remove it, and return the files that could not be removed.

    The journal is replaced in one step; then the files go, one after the other.

    Raises:
        Retryable, Misconfigured: as `Database.rewrite` or `write`; then nothing was changed.
    """
    if database.exists():
        if isinstance(database, Database):
            old = _OLD.format(before=f"TIMESTAMP '{naive(before).isoformat(sep=' ')}'")
            database.rewrite({"executions.trace": f"CASE WHEN {old} THEN NULL ELSE trace END"})
        else:  # the server uses the room again, and gives it back by itself
            statement = f"UPDATE executions SET trace = NULL WHERE {_OLD.format(before='?')}"  # noqa: S608 - ours
            database.write(lambda connection: connection.execute(statement, [naive(before)]))
    left = []
    for file in [*_reports(home, before), *_copies(home, before)]:
        try:
            file.unlink(missing_ok=True)
        except OSError:  # Windows removes no file that is open
            left.append(file)
    return left


def _traces(connection: SqlConnection, before: datetime) -> tuple[int, int]:
    query = f"SELECT count(*), coalesce(sum(bit_length(CAST(trace AS VARCHAR))), 0) / 8 FROM executions WHERE {_OLD}"  # noqa: S608
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


def _copies(home: Home, before: datetime) -> Iterator[Path]:
    """Yield the copies of the journal that upgrades have left, whole or not, before a moment."""
    kept = re.compile(re.escape(home.database.name) + r"\.schema-\d+(\.copying)?")
    for entry in _entries(home.root):
        status = entry.stat(follow_symlinks=False)
        if kept.fullmatch(entry.name) and stat.S_ISREG(status.st_mode) and status.st_mtime < before.timestamp():
            yield Path(entry.path)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return 0


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
