from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import AsOf, Call, ExchangeId, tool

if TYPE_CHECKING:
    from mcp_server.domain.exchange import ExchangeInfo

EXCHANGE_COLUMNS = [
    "id", "name", "countries", "timeframes", "candles_per_request", "order_book", "funding", "open_interest"
]  # fmt: skip

Cell = str | int | bool | None


class Findings(Table):
    """Best match first."""

    exchange: str | None = None
    as_of: str
    observed_at: str | None = None
    live: bool | None = None
    found: int
    note: str | None = None
    simulated: bool | None = None
    rows: Annotated[list[list[Cell]], ROWS]

    less: ClassVar[str] = "Narrow the query."


@tool(title="Find markets and exchanges")
async def find_markets(
    call: Call,
    query: Annotated[str, Field(max_length=60, description="Symbol or part of it; empty: all")] = "",
    kind: Annotated[
        Literal["any", "spot", "swap", "future", "option", "exchange"],
        Field(description="exchange: by id, name or country"),
    ] = "any",
    limit: Annotated[int, Field(ge=1, le=500)] = 20,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Findings:
    """Find an exchange's markets by symbol or, with kind="exchange", exchanges and what each offers.

    An as_of more than 15 minutes ago is refused for markets.
    """
    if kind == "exchange":
        return await _exchanges(call, query, limit, as_of)
    from mcp_server.domain.market_search import find_listings

    moment, exchange_id = call.moment(as_of), call.exchange(exchange)
    listed = await call.kit.market.listings(exchange_id, moment)
    markets = await anyio.to_thread.run_sync(find_listings, query, listed.markets, None if kind == "any" else kind)
    return Findings(
        exchange=exchange_id,
        as_of=iso(to_ms(moment)),
        observed_at=iso(listed.observed_at_ms),
        live=True,
        found=len(markets),
        note=_note(len(markets), limit, f"{exchange_id} has no such market; kind='exchange' lists other exchanges."),
        simulated=exchange_id == "simulated" or None,
        columns=["symbol", "kind", "base", "quote", "settle"],
        rows=[[market.symbol, market.kind, market.base, market.quote, market.settle] for market in markets[:limit]],
    )


async def _exchanges(call: Call, query: str, limit: int, as_of: str | None) -> Findings:
    """List exchanges: what each can do is known without asking it, and is no matter of time."""
    from mcp_server.domain.market_search import find_exchanges

    exchanges = find_exchanges(query, await call.kit.market.exchange_infos())
    return Findings(
        as_of=iso(to_ms(call.moment(as_of))),
        found=len(exchanges),
        note=_note(len(exchanges), limit, "No exchange is called so; an empty query lists all."),
        columns=EXCHANGE_COLUMNS,
        rows=[_row(info) for info in exchanges[:limit]],
    )


def _row(info: ExchangeInfo) -> list[Cell]:
    words = [info.id, info.name, " ".join(info.countries), " ".join(info.timeframes)]
    return [*words, info.candles_per_request, info.order_book, info.funding, info.open_interest]


def _note(found: int, limit: int, nothing: str) -> str | None:
    if not found:
        return nothing
    return f"{limit} of {found}: narrow the query or raise limit." if found > limit else None
