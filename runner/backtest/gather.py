"""Gathers the candles and fundings of a backtest: from the store, and what it lacks through the tool server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mcp_server.storage.candles.store import CandleStore
from runner.backtest.stored import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.candles import Candles
    from mcp_server.domain.exchange import Funding
    from mcp_server.storage.candles.store import Series
    from runner.backtest.progress import Bars
    from runner.backtest.request import Request
    from runner.cli.context import Context


@dataclass(frozen=True, slots=True)
class Material:
    """All that a backtest computes with; the series has the market's own name."""

    series: Series
    candles: Candles
    fundings: Sequence[Funding] = ()


def gathered(context: Context, request: Request, shown: Bars) -> Material:
    """Return the candles of a request, and on a swap its settled fundings; start a tool server only where one lacks.

    Raises:
        TraderError: something cannot be had; what was fetched until then stays.
    """
    store = CandleStore(context.database)
    stored = load(store, request.series, request.candles)
    if not stored.missing:
        return Material(request.series, stored.candles)
    return anyio.run(_fetched, context, store, request, shown)


async def _fetched(context: Context, store: CandleStore, request: Request, shown: Bars) -> Material:
    from runner.backtest.fetch import fetch_candles
    from runner.tool_server.client import connected
    from runner.tool_server.server import tool_server

    async with tool_server(context.settings) as address, connected(address) as tools:
        fetched = await fetch_candles(
            tools,
            store,
            request.series,
            request.candles,
            lambda done, total: shown.tell("Fetching candles", done, total),
        )
    return Material(fetched.series, fetched.candles)
