"""Finding markets and exchanges by what somebody typed."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from mcp_server.domain.exchange import ExchangeInfo, Listing

_QUOTES = ("USD", "USDT", "USDC", "EUR", "BTC", "ETH")
_KINDS = ("spot", "swap", "future", "option")


def find_listings(query: str, markets: Sequence[Listing], kind: str | None) -> list[Listing]:
    """Return the markets that fit a query, the most likely first: the symbol itself, its base, a part of it, near ones.

    Markets that are not active are left out. Any query fits nothing but markets of `kind`, where one is named; an
    empty one fits all of them.
    """
    wanted = _key(query)
    if query.strip() and not wanted:
        return []
    open_ones = [market for market in markets if market.active is not False and kind in (None, market.kind)]
    ranked = [(rank, market) for market in open_ones if (rank := _rank(wanted, market)) is not None]
    if not ranked:
        by_base = {market.base: market for market in open_ones}
        near = set(get_close_matches(wanted[:20], by_base, n=3, cutoff=0.7))
        ranked = [(0, market) for market in open_ones if market.base in near]
    return [market for _, market in sorted(ranked, key=lambda found: (found[0], *_usual(found[1])))]


def find_venues(query: str, venues: Sequence[ExchangeInfo]) -> list[ExchangeInfo]:
    """Return the exchanges whose id, name or country fits a query; an empty one fits all of them."""
    wanted = query.strip().lower()
    exact = [venue for venue in venues if wanted in (venue.id, *(country.lower() for country in venue.countries))]
    parts = [venue for venue in venues if wanted in venue.id or wanted in venue.name.lower()]
    found = list(dict.fromkeys(venue.id for venue in [*exact, *parts]))
    found = found or get_close_matches(wanted[:40], [venue.id for venue in venues], n=5)
    by_id = {venue.id: venue for venue in venues}
    return [by_id[name] for name in found]


def _rank(wanted: str, market: Listing) -> int | None:
    whole, plain = _key(market.symbol), _key(market.base + market.quote)
    if wanted in (whole, plain):
        return 0
    if wanted == market.base.upper():
        return 1
    if whole.startswith(wanted):
        return 2
    return 3 if wanted in whole else None


def _usual(market: Listing) -> tuple[int, int, str]:
    quote = _QUOTES.index(market.quote) if market.quote in _QUOTES else len(_QUOTES)
    return _KINDS.index(market.kind), quote, market.symbol


def _key(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())
