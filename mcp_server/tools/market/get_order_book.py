from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

if TYPE_CHECKING:
    from mcp_server.domain.exchange import OrderBook

Row = tuple[float | None, float | None, float | None, float | None]


class Orders(Table):
    """Best prices first. Prices in quote, sizes in base, or in contracts for a derivative."""

    symbol: str
    exchange: str
    as_of: str
    observed_at: str
    age_s: float
    live: bool
    mid: float | None
    spread_bps: float | None
    bid_size_total: float
    """Of the rows."""
    ask_size_total: float
    imbalance_ratio: float | None = Field(description="(bids - asks) / (bids + asks)")
    note: str | None = None
    simulated: bool | None = None
    rows: Annotated[list[Row], ROWS]


@tool(title="Order book", example={"symbol": "BTC/USDT"})
async def get_order_book(
    call: Call,
    symbol: Symbol,
    depth: Annotated[int, Field(ge=1, le=100, description="Prices a side")] = 20,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Orders:
    """Get a market's order book now: bids and asks with sizes, spread and imbalance.

    An as_of more than 15 minutes ago is refused.
    """
    snapshot = await call.kit.market.order_book(call.exchange(exchange), symbol, depth, call.moment(as_of))
    book = snapshot.book
    bids, asks = (sum(size for _, size in side) for side in (book.bids, book.asks))
    pairs = zip_longest(book.bids, book.asks, fillvalue=(None, None))
    return Orders(
        symbol=snapshot.symbol,
        exchange=snapshot.exchange,
        as_of=iso(snapshot.as_of_ms),
        observed_at=iso(book.observed_at_ms),
        age_s=max((to_ms(call.kit.clock()) - book.observed_at_ms) / 1000, 0),
        live=True,
        **_middle(book),
        bid_size_total=significant(bids, 8),
        ask_size_total=significant(asks, 8),
        imbalance_ratio=significant((bids - asks) / (bids + asks)) if bids + asks else None,
        note=_note(book, depth),
        simulated=snapshot.simulated or None,
        columns=["bid_price", "bid_size", "ask_price", "ask_size"],
        rows=[(*bid, *ask) for bid, ask in pairs],
    )


def _middle(book: OrderBook) -> dict[str, float | None]:
    if not book.bids or not book.asks:
        return {"mid": None, "spread_bps": None}
    bid, ask = book.bids[0][0], book.asks[0][0]
    mid = (bid + ask) / 2
    return {"mid": significant(mid, 12), "spread_bps": significant((ask - bid) / mid * 10_000)}


def _note(book: OrderBook, depth: int) -> str | None:
    fewest = min(len(book.bids), len(book.asks))
    if fewest >= depth:
        return None
    return f"{len(book.bids)} bids and {len(book.asks)} asks of {depth}: the exchange gives no more."
