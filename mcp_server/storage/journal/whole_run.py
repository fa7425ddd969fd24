"""One run whole, as the journal has it: its row, its signal, what became of that, and what happened on the way."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mcp_server.domain.news.in_trace import Links
from mcp_server.domain.outcome import Status
from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.by_then import AT_ITS_TIME
from mcp_server.storage.journal.entries import BY_THEN, OF_ONE, Entry, read
from mcp_server.storage.news.links import links_of
from mcp_server.storage.sql import SqlConnection

_WHOLE = (
    "SELECT e.strategy_version, e.decision_version, e.model, e.tokens_used, e.exchange, e.symbol, "  # noqa: S608 - ours
    "CAST(e.trace AS VARCHAR), CAST(a.data AS VARCHAR) FROM executions e "
    f"LEFT JOIN analysis_results a ON a.execution_id = e.id WHERE {OF_ONE} AND {BY_THEN['all']} AND e.id = $3 "
    f"AND (NOT $4 OR {AT_ITS_TIME})"
)


@dataclass(frozen=True, slots=True)
class WholeRun:
    """One run. `trace` and `data` are JSON values of any shape; None where there are none, or they cannot be read.

    `links` are the addresses of the news that its sub-agents saw. What is null of `decision_version` and the names
    after it was not noted by the version that ran it.
    """

    entry: Entry
    version: str
    decision_version: str | None
    model: str | None
    tokens_used: int | None
    exchange: str | None
    symbol: str | None
    trace: Any
    data: Any
    links: Links = field(default_factory=dict)


def whole_run(
    connection: SqlConnection,
    execution_id: int,
    strategy: str | None,
    until: datetime,
    *,
    at_its_time: bool = False,
) -> WholeRun | None:
    """Return a run as it stood at `until`; None where it had not begun, or is not of this strategy.

    With `at_its_time`, None too where it was made later: see `AT_ITS_TIME`.
    """
    row = connection.execute(_WHOLE, [strategy, naive(until), execution_id, at_its_time]).fetchone()
    if row is None:
        return None
    (entry,) = read(connection, [execution_id], until)
    run = WholeRun(entry, *row[:-2], *map(_json, row[-2:]))
    if entry.status != Status.RUNNING:
        return replace(run, links=links_of(connection, run.trace))
    return replace(run, model=None, tokens_used=None, trace=None, data=None)  # what it came to is not known yet


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
