"""The time that a backtest covers where its start or end is not given: one rule for the tool and the command."""

from collections.abc import Sequence

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms

LATEST = 10_000
"""So many of the latest candles are taken where fewer are stored: the most that one call of a tool asks for."""

Stretch = tuple[int, int]
"""[start, end) in Unix ms, of open times."""


def period(
    known: Sequence[Stretch],
    as_of_ms: int,
    timeframe: str,
    start_ms: int | None = None,
    end_ms: int | None = None,
    *,
    warm_up: int = 0,
    latest: int = LATEST,
) -> Stretch:
    """Return the range of open times that a backtest covers.

    Without a start and an end it is the longest stored stretch, if it has as many candles as are taken without one, or
    begins with the series (at 0), as imported ones do; else the latest candles. With one of them the other is
    the end, or the start, of the stretch that holds it; without such a stretch it lasts until the as-of, or begins so
    many candles before the end as are taken without any.

    Args:
        known: the ranges of open times that are stored without a hole.
        as_of_ms: nothing after this moment is taken; the last candle is closed by then.
        timeframe: of the candles.
        start_ms: the first candle opens at this moment or after it.
        end_ms: the last candle is closed by this moment.
        warm_up: so many candles at the beginning of a stretch only prepare indicators, unless the series begins there
            (at 0): then there are none that could. So the same question has the same answer once all is stored.
        latest: how many of the latest candles are taken where fewer are stored.
    """
    latest_ms = latest * timeframe_ms(timeframe)
    closed_ms = candle_open_ms(as_of_ms if end_ms is None else min(end_ms, as_of_ms), timeframe)
    warm_up_ms = warm_up * timeframe_ms(timeframe)
    stretches = [
        (first_open_ms(start, timeframe) + (warm_up_ms if start else 0), min(candle_open_ms(end, timeframe), closed_ms))
        for start, end in known
    ]
    if start_ms is not None:
        first_ms = first_open_ms(start_ms, timeframe)
        ends = [end for start, end in stretches if start <= first_ms < end]
        return first_ms, closed_ms if end_ms is not None else max(ends, default=closed_ms)
    if end_ms is not None:
        return min(
            (start for start, end in stretches if start < closed_ms == end), default=closed_ms - latest_ms
        ), closed_ms
    whole = [start == 0 for start, _ in known]
    longest, is_whole = max(
        zip(stretches, whole, strict=True),
        key=lambda pair: (pair[0][1] - pair[0][0], pair[0][1]),
        default=((0, 0), False),
    )
    return longest if is_whole or longest[1] - longest[0] >= latest_ms else (closed_ms - latest_ms, closed_ms)
