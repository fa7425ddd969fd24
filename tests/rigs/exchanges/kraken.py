"""Kraken's public API: one page of its newest candles, and asset names of its own."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.rigs.exchanges.world import World, in_full

CANDLES = 720
DEFAULT_DEPTH = 100

_MARKETS = {  # the exchange's own id: (base, quote, altname)
    "XXBTZUSD": ("XXBT", "ZUSD", "XBTUSD"),
    "XXBTZEUR": ("XXBT", "ZEUR", "XBTEUR"),
    "XBTUSDT": ("XXBT", "USDT", "XBTUSDT"),
    "XETHZUSD": ("XETH", "ZUSD", "ETHUSD"),
    "XETHXXBT": ("XETH", "XXBT", "ETHXBT"),
    "XDGUSD": ("XXDG", "ZUSD", "XDGUSD"),
    "SOLUSD": ("SOL", "ZUSD", "SOLUSD"),
    "PEPEUSD": ("PEPE", "ZUSD", "PEPEUSD"),
}
_ASSETS = {"XXBT": "XBT", "XETH": "ETH", "XXDG": "XDG", "SOL": "SOL", "PEPE": "PEPE"} | {
    "ZUSD": "USD", "ZEUR": "EUR", "USDT": "USDT",
}  # fmt: skip
_UNIFIED = {"XBT": "BTC", "XDG": "DOGE"}
_TAKER_PCT = [[0, 0.4], [10_000, 0.35], [50_000, 0.24], [100_000, 0.22], [250_000, 0.2], [500_000, 0.18]]
_MAKER_PCT = [[0, 0.25], [10_000, 0.2], [50_000, 0.14], [100_000, 0.12], [250_000, 0.08], [500_000, 0.06]]


def routes(world: World) -> list[Route]:
    """Give the paths that it serves."""
    api = _Api(world)
    served = {
        "Assets": api.assets, "AssetPairs": api.pairs, "OHLC": api.candles,
        "Ticker": api.ticker, "Depth": api.order_book, "Time": api.time,
    }  # fmt: skip
    return [Route(f"/0/public/{name}", endpoint) for name, endpoint in served.items()]


class _Api:
    def __init__(self, world: World) -> None:
        self._world = world

    async def time(self, request: Request) -> JSONResponse:
        return _result({"unixtime": self._world.clock_ms // 1000})

    async def assets(self, request: Request) -> JSONResponse:
        details = {"aclass": "currency", "decimals": 8, "display_decimals": 5, "status": "enabled"}
        return _result({name: {"altname": code, **details} for name, code in self._assets().items()})

    async def pairs(self, request: Request) -> JSONResponse:
        assets = self._assets()
        return _result({market_id: _pair(*market, assets) for market_id, market in self._markets().items()})

    async def candles(self, request: Request) -> JSONResponse:
        market_id = request.query_params.get("pair", "")
        if market_id not in self._markets():
            return _unknown()
        length_ms = int(request.query_params.get("interval", "1")) * 60_000
        since_ms = int(request.query_params.get("since", "0")) * 1000
        found = self._world.newest(*self._codes(market_id), self._world.clock_ms + 1, length_ms, CANDLES)
        closed_ms = [int(row[0]) for row in found if row[0] + length_ms <= self._world.clock_ms]
        rows = [self._row(row) for row in found if row[0] > since_ms]
        last = closed_ms[-1] // 1000 if closed_ms else 0
        return _result({market_id: self._world.as_sent(rows), "last": last})

    def _row(self, row: list[float]) -> list[Any]:
        prices = [in_full(value) for value in row[1:5]]
        if int(row[0]) in self._world.incomplete_ms:
            prices[3] = ""
        return [int(row[0]) // 1000, *prices, prices[0], f"{row[5]:.8f}", 7]

    async def ticker(self, request: Request) -> JSONResponse:
        market_id = request.query_params.get("pair", "")
        if market_id not in self._markets():
            return _unknown()
        last = self._world.last(*self._codes(market_id))
        (bid, _), (ask, _) = (side[0] for side in self._world.order_book(*self._codes(market_id), 1))
        price = in_full(last)
        around = {"a": [in_full(ask), "1", "1"], "b": [in_full(bid), "1", "1"]}
        day = {"v": ["10", "1234.5"], "p": [price, price], "t": [3, 7], "l": [price, price], "h": [price, price]}
        return _result({market_id: {**around, **day, "c": [price, "0.1"], "o": in_full(last / 1.02)}})

    async def order_book(self, request: Request) -> JSONResponse:
        market_id = request.query_params.get("pair", "")
        if market_id not in self._markets():
            return _unknown()
        depth = int(request.query_params.get("count", DEFAULT_DEPTH))
        book, now_s = self._world.order_book(*self._codes(market_id), depth), self._world.clock_ms // 1000
        sides = {
            name: [[in_full(price), in_full(size), now_s] for price, size in levels]
            for name, levels in book._asdict().items()
        }
        return _result({market_id: sides})

    def _assets(self) -> dict[str, str]:
        return _ASSETS | {base: base for base in self._world.extra_bases}

    def _markets(self) -> dict[str, tuple[str, str, str]]:
        return _MARKETS | {f"{base}USDT": (base, "USDT", f"{base}USDT") for base in self._world.extra_bases}

    def _codes(self, market_id: str) -> tuple[str, str]:
        base, quote, _ = self._markets()[market_id]
        assets = self._assets()
        return _UNIFIED.get(assets[base], assets[base]), _UNIFIED.get(assets[quote], assets[quote])


def _result(values: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"error": [], "result": values})


def _unknown() -> JSONResponse:
    return JSONResponse({"error": ["EQuery:Invalid asset pair"]})


def _pair(base: str, quote: str, altname: str, assets: dict[str, str]) -> dict[str, Any]:
    names = {"altname": altname, "wsname": f"{assets[base]}/{assets[quote]}", "base": base, "quote": quote}
    kinds = {"aclass_base": "currency", "aclass_quote": "currency", "lot": "unit", "status": "online"}
    sizes = {"cost_decimals": 5, "pair_decimals": 5, "lot_decimals": 8, "lot_multiplier": 1, "tick_size": "0.00001"}
    least = {"ordermin": "0.0001", "costmin": "0.5"}
    fees = {"fees": _TAKER_PCT, "fees_maker": _MAKER_PCT, "fee_volume_currency": "ZUSD"}
    margin = {"leverage_buy": [], "leverage_sell": [], "margin_call": 80, "margin_stop": 40}
    return {**names, **kinds, **sizes, **least, **fees, **margin}
