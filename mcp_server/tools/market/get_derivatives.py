from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

ONLY_NOW = "The next funding, mark price and open interest exist only now."


class PerpetualAnswer(Table):
    """Rates are ratios of the position per funding (0.0001 is 0.01 %). Positive: longs pay."""

    symbol: str
    exchange: str
    as_of: str
    live: bool = Field(description="False: settled fundings only")
    observed_at: str | None = None
    age_s: float | None = None
    funding_rate: float | None = Field(default=None, description="At next_funding_time")
    next_funding_time: str | None = None
    mark_price: float | None = None
    index_price: float | None = None
    open_interest_base: float | None = None
    open_interest_quote: float | None = None
    open_interest_contracts: float | None = None
    last_funding_rate: float | None
    last_funding_time: str | None
    mean_funding_rate: float | None
    """Of the rows."""
    note: str | None = None
    simulated: bool | None = None
    rows: Annotated[list[tuple[str, float]], ROWS]


@tool(title="Funding and open interest", example={"symbol": "BTC/USDT"})
async def get_derivatives(
    call: Call,
    symbol: Symbol,
    limit: Annotated[int, Field(ge=1, le=100, description="Settled fundings")] = 8,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> PerpetualAnswer:
    """Get a perpetual swap's funding rate, next funding, open interest and last settled fundings.

    BTC/USDT means BTC/USDT:USDT. A past as_of has only settled fundings. krakenfutures, hyperliquid and binance have
    swaps; many spot exchanges do not.
    """
    swap = await call.kit.market.perpetual(call.exchange(exchange), symbol, limit, call.moment(as_of))
    now, fundings = swap.now, swap.fundings or ()
    last = fundings[-1] if fundings else None
    notes = [*swap.lacking, *([] if now else [ONLY_NOW])]
    if swap.fundings is not None and len(fundings) < limit:
        notes.append(f"{len(fundings)} of {limit} fundings: the exchange gives no more by then.")
    return PerpetualAnswer(
        symbol=swap.symbol,
        exchange=swap.exchange,
        as_of=iso(swap.as_of_ms),
        live=now is not None,
        observed_at=iso(now.observed_at_ms) if now else None,
        age_s=max((to_ms(call.kit.clock()) - now.observed_at_ms) / 1000, 0) if now else None,
        funding_rate=now.funding_rate if now else None,
        next_funding_time=iso(now.next_funding_ms) if now and now.next_funding_ms else None,
        mark_price=now.mark_price if now else None,
        index_price=now.index_price if now else None,
        open_interest_base=now.open_interest_base if now else None,
        open_interest_quote=now.open_interest_quote if now else None,
        open_interest_contracts=now.open_interest_contracts if now else None,
        last_funding_rate=last.rate if last else None,
        last_funding_time=iso(last.time_ms) if last else None,
        mean_funding_rate=significant(sum(f.rate for f in fundings) / len(fundings), 8) if fundings else None,
        note=" ".join(notes) or None,
        simulated=swap.simulated or None,
        columns=["funding_time", "funding_rate"],
        rows=[(iso(funding.time_ms), funding.rate) for funding in fundings],
    )
