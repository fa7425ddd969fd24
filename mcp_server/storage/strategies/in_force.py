"""Strategies as they were: which version was in force at a moment, as far as versions are kept."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from mcp_server.domain.timeframes import naive
from mcp_server.errors import BadInput
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders

if TYPE_CHECKING:
    import duckdb


class RanVersion(NamedTuple):
    """The version of a strategy's latest run by a moment, and when that began."""

    version: str
    at: datetime


def ran_versions(connection: "duckdb.DuckDBPyConnection", until: datetime) -> dict[str, RanVersion]:
    """Return what the latest run of each strategy by a moment ran, by name; replays may run any version."""
    rows = connection.execute(
        "SELECT s.name, e.strategy_version, e.started_at FROM executions e JOIN (SELECT max(id) AS id FROM executions "
        "WHERE started_at <= $1 AND \"trigger\" <> 'replay' GROUP BY strategy_id) m ON m.id = e.id "
        "JOIN strategies s ON s.id = e.strategy_id",
        [naive(until)],
    ).fetchall()
    return {name: RanVersion(version, at.replace(tzinfo=UTC)) for name, version, at in rows}


def version_in_force(folders: StrategyFolders, name: str, until: datetime, ran: RanVersion | None) -> str | None:
    """Return the version of a strategy that was in force at a moment; None: it did not exist yet.

    It is the last that was written by then or, if a run came later, the one that this ran: a version that is written
    a second time keeps its first date.
    """
    written = [(kept.written_at, kept.version) for kept in folders.versions.of(name)]
    if (present := _present(folders, name)) is not None:
        written.append(present)
    since = [(at, version) for at, version in written if at <= until and (ran is None or at > ran.at)]
    return max(since)[1] if since else ran and ran.version


def strategies_at(
    folders: StrategyFolders, until: datetime, ran: Mapping[str, RanVersion], names: Iterable[str]
) -> list[ListedStrategy]:
    """Return the strategies that existed at a moment, each as it was; a version that is not kept is a problem."""
    listed = []
    for name in sorted({*names, *ran}):
        version = version_in_force(folders, name, until, ran.get(name))
        if version is None:
            continue
        try:
            listed.append(ListedStrategy(name, False, folders.read_version(name, version)))
        except BadInput:
            listed.append(ListedStrategy(name, False, None, f"Its version then, {version}, is not kept."))
    return listed


def _present(folders: StrategyFolders, name: str) -> tuple[datetime, str] | None:
    """Return when the files of a strategy were written, and their version."""
    try:
        version = folders.read(name).version
        _, *files = folders.files(name)
        changed = max(os.lstat(file).st_mtime for file in files if os.path.lexists(file))
    except (BadInput, OSError, ValueError):
        return None
    return datetime.fromtimestamp(changed, UTC), version
