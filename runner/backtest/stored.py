"""The candles of a backtest as the home's store has them, with those that are built from shorter ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import candle_open_ms, first_open_ms, timeframe_ms

if TYPE_CHECKING:
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import CandleStore, Series, Stored

INDEX_PATIENCE_S = 10.0


def load(store: CandleStore, series: Series, wanted: Range, built_from: str | None = None) -> Stored:
    """Return the closed candles that open within `wanted`, and the parts of it that the store does not know.

    Longer candles are built from shorter ones as they are for a run: from imported ones, and from those of
    `built_from`, the timeframe from which the server has just built them.
    """
    from mcp_server.domain.candles import merge, resample
    from mcp_server.storage.candles.ranges import holes
    from mcp_server.storage.candles.store import Stored

    stored = store.load(series, wanted)
    parts, missing = [stored.candles], stored.missing
    for shorter in _shorter(store, series, built_from) if missing else ():
        for hole in missing:
            part = (first_open_ms(hole[0], series.timeframe), candle_open_ms(hole[1], series.timeframe))
            base = store.load(shorter, part) if part[0] < part[1] else None
            if base is None or (base.missing == [part]):
                continue
            unknown = _whole(base.missing, series.timeframe)
            for known in holes(part, unknown):
                parts.append(resample(base.candles.between(*known), series.timeframe))
                missing = [rest for gap in missing for rest in holes(gap, [known])]
    return Stored(merge(parts), missing)


def known_ranges(store: CandleStore, series: Series) -> list[Range]:
    """Return the ranges of open times that are stored without a hole, longer candles of imported ones included."""
    if store.stamp() is None:  # to look would make a database
        return []
    own = store.index(INDEX_PATIENCE_S).get(series)
    shorter = (known for other in _shorter(store, series, None) for known in known_ranges(store, other))
    return [*(own.ranges if own else ()), *shorter]


def _shorter(store: CandleStore, series: Series, built_from: str | None) -> list[Series]:
    """Return the series from which candles are built, that with the longest candles first."""
    length = timeframe_ms(series.timeframe)
    names = [
        other
        for other, known in store.index(INDEX_PATIENCE_S).items()
        if (other.exchange, other.symbol) == (series.exchange, series.symbol)
        and (known.revision or other.timeframe == built_from)
        and timeframe_ms(other.timeframe) < length
        and length % timeframe_ms(other.timeframe) == 0
    ]
    return sorted(names, key=lambda other: -timeframe_ms(other.timeframe))


def _whole(unknown: list[Range], timeframe: str) -> list[Range]:
    """Widen unknown parts to whole candles: one is built only where all of it is known."""
    from mcp_server.storage.candles.ranges import joined

    ranges: tuple[Range, ...] = ()
    for start, end in unknown:
        ranges = joined(ranges, (candle_open_ms(start, timeframe), first_open_ms(end, timeframe)))
    return list(ranges)
