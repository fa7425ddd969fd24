from pydantic import Field

from mcp_server.answers import Answer
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

OLD_S = 10
"""A live price that is older is worth a word."""


class Price(Answer):
    """Prices in quote, volume in base."""

    symbol: str
    exchange: str
    as_of: str
    price: float
    price_time: str
    age_s: float
    live: bool = Field(description="False: the last close by as_of")
    basis: str
    bid: float | None = None
    ask: float | None = None
    volume_24h_base: float | None = None
    change_24h_pct: float | None = None
    note: str | None = None
    simulated: bool | None = None


@tool(title="Price", example={"symbol": "BTC/USDT"})
async def get_price(call: Call, symbol: Symbol, exchange: ExchangeId = None, as_of: AsOf = None) -> Price:
    """Get a market's price now, with bid, ask and 24 h figures; for a past as_of, its last close.

    For several moments use get_ohlcv.
    """
    moment = call.moment(as_of)
    quote = await call.kit.market.price(call.exchange(exchange), symbol, moment)
    ticker = quote.ticker
    asked_at = to_ms(call.kit.clock()) if ticker else quote.as_of_ms
    age_s = max((asked_at - quote.price_time_ms) / 1000, 0)
    old = f"The exchange's latest price is {age_s:.0f} s old." if ticker and age_s > OLD_S else None
    return Price(
        symbol=quote.symbol,
        exchange=quote.exchange,
        as_of=iso(quote.as_of_ms),
        price=quote.price,
        price_time=iso(quote.price_time_ms),
        age_s=age_s,
        live=ticker is not None,
        basis=quote.basis,
        bid=ticker.bid if ticker else None,
        ask=ticker.ask if ticker else None,
        volume_24h_base=ticker.volume_24h_base if ticker else None,
        change_24h_pct=ticker.change_24h_pct if ticker else None,
        note=" ".join(filter(None, [old, ticker.note if ticker else None])) or None,
        simulated=quote.simulated or None,
    )
