"""Gate's and OKX's public API, as much as their dollar swap of Bitcoin needs: both count contracts where others count
base."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_server.domain.timeframes import TIMEFRAMES
from tests.rigs.exchanges.world import World, in_full

CONTRACT = {"gate": 0.0001, "okx": 0.01}
"""Bitcoin in one contract."""

_LENGTHS = {**TIMEFRAMES, "1H": TIMEFRAMES["1h"]}
_BTC = ("BTC", "USDT")


def routes(world: World) -> list[Route]:
    """Give the paths that they serve."""
    gate, okx = _Gate(world), _Okx(world)
    served = {
        "/api/v4/futures/usdt/contracts": gate.contracts,
        "/api/v4/futures/usdt/candlesticks": gate.candles,
        "/api/v4/futures/usdt/tickers": gate.ticker,
        "/api/v5/public/instruments": okx.instruments,
        "/api/v5/market/candles": okx.candles,
        "/api/v5/market/history-candles": okx.candles,
        "/api/v5/market/ticker": okx.ticker,
    }
    nothing = ["delivery/usdt/contracts", "futures/btc/contracts", "options/underlyings", "margin/currency_pairs"]
    nothing += ["spot/currencies", "spot/currency_pairs"]
    return [
        *(Route(path, endpoint) for path, endpoint in served.items()),
        *(Route(f"/api/v4/{path}", _nothing) for path in nothing),
    ]


async def _nothing(_: Request) -> JSONResponse:
    return JSONResponse([])


class _Gate:
    def __init__(self, world: World) -> None:
        self._world = world

    async def contracts(self, _: Request) -> JSONResponse:
        price = in_full(self._world.last(*_BTC))
        market: dict[str, Any] = {"name": "BTC_USDT", "type": "direct", "status": "trading", "in_delisting": False}
        market |= {"quanto_multiplier": in_full(CONTRACT["gate"]), "order_price_round": "0.1"}
        market |= {"last_price": price, "mark_price": price, "index_price": price, "order_price_deviate": "0.5"}
        market |= {"order_size_min": 1, "order_size_max": 1_000_000, "leverage_max": "100"}
        market |= {"maker_fee_rate": "-0.0001", "taker_fee_rate": "0.0005"}
        return JSONResponse([{**market, "create_time": self._world.listed_ms // 1000}])

    async def candles(self, request: Request) -> JSONResponse:
        asked = request.query_params
        length_ms = _LENGTHS[asked["interval"]]
        start_ms = int(asked["from"]) * 1000
        end_ms = int(asked["to"]) * 1000 + 1 if "to" in asked else start_ms + int(asked["limit"]) * length_ms
        rows = self._world.published(*_BTC, start_ms, end_ms, length_ms)
        return JSONResponse([self._row(row) for row in rows])

    def _row(self, row: list[float]) -> dict[str, Any]:
        prices = dict(zip("ohlc", map(in_full, row[1:5]), strict=True))
        return {"t": int(row[0]) // 1000, "v": round(row[5] / CONTRACT["gate"]), **prices, "sum": "1"}

    async def ticker(self, _: Request) -> JSONResponse:
        price = in_full(self._world.last(*_BTC))
        day = {"volume_24h": "12345000", "volume_24h_base": "1234.5", "volume_24h_quote": "1", "change_percentage": "2"}
        return JSONResponse([{"contract": "BTC_USDT", "last": price, "low_24h": price, "high_24h": price, **day}])


class _Okx:
    def __init__(self, world: World) -> None:
        self._world = world

    async def instruments(self, request: Request) -> JSONResponse:
        market = {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "uly": "BTC-USDT", "settleCcy": "USDT"}
        market |= {"ctVal": in_full(CONTRACT["okx"]), "ctMult": "1", "ctType": "linear", "state": "live"}
        market |= {"tickSz": "0.1", "lotSz": "0.01", "minSz": "0.01", "lever": "100"}
        market |= {"listTime": str(self._world.listed_ms)}
        return _data([market] if request.query_params["instType"] == "SWAP" else [])

    async def candles(self, request: Request) -> JSONResponse:
        asked = request.query_params
        length_ms, end_ms = _LENGTHS[asked["bar"]], int(asked["after"])
        start_ms = int(asked["before"]) + 1 if "before" in asked else end_ms - int(asked["limit"]) * length_ms
        rows = list(self._world.published(*_BTC, start_ms, end_ms, length_ms))
        return _data([self._row(row) for row in reversed(rows)])

    def _row(self, row: list[float]) -> list[str]:
        contracts, base = in_full(row[5] / CONTRACT["okx"]), in_full(row[5])
        return [str(int(row[0])), *map(in_full, row[1:5]), contracts, base, "1", "1"]

    async def ticker(self, _: Request) -> JSONResponse:
        price = in_full(self._world.last(*_BTC))
        day = {"vol24h": "123450", "volCcy24h": "1234.5", "ts": str(self._world.clock_ms)}
        return _data([{"instId": "BTC-USDT-SWAP", "instType": "SWAP", "last": price, "open24h": price, **day}])


def _data(rows: list[Any]) -> JSONResponse:
    return JSONResponse({"code": "0", "msg": "", "data": rows})
