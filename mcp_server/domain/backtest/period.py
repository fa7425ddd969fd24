"""The time that a backtest covers where none is given: one rule for the tool and the command."""

from collections.abc import Sequence

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms

LATEST = 10_000
"""So many of the latest candles are taken where fewer are stored: the most that one call of a tool asks for."""


def default_period(known: Sequence[tuple[int, int]], as_of_ms: int, timeframe: str) -> tuple[int, int]:
    """Return the range [start, end) of the longest stored stretch, else of the latest candles (Unix ms, open times).

    Args:
        known: the ranges of open times that are stored without a hole, each from its first candle on.
        as_of_ms: nothing after this moment is taken; the last candle is closed by then.
        timeframe: of the candles.
    """
    length = timeframe_ms(timeframe)
    closed_ms = candle_open_ms(as_of_ms, timeframe)
    stretches = [(first_open_ms(start, timeframe), min(end, closed_ms)) for start, end in known]
    longest = max(stretches, key=lambda stretch: (stretch[1] - stretch[0], stretch[1]), default=(0, 0))
    if longest[1] - longest[0] >= LATEST * length:
        return longest
    return closed_ms - LATEST * length, closed_ms
