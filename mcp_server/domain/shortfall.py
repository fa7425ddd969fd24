"""Explains why there are fewer candles than asked for."""

from __future__ import annotations

from mcp_server.domain.candles import Candles, gaps
from mcp_server.domain.timeframes import iso, timeframe_ms

MOST_GAPS_NAMED = 5


def shortfall(candles: Candles, timeframe: str, wanted: tuple[int, int], asked: int, exchange_id: str) -> str | None:
    """Explain why fewer than the `asked` candles open within `wanted` (Unix ms); return None if all are there.

    There are three reasons: the series begins later, candles in between are missing, or it ends earlier.
    """
    length = timeframe_ms(timeframe)
    if len(candles) >= asked:
        return None
    if not len(candles):
        return f"None of {asked} candles: {exchange_id} gives none from {iso(wanted[0])} to {iso(wanted[1])}."
    first, last = (int(at) for at in candles.open_time_ms[[0, -1]])
    reasons = []
    if first > wanted[0] or (wanted[1] - wanted[0]) // length < asked:
        reasons.append(f"{exchange_id} gives none before {iso(first)} there (not listed, not traded, or not kept)")
    if missing := gaps(candles, timeframe):
        count = sum(number for _, number in missing)
        named = ", ".join(f"{iso(at)} ({number})" for at, number in missing[:MOST_GAPS_NAMED])
        more = f" and {len(missing) - MOST_GAPS_NAMED} more gaps" if len(missing) > MOST_GAPS_NAMED else ""
        reasons.append(f"{count} missing in between, where nothing was traded or the exchange lost them: {named}{more}")
    if last + length < wanted[1]:
        late = (wanted[1] - last) // length - 1
        reasons.append(f"the last {late} are missing: nothing was traded since, or they are not published yet")
    return f"{len(candles)} of {asked} candles: {'; '.join(reasons)}."
