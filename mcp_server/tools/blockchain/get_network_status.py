from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, WithJsonSchema

from mcp_server.answers import Answer
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import AsOf, Call, ChainName, ExchangeId, tool

if TYPE_CHECKING:
    from mcp_server.domain.chains.chain import Network

GWEI = 10**9
BITCOIN_PER_SATOSHI = Decimal("1e-8")


class NetworkStatus(Answer):
    """As of `block`."""

    chain: str
    as_of: str
    block: int
    age_s: float
    live: bool | None = None
    observed_at: str | None = None
    fee_unit: str
    fees: Annotated[dict[str, float], WithJsonSchema({"type": "object"})]
    transfer_fee: float = Field(description="Normal, in the chain's coin")
    transfer_fee_usd: float | None
    base_fee_gwei: float | None = None
    base_fee_trend: str | None = None
    mempool: Annotated[dict[str, float], WithJsonSchema({"type": "object"})] | None = None
    note: str | None = None
    simulated: bool | None = None


@tool(title="Network status", example={"chain": "bitcoin"})
async def get_network_status(
    call: Call, chain: ChainName = None, exchange: ExchangeId = None, as_of: AsOf = None
) -> NetworkStatus:
    """Get a chain's height, fees (slow, normal, fast), the cost of a plain transfer, and Bitcoin's mempool.

    Default chain: ethereum. For Bitcoin an as_of over 15 minutes ago is refused.
    """
    from mcp_server.market.usd import usd_price_if_any

    moment = call.moment(as_of)
    on_chain = await call.kit.chains.chain(chain or "ethereum")
    state = await call.kit.chains.network(on_chain, moment)
    price = await usd_price_if_any(call.kit.market, call.exchange(exchange), on_chain.native.priced_as, moment)
    notes = [*state.notes, *([] if price else [f"No price in dollars of {on_chain.native.symbol}."])]
    unit = Decimal(GWEI) if on_chain.family == "evm" else Decimal(1)
    smallest = Decimal(1).scaleb(-on_chain.native.decimals)
    cost = state.fees.normal * state.fees.plain_transfer_work * smallest
    return NetworkStatus(
        chain=on_chain.name,
        as_of=iso(to_ms(moment)),
        block=state.head.number,
        age_s=max((to_ms(moment) - state.head.time_ms) / 1000, 0),
        live=True if state.observed_at_ms else None,
        observed_at=iso(state.observed_at_ms) if state.observed_at_ms else None,
        fee_unit="gwei per gas" if on_chain.family == "evm" else "satoshi per virtual byte",
        fees={name: significant(getattr(state.fees, name) / unit) for name in ("slow", "normal", "fast")},
        transfer_fee=significant(cost),
        transfer_fee_usd=significant(cost * price.price) if price else None,
        note=" ".join(notes) or None,
        simulated=price.simulated or None if price else None,
        mempool=_mempool(state),
        **_base_fees(state),
    )


def _mempool(state: Network) -> dict[str, float] | None:
    if (mempool := state.mempool) is None:
        return None
    fees_btc = significant(mempool.fees * BITCOIN_PER_SATOSHI)
    return {"transactions": mempool.count, "vbytes": mempool.vbytes, "fees_btc": fees_btc}


def _base_fees(state: Network) -> dict[str, Any]:
    fees = state.base_fees
    if not fees or not any(fees):  # some chains have none
        return {}
    change = (fees[-1] - fees[0]) / fees[0] * 100 if fees[0] else None
    trend = "flat" if change is None or abs(change) < 5 else "rising" if change > 0 else "falling"
    return {"base_fee_gwei": significant(Decimal(fees[-1]) / GWEI), "base_fee_trend": trend}
