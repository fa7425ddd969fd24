from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from mcp_server.answers import ROWS, Table
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import BadInput
from mcp_server.toolkit import AsOf, Call, ChainName, ExchangeId, tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mcp_server.domain.chains.chain import Scan, Token, Transfer
    from mcp_server.domain.chains.flows import Direction, Flow, Flows, LabelOf
    from mcp_server.market.usd import UsdPrice

MINUTE_MS = 60_000
MOST_EXCHANGES = 8
COLUMNS = ["time", "amount", "usd", "direction", "from", "to", "from_label", "to_label", "hash", "confirmations"]

SWEEPS = (
    "Sweeps go to an exchange that paid a part itself, most likely to collect deposits: sweeps_usd is in no other flow."
)

Row = tuple[str | float | int | None, ...]
Counts = Annotated[dict[str, int], WithJsonSchema({"type": "object"})]


class WhaleActivity(Table):
    """Seen since from_time. Rows are the largest."""

    asset: str
    chain: str
    token: str | None = None
    token_claims_symbol: str | None = Field(default=None, description="Unverified")
    as_of: str
    from_time: str
    blocks: Counts
    price_usd: float
    price_basis: str
    net_flow_usd: float
    to_exchanges_usd: float
    from_exchanges_usd: float
    between_exchanges_usd: float
    sweeps_usd: float | None = None
    total_usd: float
    largest_usd: float
    counts: Counts
    exchanges: Annotated[dict[str, dict[str, float]], WithJsonSchema({"type": "object"})]
    summary: str
    complete: bool
    live: bool | None = None
    observed_at: str | None = None
    note: str | None = None
    requests: int
    simulated: bool | None = None
    rows: Annotated[list[Row], ROWS]

    large: ClassVar[bool] = True


@tool(title="Whale activity", example={"asset": "BTC"})
async def get_whale_activity(
    call: Call,
    asset: Annotated[str, Field(min_length=1, max_length=60, description="BTC, ETH, USDT … or a token's address")],
    min_usd: Annotated[float, Field(gt=0, le=1e13)] = 1_000_000,
    lookback_minutes: Annotated[int, Field(ge=1, le=1440)] = 60,
    chain: ChainName = None,
    limit: Annotated[int, Field(ge=0, le=200)] = 8,
    include_unconfirmed: bool = False,
    price_symbol: Annotated[str | None, Field(max_length=60, description="Market that prices a token address")] = None,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> WhaleActivity:
    """Find large transfers of a coin or token, and net those into and out of known exchange wallets.

    Positive net_flow_usd went to exchanges, as before selling. Unknown wallets are not counted: 0 proves nothing.
    complete=false: note says what was not seen.
    """
    from mcp_server.chains.scan_request import ScanRequest
    from mcp_server.domain.chains.flows import direction, netted

    moment, chains = call.moment(as_of), call.kit.chains
    on_chain = await chains.chain(chain, asset)
    token = await chains.token(on_chain, asset, moment)
    price = await _price(call, (price_symbol,) if price_symbol else token.priced_as, exchange, moment)
    least = math.ceil(Decimal(repr(min_usd)) / price.price * 10**token.decimals)
    until_ms = to_ms(moment)
    request = ScanRequest(token, least, until_ms - lookback_minutes * MINUTE_MS, until_ms, include_unconfirmed)
    scan, largest = await chains.transfers(on_chain, request, limit)

    def exchange_of(address: str | None) -> str | None:
        label = chains.label(on_chain, address)
        return label.exchange if label else None

    wrapped = on_chain.wrapped if token.address is None else None
    wrapper = wrapped.address if wrapped else None
    flows = netted(scan.transfers, exchange_of, wrapper)
    return WhaleActivity(
        asset=token.symbol if token.priced_as else asset.strip(),
        chain=on_chain.name,
        token=token.address,
        token_claims_symbol=None if token.priced_as else token.symbol or None,
        as_of=iso(until_ms),
        price_usd=float(price.price),
        price_basis=price.basis,
        **_blocks(scan),
        **_sums(flows, token, price),
        summary=_summary(flows, token, price, complete=not scan.missed),
        complete=not scan.missed,
        live=True if scan.observed_at_ms else None,
        observed_at=iso(scan.observed_at_ms) if scan.observed_at_ms else None,
        note=" ".join([*scan.missed, *scan.notes, *_sweeps(flows), *_unlisted(flows)]) or None,
        simulated=price.simulated or None,
        columns=COLUMNS,
        rows=[
            _row(transfer, token, price, direction(transfer, exchange_of, wrapper), exchange_of, scan)
            for transfer in largest
        ],
    )


async def _price(call: Call, priced_as: Sequence[str], exchange: str | None, moment: datetime) -> UsdPrice:
    """Return the price of the asset. A token's own claim about its name is never used to find a market."""
    from mcp_server.market.usd import usd_price

    if not priced_as:
        raise BadInput(
            "This token is not among those with a known price, and the name that it gives itself proves nothing.",
            "Name the market that prices it as price_symbol, like 'PEPE/USDT'.",
        )
    price = await usd_price(call.kit.market, call.exchange(exchange), priced_as, moment)
    if price.price <= 0:
        raise BadInput("Its price is zero, so no transfer is worth min_usd.", "Name another market as price_symbol.")
    return price


def _blocks(scan: Scan) -> dict[str, Any]:
    return {
        "from_time": iso(scan.from_ms),
        "blocks": {"first": scan.first_block, "last": scan.last_block, "head": scan.head.number},
        "requests": scan.requests,
    }


def _usd(raw: int, token: Token, price: UsdPrice) -> Decimal:
    from mcp_server.domain.chains.chain import EXACT
    from mcp_server.domain.chains.flows import cents

    return cents(EXACT.multiply(token.units(raw), price.price))


def _sums(flows: Flows, token: Token, price: UsdPrice) -> dict[str, Any]:
    def usd(raw: int) -> float:
        return float(_usd(raw, token, price))

    total = _flow(flows.all_exchanges, token, price)
    busiest = sorted(flows.exchanges.items(), key=lambda item: -(item[1].to_raw + item[1].from_raw))
    return {
        "total_usd": usd(flows.total_raw),
        "largest_usd": usd(flows.largest_raw),
        "net_flow_usd": total["net_usd"],
        "to_exchanges_usd": total["to_usd"],
        "from_exchanges_usd": total["from_usd"],
        "between_exchanges_usd": usd(flows.between_raw),
        "sweeps_usd": usd(flows.sweeps_raw) if flows.sweeps_count else None,
        "counts": {
            "transfers": flows.count,
            "to_exchanges": flows.all_exchanges.to_count,
            "from_exchanges": flows.all_exchanges.from_count,
            **({"sweeps": flows.sweeps_count} if flows.sweeps_count else {}),
        },
        "exchanges": {name: _flow(flow, token, price) for name, flow in busiest[:MOST_EXCHANGES]},
    }


def _sweeps(flows: Flows) -> list[str]:
    return [SWEEPS] if flows.sweeps_count else []


def _unlisted(flows: Flows) -> list[str]:
    more = len(flows.exchanges) - MOST_EXCHANGES
    return [f"The {MOST_EXCHANGES} busiest exchanges are listed; {more} more are in the sums."] if more > 0 else []


def _flow(flow: Flow, token: Token, price: UsdPrice) -> dict[str, float]:
    from mcp_server.domain.chains.flows import minus

    to_usd, from_usd = _usd(flow.to_raw, token, price), _usd(flow.from_raw, token, price)
    return {"net_usd": float(minus(to_usd, from_usd)), "to_usd": float(to_usd), "from_usd": float(from_usd)}


def _summary(flows: Flows, token: Token, price: UsdPrice, *, complete: bool) -> str:
    """Describe it in a sentence, without a word that a stranger wrote."""
    from mcp_server.domain.chains.flows import minus

    if flows.count == 0:
        return "No transfer of that size." if complete else "No transfer of that size in the part that was seen."
    many = "s" if flows.count > 1 else ""
    total = f"{flows.count} transfer{many} worth {_usd(flows.total_raw, token, price):,.0f} USD"
    all_exchanges = flows.all_exchanges
    net = minus(_usd(all_exchanges.to_raw, token, price), _usd(all_exchanges.from_raw, token, price))
    if not flows.exchanges:
        return f"{total}; none into or out of a known exchange wallet."
    if net == 0:
        return f"{total}; as much into as out of known exchange wallets."
    where = "into" if net > 0 else "out of"
    return f"{total}; net {net.copy_abs():,.0f} USD {where} known exchange wallets."


def _row(transfer: Transfer, token: Token, price: UsdPrice, where: Direction, exchange_of: LabelOf, scan: Scan) -> Row:
    return (
        iso(transfer.time_ms) if transfer.time_ms is not None else None,
        float(token.units(transfer.raw)),
        float(_usd(transfer.raw, token, price)),
        where,
        transfer.from_address,
        transfer.to_address,
        next((known for a in (transfer.from_address, *transfer.also_from) if (known := exchange_of(a))), None),
        exchange_of(transfer.to_address),
        transfer.hash,
        0 if transfer.block is None else scan.head.number - transfer.block + 1,
    )
