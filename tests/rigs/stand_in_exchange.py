"""A stand-in for Kraken and Binance on loopback, to which ccxt's own classes talk as they do to the real ones.

    with StandInExchange() as rig:
        CcxtExchange("kraken", base_url=rig.url)

It serves the market lists, candles and tickers of both, in their own formats and with their own limits per call. Its
candles are a function of the market and the open time, so a test can say what must come out: `rig.candle(…)`.
"""

import contextlib
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.rigs.loopback import served

LISTED_MS = 1_502_928_000_000
"""2017-08-17T00:00Z: no market has candles before it, unless a test says so."""

KRAKEN_CANDLES = 720
BINANCE_CANDLES = 1000
PERPETUAL_MS = 4_133_404_800_000

_PRICES_USD = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "DOGE": 0.12, "PEPE": 0.0000081, "HYPE": 40.0}
_MILLISECONDS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

_KRAKEN = {  # the exchange's own id: (base, quote, altname)
    "XXBTZUSD": ("XXBT", "ZUSD", "XBTUSD"),
    "XXBTZEUR": ("XXBT", "ZEUR", "XBTEUR"),
    "XBTUSDT": ("XXBT", "USDT", "XBTUSDT"),
    "XETHZUSD": ("XETH", "ZUSD", "ETHUSD"),
    "XETHXXBT": ("XETH", "XXBT", "ETHXBT"),
    "XDGUSD": ("XXDG", "ZUSD", "XDGUSD"),
    "SOLUSD": ("SOL", "ZUSD", "SOLUSD"),
    "PEPEUSD": ("PEPE", "ZUSD", "PEPEUSD"),
}
_KRAKEN_ASSETS = {"XXBT": "XBT", "XETH": "ETH", "XXDG": "XDG", "SOL": "SOL", "PEPE": "PEPE"} | {
    "ZUSD": "USD", "ZEUR": "EUR", "USDT": "USDT",
}  # fmt: skip
_UNIFIED = {"XBT": "BTC", "XDG": "DOGE"}

_BINANCE = {  # path prefix: its markets
    "/api/v3": {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT"), "ETHBTC": ("ETH", "BTC"),
                "PEPEUSDT": ("PEPE", "USDT"), "BTCUSDC": ("BTC", "USDC")},
    "/fapi/v1": {"BTCUSDT": ("BTC", "USDT"), "HYPEUSDT": ("HYPE", "USDT")},
    "/dapi/v1": {"BTCUSD_PERP": ("BTC", "USD")},
}  # fmt: skip


@dataclass
class Faults:
    """What goes wrong with the next requests; all off to begin with."""

    status: int | None = None
    body: str = "<html>no</html>"
    truncated: bool = False
    dropped: bool = False
    latency_s: float = 0.0
    times: int | None = None
    """How many requests it happens to; None: to all until it is switched off."""

    def take(self) -> bool:
        """Say whether it happens to this request."""
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class StandInExchange:
    """Use it as a context manager; `url` is where it listens.

    `now_ms` is its present (Unix ms); it begins at the machine's and then stands still. `requests` counts by path.
    """

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.listed_ms = LISTED_MS
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.incomplete_ms: set[int] = set()
        self.url = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.url = self._stack.enter_context(served(_Faulty(_app(self), self)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def heal(self) -> None:
        """Switch every fault off."""
        self.faults = Faults()

    def candle(self, base: str, quote: str, open_ms: int, length_ms: int) -> list[float]:
        """Give one candle as (open time ms, open, high, low, close, volume): final, or as far as it has formed."""
        price = _PRICES_USD[base] / _PRICES_USD.get(quote, 1.0)
        number = open_ms // length_ms
        opened, closed = (price * (0.95 + (n * 7919 % 1009) / 10_090) for n in (number - 1, number))
        volume = 1 + number * 40_503 % 977 / 8
        if open_ms + length_ms > self.now_ms:
            closed, volume = (opened + closed) / 2, volume / 2
        high, low = max(opened, closed) * 1.001, min(opened, closed) * 0.999
        return [float(open_ms), *(float(f"{value:.8g}") for value in (opened, high, low, closed)), volume]

    def candles(self, base: str, quote: str, start_ms: int, end_ms: int, length_ms: int) -> list[list[float]]:
        """Give the candles whose open time is in [start_ms, end_ms), none before the listing or after now."""
        first = -(-max(start_ms, self.listed_ms) // length_ms) * length_ms
        return [
            self.candle(base, quote, open_ms, length_ms)
            for open_ms in range(first, min(end_ms, self.now_ms + 1), length_ms)
        ]


def _app(rig: StandInExchange) -> ASGIApp:
    kraken, binance = _KrakenApi(rig), _BinanceApi(rig)
    routes = [
        Route("/0/public/Assets", kraken.assets),
        Route("/0/public/AssetPairs", kraken.pairs),
        Route("/0/public/OHLC", kraken.candles),
        Route("/0/public/Ticker", kraken.ticker),
    ]
    for prefix in _BINANCE:
        routes.append(Route(f"{prefix}/exchangeInfo", binance.markets))
        routes.append(Route(f"{prefix}/klines", binance.candles))
        routes.append(Route(f"{prefix}/ticker/24hr", binance.ticker))
    return Starlette(routes=routes)


class _Faulty:
    """Counts the requests, and lets go wrong what the rig says."""

    def __init__(self, app: ASGIApp, rig: StandInExchange) -> None:
        self._app = app
        self._rig = rig

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._rig.requests[scope["path"]] += 1
        faults = self._rig.faults
        if not faults.take():
            await self._app(scope, receive, send)
            return
        if faults.latency_s:
            await anyio.sleep(faults.latency_s)
        if faults.dropped:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            raise ConnectionAbortedError("dropped on purpose: the server closes the socket")
        if faults.status is not None:
            await Response(faults.body, status_code=faults.status, media_type="text/html")(scope, receive, send)
        elif faults.truncated:
            await Response('{"error":[],"resu', media_type="application/json")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _KrakenApi:
    def __init__(self, rig: StandInExchange) -> None:
        self._rig = rig

    async def assets(self, request: Request) -> JSONResponse:
        details = {"aclass": "currency", "decimals": 8, "display_decimals": 5, "status": "enabled"}
        return _result({name: {"altname": code, **details} for name, code in _KRAKEN_ASSETS.items()})

    async def pairs(self, request: Request) -> JSONResponse:
        return _result({market_id: _kraken_pair(*market) for market_id, market in _KRAKEN.items()})

    async def candles(self, request: Request) -> JSONResponse:
        market_id = request.query_params.get("pair", "")
        if market_id not in _KRAKEN:
            return JSONResponse({"error": ["EQuery:Invalid asset pair"]})
        length_ms = int(request.query_params.get("interval", "1")) * 60_000
        base, quote = _kraken_codes(market_id)
        newest = self._rig.now_ms // length_ms * length_ms
        oldest = newest - (KRAKEN_CANDLES - 1) * length_ms
        since_ms = int(request.query_params.get("since", "0")) * 1000
        found = self._rig.candles(base, quote, max(oldest, since_ms + 1), newest + 1, length_ms)
        rows = [self._row(row) for row in found]
        return _result({market_id: rows, "last": (newest - length_ms) // 1000})

    def _row(self, row: list[float]) -> list[Any]:
        prices = [f"{value:.12f}" for value in row[1:5]]
        if int(row[0]) in self._rig.incomplete_ms:
            prices[3] = ""
        return [int(row[0]) // 1000, *prices, prices[0], f"{row[5]:.8f}", 7]

    async def ticker(self, request: Request) -> JSONResponse:
        market_id = request.query_params.get("pair", "")
        if market_id not in _KRAKEN:
            return JSONResponse({"error": ["EQuery:Invalid asset pair"]})
        last = _forming(self._rig, *_kraken_codes(market_id))[4]
        price = f"{last:.12f}"
        around = {"a": [f"{last * 1.0001:.12f}", "1", "1"], "b": [f"{last * 0.9999:.12f}", "1", "1"]}
        day = {"v": ["10", "1234.5"], "p": [price, price], "t": [3, 7], "l": [price, price], "h": [price, price]}
        return _result({market_id: {**around, **day, "c": [price, "0.1"], "o": f"{last / 1.02:.12f}"}})


class _BinanceApi:
    def __init__(self, rig: StandInExchange) -> None:
        self._rig = rig

    async def markets(self, request: Request) -> JSONResponse:
        prefix = request.url.path.removesuffix("/exchangeInfo")
        found = [_binance_market(prefix, name, *market) for name, market in _BINANCE[prefix].items()]
        return JSONResponse({"timezone": "UTC", "serverTime": self._rig.now_ms, "symbols": found})

    async def candles(self, request: Request) -> JSONResponse:
        market, asked = self._market(request), request.query_params
        if market is None:
            return JSONResponse({"code": -1121, "msg": "Invalid symbol."}, status_code=400)
        interval = asked["interval"]
        length_ms = int(interval[:-1]) * _MILLISECONDS[interval[-1]]
        limit = min(int(asked.get("limit", "500")), BINANCE_CANDLES)
        end_ms = int(asked.get("endTime", self._rig.now_ms)) + 1
        start_ms = int(asked.get("startTime", end_ms - limit * length_ms))
        start_ms = max(start_ms, self._rig.listed_ms)
        found = self._rig.candles(*market, start_ms, min(end_ms, start_ms + (limit + 1) * length_ms), length_ms)[:limit]
        return JSONResponse(
            [
                [
                    int(row[0]),
                    *(f"{value:.12f}" for value in row[1:]),
                    int(row[0]) + length_ms - 1,
                    "1",
                    7,
                    "1",
                    "1",
                    "0",
                ]
                for row in found
            ]
        )

    async def ticker(self, request: Request) -> JSONResponse:
        market = self._market(request)
        if market is None:
            return JSONResponse({"code": -1121, "msg": "Invalid symbol."}, status_code=400)
        last = _forming(self._rig, *market)[4]
        prices = {"lastPrice": last, "openPrice": last / 1.02, "bidPrice": last * 0.9999, "askPrice": last * 1.0001}
        day = {
            "priceChange": last - last / 1.02,
            "weightedAvgPrice": last,
            "volume": 1234.5,
            "quoteVolume": 1234.5 * last,
        }
        texts = {name: f"{value:.12f}" for name, value in {**prices, **day}.items()}
        extra = {"symbol": request.query_params["symbol"], "priceChangePercent": "2.000", "bidQty": "1", "askQty": "1"}
        return JSONResponse({**extra, **texts, "closeTime": self._rig.now_ms})

    def _market(self, request: Request) -> tuple[str, str] | None:
        prefix = "/".join(request.url.path.split("/")[:3])
        return _BINANCE[prefix].get(request.query_params.get("symbol", ""))


def _forming(rig: StandInExchange, base: str, quote: str) -> list[float]:
    return rig.candle(base, quote, rig.now_ms // 60_000 * 60_000, 60_000)


def _result(values: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"error": [], "result": values})


def _kraken_codes(market_id: str) -> tuple[str, str]:
    base, quote = (_KRAKEN_ASSETS[name] for name in _KRAKEN[market_id][:2])
    return _UNIFIED.get(base, base), _UNIFIED.get(quote, quote)


def _kraken_pair(base: str, quote: str, altname: str) -> dict[str, Any]:
    wsname = f"{_KRAKEN_ASSETS[base]}/{_KRAKEN_ASSETS[quote]}"
    names = {"altname": altname, "wsname": wsname, "base": base, "quote": quote}
    sizes = {"pair_decimals": 5, "lot_decimals": 8, "lot_multiplier": 1, "ordermin": "0.0001", "costmin": "0.5"}
    return {**names, **sizes, "leverage_buy": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "status": "online"}


def _binance_market(prefix: str, name: str, base: str, quote: str) -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000", "tickSize": "0.00000001"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
    ]
    market = {"symbol": name, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": filters}
    if prefix == "/api/v3":
        return {**market, "isMarginTradingAllowed": True, "permissions": ["SPOT"]}
    margin = base if prefix == "/dapi/v1" else quote
    contract = {"contractType": "PERPETUAL", "deliveryDate": PERPETUAL_MS, "marginAsset": margin, "contractSize": 100}
    return {**market, **contract, "contractStatus": "TRADING"}
