"""Resolves symbols in any spelling: `btcusdt`, `BTC-USDT` and `XBT/USDT` all mean ccxt's `BTC/USDT`."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from mcp_server.domain.exchange import ALIASES
from mcp_server.errors import NotFound, NotSupported

Markets = Mapping[str, Mapping[str, Any]]
"""ccxt's markets: unified symbol → market."""

HAVE_SWAPS = "Try exchange='krakenfutures', 'hyperliquid' or 'binance'."

_LONGEST = 40
"""Characters of the caller's text that are compared and shown in errors."""

_SPELLING = re.compile(r"([^/_:\s-]+)[/_-]([^/_:\s-]+)(?::([^/_:\s-]+))?")


def resolve(text: str, markets: Markets, exchange_id: str) -> str:
    """Return the unified symbol that `text` means on an exchange.

    An exact symbol is returned as it is, active or not. Any other spelling is looked up among the active spot markets,
    and then, only if it names a settlement currency, among the active swaps: `BTC/USD` never means a swap.

    Raises:
        NotFound: no market fits, or more than one does; the remedy names the nearest.
    """
    spelt = text.strip()
    if spelt in markets:
        return spelt
    for kind in ("spot", "swap") if ":" in spelt else ("spot",):
        matches = _of_kind(spelt, kind, markets)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise NotFound(f"{_cut(text)} on {exchange_id!r} fits several markets.", f"Write {either(matches)}.")
    raise unknown_symbol(text, markets, exchange_id)


def resolve_swap(text: str, markets: Markets, exchange_id: str) -> str:
    """Return the perpetual swap that `text` means on an exchange: of several, the one settled in its quote."""
    spelt = text.strip()
    if markets.get(spelt, {}).get("swap"):
        return spelt
    matches = _of_kind(spelt, "swap", markets)
    linear = [symbol for symbol in matches if markets[symbol].get("settle") == markets[symbol].get("quote")]
    if len(linear) == 1 or len(matches) == 1:
        return (linear or matches)[0]
    if matches:
        raise NotFound(f"{_cut(text)} on {exchange_id!r} fits several markets.", f"Write {either(matches)}.")
    swaps = {symbol: market for symbol, market in markets.items() if market.get("swap")}
    if not swaps:
        raise NotSupported(f"{exchange_id!r} lists no perpetual swaps.", HAVE_SWAPS)
    raise unknown_symbol(text, swaps, exchange_id, "swap")


def unknown_symbol(text: str, markets: Markets, exchange_id: str, kind: str = "symbol") -> NotFound:
    """Make the error for a symbol that an exchange does not have, with the nearest that it has."""
    swaps_first = sorted(filter(_tradable, markets.values()), key=lambda market: bool(market.get("spot")))
    by_key = {_key(market["symbol"]): str(market["symbol"]) for market in swaps_first}
    near = [by_key[key] for key in get_close_matches(_key(text)[:_LONGEST], by_key, n=3, cutoff=0.75)]
    hint = f"Did you mean {either(near)}?" if near else "Nothing there is spelt like it; try another exchange."
    return NotFound(f"Unknown {kind} {_cut(text)} on {exchange_id!r}.", f"{hint} find_markets lists them.")


def _of_kind(spelt: str, kind: str, markets: Markets) -> list[str]:
    """List the active markets of a kind that a spelling fits."""
    active = (market for market in markets.values() if market.get("active") is not False and market.get(kind))
    return sorted(_fitting(spelt.upper(), active))


def _fitting(spelt: str, markets: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    parts = _SPELLING.fullmatch(spelt)
    for market in markets:
        base, quote, settle = (str(market.get(name) or "").upper() for name in ("base", "quote", "settle"))
        if parts is None:
            fits = spelt in _joined(base, quote)
        else:
            asked = [ALIASES.get(part, part) if part else "" for part in parts.groups()]
            fits = asked[:2] == [base, quote] and asked[2] in ("", settle)
        if fits:
            yield str(market["symbol"])


def _joined(base: str, quote: str) -> set[str]:
    """Return the ways of writing base and quote as one word."""
    bases, quotes = ({code, *(old for old, new in ALIASES.items() if new == code)} for code in (base, quote))
    return {first + second for first in bases for second in quotes}


def _tradable(market: Mapping[str, Any]) -> bool:
    return market.get("active") is not False and bool(market.get("spot") or market.get("swap"))


def _key(symbol: str) -> str:
    """Return base and quote as one word, without what the market is settled in."""
    return "".join(letter for letter in symbol.partition(":")[0].upper() if letter.isalnum())


def either(symbols: list[str]) -> str:
    """Write symbols as a choice."""
    *others, last = map(repr, symbols)
    return f"{', '.join(others)} or {last}" if others else last


def _cut(text: str) -> str:
    return repr(text[:_LONGEST])
