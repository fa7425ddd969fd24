"""The unit of an exchange's volumes: ccxt passes on what it sends, which for many swaps counts contracts, not base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

from mcp_server.adapters.ccxt.pages import Row
from mcp_server.adapters.ccxt.perpetuals import number

Unit = Literal["base", "contracts", "unknown"]


@dataclass(frozen=True, slots=True)
class Volumes:
    """What an exchange's volumes count, of candles and tickers, for linear and for inverse contracts.

    `ticker_key` and `inverse_ticker_key` name the exchange's own field with the volume in base, where ccxt takes
    another one. `source` says where it is known from.
    """

    candles: Unit
    inverse_candles: Unit
    ticker: Unit
    inverse_ticker: Unit
    source: str
    ticker_key: str | None = None
    inverse_ticker_key: str | None = None


_BASE: tuple[Unit, Unit, Unit, Unit] = ("base", "base", "base", "base")
_LINEAR_ONLY: tuple[Unit, Unit, Unit, Unit] = ("base", "unknown", "base", "unknown")

VOLUMES: dict[str, Volumes] = {
    "aster": Volumes(*_LINEAR_ONLY, "Binance's linear API under another name: klines' `volume` is base"),
    "binance": Volumes(*_BASE, "parse_ohlcv and parse_ticker take dapi's base volume (index 7, `baseVolume`); #9141"),
    "bingx": Volumes(*_LINEAR_ONLY, "parse_trade: linear volume is base, inverse volume a count of contracts"),
    "bitfinex": Volumes(*_LINEAR_ONLY, "candles and tickers count the base currency; all derivatives are linear"),
    "bitget": Volumes(*_BASE, "parse_ohlcv takes index 6 of inverse ones, base there (#20556); `baseVolume`"),
    "blofin": Volumes("base", "unknown", "contracts", "unknown", "index 6 is base; `vol24h` counts contracts"),
    "bybit": Volumes(
        *_BASE, "parse_ohlcv takes the turnover of inverse ones (#17279); v5: inverse volume24h is in quote",
        inverse_ticker_key="turnover24h",
    ),
    "coinbase": Volumes("unknown", "unknown", "unknown", "unknown", "neither its documentation nor ccxt says"),
    "coinbaseinternational": Volumes(*_LINEAR_ONLY, "`stats.volume` and candles count the base; all is linear"),
    "cryptocom": Volumes(*_LINEAR_ONLY, "`v` is the traded volume in base; all is linear"),
    "deribit": Volumes(*_BASE, "`volume` is in base currency, `cost` in quote; `stats.volume` likewise"),
    "dydx": Volumes(*_LINEAR_ONLY, "`baseTokenVolume`"),
    "gate": Volumes("contracts", "contracts", "base", "base", "`v` is a size in contracts; `volume_24h_base`; #18941"),
    "htx": Volumes(*_BASE, "`amount` is in base, `vol` in contracts; parse_ohlcv and parse_ticker take `amount`"),
    "hyperliquid": Volumes(*_LINEAR_ONLY, "`v` is a size in base; all is linear"),
    "krakenfutures": Volumes("base", "contracts", "base", "unknown", "parse_ticker: of inverse ones it is in quote"),
    "kucoin": Volumes("contracts", "contracts", "base", "unknown", "klines count lots; `volumeOf24h` is in base"),
    "mexc": Volumes("contracts", "contracts", "base", "base", "`vol` counts contracts (#27857), parse_ticker converts"),
    "okx": Volumes(
        *_BASE, "parse_ohlcv takes volCcy, base (#17177); `vol24h` counts contracts, `volCcy24h` base",
        ticker_key="volCcy24h", inverse_ticker_key="volCcy24h",
    ),
    "phemex": Volumes("base", "contracts", "base", "contracts", "`volumeRq` is base; inverse `volume` is contracts"),
    "poloniex": Volumes("contracts", "unknown", "base", "unknown", "index 5 counts contracts; parse_ticker converts"),
    "whitebit": Volumes(*_LINEAR_ONLY, "contract size 1: amounts are in base (its fetch_markets)"),
    "woo": Volumes(*_LINEAR_ONLY, "`volume` of candles and `24hVolume` are base; all is linear"),
    "xt": Volumes("contracts", "base", "base", "base", "`a` counts contracts, of inverse ones it takes `v`, base"),
}  # fmt: skip
"""Units by ccxt's id, of the largest exchanges of derivatives. A source with # is an issue of ccxt/ccxt; names with
underscores are methods of ccxt's class, which was read, and `fields` are the exchange's own, as that class quotes
them."""

_SAME = {
    **dict.fromkeys(("binanceusdm", "binancecoinm"), "binance"),
    **dict.fromkeys(("bybiteu", "bybitid"), "bybit"),
    **dict.fromkeys(("myokx", "okxus"), "okx"),
    "gateeu": "gate",
    "kucoinfutures": "kucoin",
}
"""Classes of ccxt that only rename or restrict another one."""


def base_volumes(rows: Sequence[Row], exchange_id: str, market: Mapping[str, Any]) -> Sequence[Row]:
    """Return candles with their volume in base, or NaN where its unit is not known.

    Contracts of an inverse market are worth a sum in quote: it is converted at each candle's mean price.
    """
    unit = _unit(exchange_id, market, "candles")
    if unit == "base":
        return rows
    size = _contract_size(market)
    if unit == "unknown" or size is None:
        return [[*row[:5], nan, *row[6:]] for row in rows]
    return [
        row if len(row) < 6 or None in row[:6] else [*row[:5], row[5] * size / _divisor(row, market), *row[6:]]
        for row in rows
    ]


def base_volume_of(ticker: Mapping[str, Any], exchange_id: str, market: Mapping[str, Any]) -> float | None:
    """Return a ticker's 24 h volume in base, or None where the exchange does not say it in a known unit."""
    volumes = VOLUMES.get(_SAME.get(exchange_id, exchange_id))
    key = None
    if volumes and market.get("contract"):
        key = volumes.inverse_ticker_key if market.get("inverse") else volumes.ticker_key
    if key is not None:
        return _as_number((ticker.get("info") or {}).get(key))
    volume, unit = number(ticker.get("baseVolume")), _unit(exchange_id, market, "ticker")
    if volume is None or unit == "base":
        return volume
    size = _contract_size(market)
    return volume * size if unit == "contracts" and size is not None and not market.get("inverse") else None


def has_known_unit(exchange_id: str, market: Mapping[str, Any]) -> bool:
    """Return whether the unit of a market's 24 h volume is known, so that it can be told in base."""
    unit = _unit(exchange_id, market, "ticker")
    if unit == "contracts":
        return _contract_size(market) is not None and not market.get("inverse")
    return unit != "unknown"


def _unit(exchange_id: str, market: Mapping[str, Any], of: Literal["candles", "ticker"]) -> Unit:
    """Return what the volumes of a market count. Without an entry, contracts of the size 1 are as good as base."""
    if not market.get("contract"):
        return "base"
    volumes = VOLUMES.get(_SAME.get(exchange_id, exchange_id))
    linear = bool(market.get("linear"))
    if volumes is None:
        return "base" if linear and market.get("contractSize") == 1 else "unknown"
    if not linear and not market.get("inverse"):  # settled in a third currency
        return "unknown"
    if of == "candles":
        return volumes.candles if linear else volumes.inverse_candles
    return volumes.ticker if linear else volumes.inverse_ticker


def _contract_size(market: Mapping[str, Any]) -> float | None:
    """Return what a contract is worth; some exchanges state 0 where they mean that they do not say."""
    size = number(market.get("contractSize"))
    return size if size is not None and size > 0 else None


def _divisor(row: Row, market: Mapping[str, Any]) -> float:
    return sum(row[1:5]) / 4 or nan if market.get("inverse") else 1.0


def _as_number(value: Any) -> float | None:
    try:
        return number(float(value))
    except (TypeError, ValueError):
        return None
