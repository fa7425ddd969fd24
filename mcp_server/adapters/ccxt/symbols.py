"""Resolves symbols in any spelling: `btcusdt`, `BTC-USDT` and `XBT/USDT` all mean ccxt's `BTC/USDT`."""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from mcp_server.adapters.ccxt.client import known_exchanges
from mcp_server.domain.exchange import ALIASES
from mcp_server.domain.symbols import dated, perpetual, without_exchange
from mcp_server.errors import NotFound, NotSupported

Markets = Mapping[str, Mapping[str, Any]]
"""ccxt's markets: unified symbol → market."""

HAVE_SWAPS = "Try exchange='krakenfutures', 'hyperliquid' or 'binance'."

_LONGEST = 40
"""Characters of the caller's text that are compared and shown in errors."""

_MOST_NEAR = 3
_BASE_ALIKE = 0.6
_QUOTES = ("USD", "USDT", "USDC", "EUR", "BTC")
"""Of an asset's markets, those against these come first."""

_SPELLING = re.compile(r"([^/_:\s-]+)[/_-]([^/_:\s-]+)(?::([^/_:\s-]+))?")


def resolve(text: str, markets: Markets, exchange_id: str) -> str:
    """Return the unified symbol that `text` means on an exchange.

    An exact symbol is returned as it is, active or not. Any other spelling is looked up among the active spot markets,
    and then, only if it names a settlement currency, a swap or a date, among the active swaps and futures: `BTC/USD`
    never means a swap. Last, it may be the exchange's own name of a market.

    Raises:
        NotFound: no market fits, more than one does, or it is not traded; the remedy names the nearest.
    """
    spelt = without_exchange(text.strip(), exchange_id, known_exchanges())
    if spelt in markets:
        return spelt
    for kind in ("spot", "swap") if ":" in spelt else ("spot",):
        if match := _only(_of_kind(spelt, kind, markets), text, exchange_id):
            return match
    if match := _only(_dated_as(spelt, markets) or _named_by_exchange(spelt, markets), text, exchange_id):
        return match
    of, swaps = perpetual(spelt), _swaps(markets)
    if of is not None and _of_kind(of, "swap", swaps):
        return resolve_swap(of, swaps, exchange_id)
    if halted := sorted(_fitting(spelt.upper(), (one for one in markets.values() if one.get("active") is False))):
        problem = f"{_cut(text)} on {exchange_id!r} is not traded at present."
        raise NotFound(problem, f"Write {either(halted)} for what it was traded at before.")
    raise unknown_symbol(text, markets, exchange_id)


def resolve_swap(text: str, markets: Markets, exchange_id: str) -> str:
    """Return the perpetual swap that `text` means on an exchange: of several, the one settled in its quote."""
    spelt = without_exchange(text.strip(), exchange_id, known_exchanges())
    if markets.get(spelt, {}).get("swap"):
        return spelt
    spelt = perpetual(spelt) or spelt
    matches = _of_kind(spelt, "swap", markets)
    linear = [symbol for symbol in matches if markets[symbol].get("settle") == markets[symbol].get("quote")]
    if match := _only(linear if len(linear) == 1 else matches, text, exchange_id):
        return match
    if not (swaps := _swaps(markets)):
        raise NotSupported(f"{exchange_id!r} lists no perpetual swaps.", HAVE_SWAPS)
    raise unknown_symbol(text, swaps, exchange_id, "swap")


def unknown_symbol(text: str, markets: Markets, exchange_id: str, kind: str = "symbol") -> NotFound:
    """Make the error for a symbol that an exchange does not have, with the nearest that it has."""
    near = _of_same_assets(text.strip(), markets) or _spelt_alike(text, markets)
    hint = f"Did you mean {either(near)}?" if near else "Nothing there is spelt like it; try another exchange."
    return NotFound(f"Unknown {kind} {_cut(text)} on {exchange_id!r}.", f"{hint} find_markets lists them.")


def _of_same_assets(spelt: str, markets: Markets) -> list[str]:
    """List markets of the asset that was named alone, or of the assets of a future or swap that is not there."""
    base, of = spelt.upper(), (dated(spelt) or (perpetual(spelt),))[0]
    tradable = [market for market in markets.values() if market.get("active") is not False]
    near = set(_fitting(of.upper(), tradable)) if of else set()
    alone = {base, ALIASES.get(base, base), *({of.upper()} if of else ())}
    near |= {str(market["symbol"]) for market in tradable if str(market.get("base")).upper() in alone}
    wanted = "future" if dated(spelt) else "swap" if of else "spot"
    return sorted(near, key=lambda symbol: (not markets[symbol].get(wanted), *_usual(markets[symbol])))[:_MOST_NEAR]


def _usual(market: Mapping[str, Any]) -> tuple[bool, int, str]:
    """Return what sorts a market: spot first, then by its quote, dollars first."""
    quote = str(market.get("quote")).upper()
    return not market.get("spot"), _QUOTES.index(quote) if quote in _QUOTES else len(_QUOTES), str(market["symbol"])


def _spelt_alike(text: str, markets: Markets) -> list[str]:
    """List the markets that are spelt like a text: above all their base, as many end in the same quote."""
    swaps_first = sorted(filter(_tradable, markets.values()), key=lambda market: bool(market.get("spot")))
    by_key = {_key(market["symbol"]): market for market in swaps_first}
    key = _key(text)[:_LONGEST]
    alike = [by_key[near] for near in get_close_matches(key, by_key, n=20, cutoff=0.75)]
    near = [str(market["symbol"]) for market in alike if _base_alike(key, str(market.get("base")).upper())]
    return near[:_MOST_NEAR]


def _base_alike(key: str, base: str) -> bool:
    return SequenceMatcher(None, key[: len(base)], base).ratio() >= _BASE_ALIKE


def _only(matches: list[str], text: str, exchange_id: str) -> str | None:
    """Return the only match, or None without any; raise with several."""
    if len(matches) > 1:
        raise NotFound(f"{_cut(text)} on {exchange_id!r} fits several markets.", f"Write {either(matches)}.")
    return matches[0] if matches else None


def _swaps(markets: Markets) -> Markets:
    return {symbol: market for symbol, market in markets.items() if market.get("swap")}


def _dated_as(spelt: str, markets: Markets) -> list[str]:
    """List the active futures of the assets and the day that a text names."""
    if (parts := dated(spelt)) is None:
        return []
    return [symbol for symbol in _of_kind(parts[0], "future", markets) if symbol.endswith(f"-{parts[1]}")]


def _named_by_exchange(spelt: str, markets: Markets) -> list[str]:
    """List the active markets that an exchange calls so; not a contract whose name is that of a spot market."""
    return sorted(
        str(market["symbol"])
        for market in markets.values()
        if str(market.get("id") or "").upper() == spelt.upper()
        and not spelt.isdigit()  # a mere number, as some exchanges have, is too likely to mean something else
        and market.get("active") is not False
        and (market.get("spot") or _key(spelt) != _key(str(market["symbol"])))
    )


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
