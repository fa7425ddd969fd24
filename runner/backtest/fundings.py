"""The settled fundings of a swap over the time of a backtest, over MCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.errors import UpstreamRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series
    from runner.tool_server.client import Tools

A_CALL = 100


async def fetch_fundings(
    tools: Tools, series: Series, wanted: Range, tell: Callable[[int, int], None]
) -> list[Funding]:
    """Return the fundings that were settled in a range of time (Unix ms), oldest first; ask for the newest first.

    What an exchange does not give is left out, as if it had no history of them: the answer counts what is missing.

    Raises:
        Retryable: the exchange does not answer.
    """
    fundings: dict[int, float] = {}
    start, end = wanted
    until = end
    while until > start:
        arguments = {"symbol": series.symbol, "exchange": series.exchange, "limit": A_CALL, "as_of": iso(until)}
        try:
            rows = (await tools.call("get_derivatives", arguments))["rows"]
        except UpstreamRejected:
            break
        times = [to_ms(parse_moment(time)) for time, _ in rows]
        fundings |= dict(zip(times, (rate for _, rate in rows), strict=True))
        tell(min(end - min(times, default=start), end - start), end - start)
        if len(rows) < A_CALL:
            break
        until = min(times) - 1_000
    return [Funding(at, rate) for at, rate in sorted(fundings.items()) if start <= at <= end]
