"""Symbols as charts and exchanges write them: `BINANCE:BTCUSDT`, `BTCUSDT.P`, `BTC-USDT-SWAP`, `BTCUSDT_261225`."""

import re
from collections.abc import Collection

from mcp_server.errors import NotFound

_LONGEST = 40
"""Characters of the caller's text that are shown in errors."""

_EXCHANGES = {"gateio": "gate", "huobi": "htx", "okex": "okx", "crypto": "cryptocom"} | {
    name: name
    for name in (
        *("binance", "binanceus", "bingx", "bitfinex", "bitget", "bitstamp", "bybit", "coinbase", "deribit"),
        *("gemini", "kraken", "kucoin", "mexc", "okx", "phemex", "poloniex", "upbit", "whitebit"),
    )
}
"""Names that charts put in front of a symbol → ccxt's ids."""

_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_]*):([^:\s]+(?::[^:\s]+)?)")
_PERPETUAL = re.compile(r"(.+?)(?:\.P|[-_]?PERP|[-_]SWAP)", re.IGNORECASE)
_DATED = re.compile(r"(.+?)[-_](\d{6})")


def without_exchange(text: str, exchange_id: str, known: Collection[str] = ()) -> str:
    """Return a symbol without the exchange that stands before it, as in `BINANCE:BTCUSDT`.

    Raises:
        NotFound: it is another exchange than the one that is asked.
    """
    match = _NAMED.fullmatch(text)
    named = match[1].lower() if match else ""
    named = _EXCHANGES.get(named, named)
    if match is None or (named not in known and named not in _EXCHANGES.values()):
        return text
    if named != exchange_id:
        problem = f"{text[:_LONGEST]!r} names the exchange {named!r}, but {exchange_id!r} was asked."
        raise NotFound(problem, f"Give exchange={named!r} and symbol={match[2][:_LONGEST]!r}.")
    return match[2]


def perpetual(text: str) -> str | None:
    """Return what a perpetual swap is of, if the text marks one, as `BTCUSDT.P` and `BTC-USDT-SWAP` do."""
    match = _PERPETUAL.fullmatch(text)
    return match[1] if match else None


def dated(text: str) -> tuple[str, str] | None:
    """Return what a future is of and its last day (`261225`), if the text has one."""
    match = _DATED.fullmatch(text)
    return (match[1], match[2]) if match else None


def pays_fundings(symbol: str) -> bool:
    """Return whether an exact symbol is of a perpetual swap: it names what settles it, and no day of settlement."""
    return ":" in symbol and "-" not in symbol
