"""Which candles a question is about, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.answers import about
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, Floats, gaps
from mcp_server.domain.timeframes import first_open_ms, iso, timeframe_ms
from mcp_server.errors import BadInput
from mcp_server.market.ranges import last_closed
from mcp_server.trader.frame import Frame, Kind

if TYPE_CHECKING:
    from mcp_server.market.history import History

LIMIT = 500
MOST_CANDLES = 1_000_000


@dataclass(frozen=True, slots=True)
class CandleSpan:
    """The last `limit` candles, or all from `start_ms` on (Unix ms); 500 where neither is given."""

    limit: int | None
    start_ms: int | None

    def __post_init__(self) -> None:
        if self.limit is not None and self.start_ms is not None:
            raise BadInput("You gave both limit and start.", "Give one of them.")
        if self.limit is not None and not 1 <= self.limit <= MOST_CANDLES:
            raise BadInput(f"limit={self.limit!r} is not between 1 and {MOST_CANDLES:,}.", "Give such a number.")

    def count(self, as_of_ms: int, timeframe: str) -> int:
        """Return how many candles of a timeframe that are, up to a moment (Unix ms).

        Raises:
            BadInput: none, or too many.
        """
        if self.start_ms is None:
            return self.limit or LIMIT
        start, end = first_open_ms(self.start_ms, timeframe), last_closed(as_of_ms, timeframe, 0)[1]
        count = (end - start) // timeframe_ms(timeframe)
        if count < 1:
            problem = f"No {timeframe} candle opens at {iso(self.start_ms)} or later and has closed by {iso(as_of_ms)}."
            raise BadInput(problem, "Give an earlier start.")
        if count > MOST_CANDLES:
            raise BadInput(f"That is {count:,} candles; at most {MOST_CANDLES:,} are given at once.", "Ask in parts.")
        return count

    def first(self, candles: Candles) -> int:
        """Return the position of the first candle that was asked for; those before it are warm-up."""
        if self.start_ms is None:
            return max(len(candles) - (self.limit or LIMIT), 0)
        return int(candles.open_time_ms.searchsorted(self.start_ms))


def candle_frame(history: History, span: CandleSpan, more: Mapping[str, Floats], note: str | None) -> Frame:
    """Return the candles of a span as a table, with more columns beside them."""
    first = span.first(history.candles)
    candles = history.candles.slice(first, None)
    columns: dict[str, tuple[Kind, Any]] = {"open_time": ("time", candles.open_time_ms.astype("datetime64[ms]"))}
    columns |= {name: ("number", getattr(candles, name)) for name in CANDLE_COLUMNS}
    columns |= {name: ("number", values[first:]) for name, values in more.items()}
    missing = sum(count for _, count in gaps(candles, history.timeframe))
    facts = {"note": note, "built_from": history.built_from, "missing": missing}
    return Frame(columns, {**about(history), **facts})
