"""What stood beside a strategy's signals: what its rules said at the same moment, how its sub-agents leaned."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_server.domain.run_trace import signal_of
from mcp_server.storage.sql import SqlConnection


@dataclass(frozen=True, slots=True)
class Statements:
    """By execution id, the signal of the twin; by sub-agent and execution id, the direction that it leaned to.

    Where nobody stated any, there is no entry.
    """

    twin: dict[int, str] = field(default_factory=dict)
    leans: dict[str, dict[int, str]] = field(default_factory=dict)


def statements(connection: SqlConnection, strategy: str) -> Statements:
    """Return what stood beside the signals of one strategy.

    Only signals that have a twin or a leaning are read whole: the evidence of a year of runs is large.
    """
    rows = connection.execute(
        "SELECT execution_id, data FROM (SELECT execution_id, CAST(data AS VARCHAR) AS data FROM analysis_results "
        "WHERE strategy_id = (SELECT id FROM strategies WHERE name = ?)) AS signals "
        "WHERE data LIKE '%\"twin\"%' OR data LIKE '%\"leans\"%' ORDER BY execution_id",
        [strategy],
    ).fetchall()
    stated = Statements()
    for execution_id, text in rows:
        data = json.loads(text)
        if (signal := _signal(data, "twin", "signal")) is not None:
            stated.twin[execution_id] = signal
        for name, lean in _leans(data):
            stated.leans.setdefault(name, {})[execution_id] = lean
    return stated


def _leans(data: Any) -> Iterator[tuple[str, str]]:
    reports = data.get("sub_agent_results") if isinstance(data, Mapping) else None
    for name in reports if isinstance(reports, Mapping) else ():
        if (lean := _signal(reports, name, "leans")) is not None:
            yield name, lean


def _signal(values: Any, *path: str) -> str | None:
    """Return what stands at a path if it is a signal."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return signal_of(values)
