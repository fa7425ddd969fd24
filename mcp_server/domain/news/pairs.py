"""What a market's symbol is of, as charts, exchanges and headlines write it."""

import re

from mcp_server.domain.symbols import perpetual

QUOTES = frozenset(
    ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD1", "USDE", "RLUSD", "DAI", "USD", "EUR", "GBP", "TRY", "BRL", "JPY")
).union(("KRW", "AUD", "PLN", "MXN", "IDR", "ARS", "CHF", "BTC", "ETH", "BNB"))
"""What markets are quoted in, where a headline writes them as `ONE/USDT`."""

STABLE_QUOTES = frozenset({"USDT", "USDC", "FDUSD"})
"""Quotes that only markets of coins have."""

_RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
_EXCHANGE = re.compile(r"[A-Za-z]\w*:(?=\w+(?:[/.]|$))")
_JOINED = re.compile(r"([A-Z0-9]{2,})(?:USDT|USDC|FDUSD)|([A-Z0-9]{3,})USD")
_MANY = re.compile(r"(?:1000+|1M|k)([A-Z][A-Z0-9]+)")


def base_of(symbol: str) -> str:
    """Return the coin of a symbol in capitals: BTC for `BTC/USDT`, `BTC/USDT:USDT`, `BTCUSDT.P`, `XBT/USD` or `btc`.

    A contract on a thousand coins is of the coin: PEPE for `1000PEPE/USDT:USDT`. Of a currency pair or a share
    (`EUR/USD`, `AAPL`) it is the first part, EUR or AAPL. A text that is no symbol comes back in capitals.
    """
    text = _EXCHANGE.sub("", symbol.strip(), count=1)
    text = perpetual(text) or text
    first, *more = re.split(r"[/:_-]", text)
    base = of_one(first).upper()
    if not more or more[0] not in QUOTES:
        base = joined_base(base) or base
    return _RENAMED.get(base, base)


def of_one(base: str) -> str:
    """Return the coin of a contract on many: PEPE for `1000PEPE`, `1MPEPE` or `kPEPE`; another text as it is."""
    match = _MANY.fullmatch(base)
    return match[1] if match else base


def joined_base(text: str) -> str | None:
    """Return the base of a pair that is written as one word, like `ONEUSDT`; None: it is no such pair."""
    match = _JOINED.fullmatch(text)
    return of_one(match[1] or match[2]) if match else None
