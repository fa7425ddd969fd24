"""Finds markets and exchanges by a typed query."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from mcp_server.domain.exchange import ExchangeInfo, Listing

_QUOTES = ("USD", "USDT", "USDC", "EUR", "BTC", "ETH")
_KINDS = ("spot", "swap", "future", "option")


def find_listings(query: str, markets: Sequence[Listing], kind: str | None) -> list[Listing]:
    """Return the markets that fit a query, likeliest first: the symbol itself, its base, a part of it, near matches.

    Markets that are not active are left out, and those that are not of `kind`, if it is given. An empty query fits all.
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
    return [market for _, market in sorted(ranked, key=lambda pair: (pair[0], *_usual(pair[1])))]


def find_exchanges(query: str, exchanges: Sequence[ExchangeInfo]) -> list[ExchangeInfo]:
    """Return the exchanges whose id, name or country fits a query; an empty one fits all of them."""
    wanted = query.strip().lower()
    by_id = {exchange.id: exchange for exchange in exchanges}
    exact = [one.id for one in exchanges if wanted in (one.id, *(country.lower() for country in one.countries))]
    partial = [one.id for one in exchanges if wanted in one.id or wanted in one.name.lower()]
    ids = list(dict.fromkeys([*exact, *partial])) or get_close_matches(wanted[:40], by_id, n=5)
    return [by_id[exchange_id] for exchange_id in ids]


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
