"""What each exchange can do, read from ccxt's own descriptions: this makes no request."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from mcp_server.adapters.ccxt.client import known_exchanges
from mcp_server.adapters.ccxt.pages import served_timeframes
from mcp_server.domain.exchange import ExchangeInfo
from mcp_server.domain.timeframes import TIMEFRAMES


@cache
def exchange_infos() -> tuple[ExchangeInfo, ...]:
    """List the simulated exchange and every exchange of ccxt by id; it takes a second the first time.

    ccxt's clients are dropped again; the descriptions take a few kB.
    """
    ccxt = importlib.import_module("ccxt.async_support")
    invented = ExchangeInfo("simulated", "an invented market", (), tuple(TIMEFRAMES), None, True, True, True)
    return (invented, *(_info(getattr(ccxt, name)()) for name in known_exchanges()))


def _info(client: Any) -> ExchangeInfo:
    has = client.has
    return ExchangeInfo(
        id=client.id,
        name=str(client.name),
        countries=tuple(client.countries or ()),
        timeframes=tuple(served_timeframes(client)) if has.get("fetchOHLCV") else (),
        candles_per_request=_page(client),
        order_book=bool(has.get("fetchOrderBook")),
        funding=bool(has.get("fetchFundingRate") or has.get("fetchFundingRateHistory")),
        open_interest=bool(has.get("fetchOpenInterest")),
    )


def _page(client: Any) -> int | None:
    """Return the most candles of one request, where ccxt knows it: of spot markets, else of linear swaps."""
    spot = client.feature_value_by_type("spot", None, "fetchOHLCV", "limit", None)
    most = spot or client.feature_value_by_type("swap", "linear", "fetchOHLCV", "limit", None)
    return int(most) if most else None
