"""Gathers the candles and fundings of a backtest: from the store, and what it lacks through the tool server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.symbols import pays_fundings
from mcp_server.storage.candles.fundings import FundingStore, StoredFundings
from mcp_server.storage.candles.store import CandleStore
from runner.backtest.stored import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Funding
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series
    from runner.backtest.progress import Bars
    from runner.backtest.request import Request
    from runner.cli.context import Context


@dataclass(frozen=True, slots=True)
class Material:
    """All that a backtest computes with; the series has the market's own name, `simulated`: the market is invented."""

    series: Series
    candles: Candles
    fundings: Sequence[Funding] = ()
    simulated: bool = False


def gathered(context: Context, request: Request, shown: Bars) -> Material:
    """Return the candles of a request, and on a swap its settled fundings; start a tool server only where one lacks.

    Raises:
        TraderError: something cannot be had; what was fetched until then stays.
    """
    store, series = CandleStore(context.database), request.series
    stored = load(store, series, request.candles)
    fundings = StoredFundings((), [])
    if pays_fundings(series.symbol) and not stored.missing:
        start, end = _funding_span(request, stored.candles)
        fundings = FundingStore(context.database).load(series.exchange, series.symbol, (start, end + 1))
    if stored.missing or fundings.missing:
        return anyio.run(_fetched, context, store, request, shown)
    return Material(series, stored.candles, fundings.fundings)


def _funding_span(request: Request, candles: Candles) -> Range:
    """Return the time in which a position can be open, both ends included."""
    first = int(candles.open_time_ms[0]) if len(candles) else request.start_ms
    return max(request.start_ms, first), request.end_ms


async def _fetched(context: Context, store: CandleStore, request: Request, shown: Bars) -> Material:
    from runner.backtest.fetch import fetch_candles
    from runner.backtest.fundings import fetch_fundings
    from runner.tool_server.client import connected
    from runner.tool_server.server import tool_server

    async with tool_server(context.settings) as address, connected(address) as tools:
        told = partial(shown.tell, "Fetching candles")
        fetched = await fetch_candles(tools, store, request.series, request.candles, told)
        fundings: Sequence[Funding] = ()
        if pays_fundings(fetched.series.symbol):
            told = partial(shown.tell, "Fetching fundings")
            fundings = await fetch_fundings(tools, fetched.series, _funding_span(request, fetched.candles), told)
    return Material(fetched.series, fetched.candles, fundings, fetched.simulated)
