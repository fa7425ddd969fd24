"""The curve of one record, from the prices in the journal: nothing is asked of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_server.domain.scoring.curve import record_curve
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import iso, timeframe_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.scoring.record import Record
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.outcomes import Outcomes, SettledOutcome

COLUMNS = ("exit_time", "record_pct", "holding_pct")


def curve_of(
    record: Record, outcomes: Outcomes, computed: Sequence[SettledOutcome], strategy: Strategy | None
) -> dict[str, Any]:
    """Return the curve of a record as fields of an answer; it has no rows where nothing is judged.

    Args:
        record: of one strategy and kind.
        outcomes: the journal's.
        computed: outcomes that may not be in the journal.
        strategy: as it was when its runs were made; None: that is not known.
    """
    entry, exit_ = outcomes.prices(record.judged.execution_id, computed)
    curve = record_curve(record.judged, entry, exit_, _interval_ms(record, strategy))
    points = [] if curve is None else zip(curve.time_ms.tolist(), curve.record_pct, curve.holding_pct, strict=True)
    rows = [[iso(at), *(significant(float(value)) for value in values)] for at, *values in points]
    return {"parts": curve and curve.parts, "columns": [*COLUMNS], "rows": rows}


def _interval_ms(record: Record, strategy: Strategy | None) -> int | None:
    """Return how often the runs of a record came, where the schedule says so; by hand there is none."""
    if strategy is None or strategy.config.interval is None or record.kind != "live":
        return None
    return timeframe_ms(strategy.config.interval)
