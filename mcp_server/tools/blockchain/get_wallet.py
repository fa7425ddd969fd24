from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.together import together
from mcp_server.toolkit import AsOf, Call, ChainName, ExchangeId, tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.chains.chain import Token
    from mcp_server.market.usd import UsdPrice

Row = tuple[str, float, float | None, float | None]


class WalletState(Table):
    """Amounts are in units."""

    address: str
    chain: str
    label: str | None = None
    label_source: str | None = None
    as_of: str
    block: int
    live: bool | None = None
    observed_at: str | None = None
    total_usd: float | None
    transactions: int | None = None
    transactions_sent: int | None = None
    first_activity: str | None = None
    last_activity: str | None = None
    note: str | None = None
    simulated: bool | None = None
    rows: Annotated[list[Row], ROWS]


@tool(title="Wallet", example={"address": "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"})
async def get_wallet(
    call: Call,
    address: Annotated[str, Field(min_length=1, max_length=120)],
    chain: ChainName = None,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> WalletState:
    """Get what an address holds, in units and US dollars, whose it is if known, and how active it is.

    0x addresses mean ethereum unless chain is given. Only common tokens are counted.
    """
    from mcp_server.domain.chains.chain import EXACT
    from mcp_server.domain.chains.flows import cents
    from mcp_server.market.usd import usd_price_if_any

    moment, chains = call.moment(as_of), call.kit.chains
    on_chain = await chains.chain(chain, address=address)
    checked = chains.address(on_chain, address)
    wallet = await chains.wallet(on_chain, checked, moment)
    held = [(token, raw) for token, raw in wallet.balances if raw or token.address is None]
    market, at = call.kit.market, call.exchange(exchange)
    prices = await together(*(partial(usd_price_if_any, market, at, token.priced_as, moment) for token, _ in held))
    usd = [
        cents(EXACT.multiply(token.units(raw), p.price)) if p else None
        for (token, raw), p in zip(held, prices, strict=True)
    ]
    label = chains.label(on_chain, checked)
    unpriced = [token.symbol for (token, _), p in zip(held, prices, strict=True) if p is None]
    notes = [*wallet.notes, *([f"No price in dollars of {', '.join(unpriced)}."] if unpriced else [])]
    return WalletState(
        address=checked,
        chain=on_chain.name,
        label=label.name if label else None,
        label_source=label.source or None if label else None,
        as_of=iso(to_ms(moment)),
        block=wallet.head.number,
        live=True if wallet.observed_at_ms else None,
        observed_at=iso(wallet.observed_at_ms) if wallet.observed_at_ms else None,
        total_usd=_total(held, usd),
        transactions=wallet.transactions,
        transactions_sent=wallet.transactions_sent,
        first_activity=iso(wallet.first_ms) if wallet.first_ms else None,
        last_activity=iso(wallet.last_ms) if wallet.last_ms else None,
        note=" ".join(notes) or None,
        simulated=any(price.simulated for price in prices if price) or None,
        columns=["asset", "amount", "price_usd", "usd"],
        rows=[_row(*balance, price, value) for balance, price, value in zip(held, prices, usd, strict=True)],
    )


def _total(held: Sequence[tuple[Token, int]], usd: Sequence[Decimal | None]) -> float | None:
    """Add up what has a price; unknown where nothing has one, though there is something."""
    known = [value for value in usd if value is not None]
    if not known and any(raw for _, raw in held):
        return None
    return float(sum(known, Decimal(0)))


def _row(token: Token, raw: int, price: UsdPrice | None, usd: Decimal | None) -> Row:
    worth = (float(price.price), float(usd)) if price is not None and usd is not None else (None, None)
    return (token.symbol, float(token.units(raw)), *worth)
