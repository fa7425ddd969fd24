"""The value of one unit of an asset in US dollars as of a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio

from mcp_server.errors import BadInput, NotFound, NotSupported, Retryable, UpstreamRejected

if TYPE_CHECKING:
    from mcp_server.market.market import Market

QUOTES = ("USD", "USDT", "USDC")
"""In this order; a dollar of Tether or Circle is taken as a dollar."""


SPARE_S = 2.0
"""Time of a call that is left when an optional price is given up."""


@dataclass(frozen=True, slots=True)
class UsdPrice:
    """A price in US dollars, and where it comes from."""

    price: Decimal
    basis: str
    simulated: bool = False


async def usd_price_if_any(
    market: Market, exchange_id: str, priced_as: Sequence[str], as_of: datetime
) -> UsdPrice | None:
    """Return a price as `usd_price` does, or None if there is none or it takes too long."""
    with anyio.CancelScope(deadline=anyio.current_effective_deadline() - SPARE_S):
        try:
            return await usd_price(market, exchange_id, priced_as, as_of)
        except (NotFound, NotSupported, Retryable, UpstreamRejected):
            pass
    return None


async def usd_price(market: Market, exchange_id: str, priced_as: Sequence[str], as_of: datetime) -> UsdPrice:
    """Return the price in dollars of the first of some bases that an exchange has a market of.

    Of `priced_as`, `USD` is one dollar itself, and a symbol with a slash is a market.

    Raises:
        BadInput: a market that is not against dollars.
        NotFound: the exchange has none of them.
        NotSupported: it has no price of that moment.
    """
    missing: list[NotFound | NotSupported] = []
    for base in priced_as:
        if base == "USD":
            return UsdPrice(Decimal(1), "taken as one dollar")
        if "/" in base and base.partition("/")[2].partition(":")[0].upper() not in QUOTES:
            raise BadInput(f"{base[:60]!r} is not priced in dollars.", f"Name a market against {', '.join(QUOTES)}.")
        for symbol in [base] if "/" in base else [f"{base}/{quote}" for quote in QUOTES if quote != base]:
            try:
                quote = await market.price(exchange_id, symbol, as_of)
            except (NotFound, NotSupported) as error:
                missing.append(error)
                continue
            basis = f"{quote.symbol} on {quote.exchange}, {quote.basis}"
            return UsdPrice(Decimal(repr(quote.price)), basis, quote.simulated)
    if len(missing) == 1 or (missing and isinstance(missing[0], NotSupported)):
        raise missing[0]
    raise NotFound(
        f"{exchange_id!r} has no market of {' or '.join(priced_as) or 'this'} against dollars.",
        "Name another exchange, or the market that prices it as price_symbol.",
    )
