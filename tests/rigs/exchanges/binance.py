"""Binance's public API: the spot market, swaps margined in dollars (linear), and swaps margined in coin (inverse)."""

from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.rigs.exchanges.binance_markets import INVERSE, LINEAR, MARKETS, ODD, SPOT, spot, swap
from tests.rigs.exchanges.world import FUNDING_MS, World, in_full

CANDLES = 1000
FUNDING_RATES = 1000
SWAP_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)

_MILLISECONDS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def routes(world: World) -> list[Route]:
    """Give the paths that it serves."""
    found = []
    for prefix in (SPOT, LINEAR, INVERSE):
        api = _Api(world, prefix)
        served = {
            "exchangeInfo": api.markets, "time": api.time, "klines": api.candles,
            "ticker/24hr": api.ticker, "depth": api.order_book,
        }  # fmt: skip
        if prefix != SPOT:
            served |= {"premiumIndex": api.funding, "fundingRate": api.funding_history}
            served["openInterest"] = api.open_interest
        found += [Route(f"{prefix}/{name}", endpoint) for name, endpoint in served.items()]
    return found


class _Api:
    def __init__(self, world: World, prefix: str) -> None:
        self._world = world
        self._prefix = prefix

    async def time(self, request: Request) -> JSONResponse:
        return JSONResponse({"serverTime": self._world.clock_ms})

    async def markets(self, request: Request) -> JSONResponse:
        if self._prefix == SPOT:
            with_permissions = request.query_params.get("showPermissionSets") != "false"
            found = [spot(name, *market, with_permissions) for name, market in self._markets().items()]
        else:
            found = [swap(self._prefix, name, *market) for name, market in self._markets().items()]
        return JSONResponse({"timezone": "UTC", "serverTime": self._world.clock_ms, "symbols": found})

    async def candles(self, request: Request) -> JSONResponse:
        market, asked = self._market(request), request.query_params
        if market is None:
            return _unknown()
        interval = asked["interval"]
        length_ms = int(interval[:-1]) * _MILLISECONDS[interval[-1]]
        limit = min(int(asked.get("limit", "500")), CANDLES)
        end_ms = int(asked.get("endTime", self._world.clock_ms)) + 1
        if self._world.ignores_bounds:
            limit, end_ms = CANDLES, self._world.clock_ms + 1
        if "startTime" in asked:
            have = self._world.published(*market, int(asked["startTime"]), end_ms, length_ms)
            found = list(islice(have, limit))
        else:
            found = self._world.newest(*market, end_ms, length_ms, limit)
        return JSONResponse(self._world.as_sent([self._row(row, length_ms) for row in found]))

    def _row(self, row: list[float], length_ms: int) -> list[Any]:
        opened, prices = int(row[0]), [in_full(value) for value in row[1:5]]
        if opened in self._world.incomplete_ms:
            prices[3] = ""
        base, other = in_full(row[5]), in_full(row[5] * row[4])
        volume, second_volume = (other, base) if self._prefix == INVERSE else (base, other)
        return [opened, *prices, volume, opened + length_ms - 1, second_volume, 7, "1", "1", "0"]

    async def ticker(self, request: Request) -> JSONResponse:
        market = self._market(request)
        if market is None:
            return _unknown()
        last = self._world.last(*market)
        (bid, _), (ask, _) = (side[0] for side in self._world.order_book(*market, 1))
        day = {"priceChange": last - last / 1.02, "weightedAvgPrice": last, "volume": 1234.5}
        numbers = {**day, "lastPrice": last, "openPrice": last / 1.02, "quoteVolume": 1234.5 * last}
        if self._prefix == SPOT:
            numbers |= {"bidPrice": bid, "bidQty": 1.0, "askPrice": ask, "askQty": 1.0}
        texts = {name: in_full(value) for name, value in numbers.items()}
        extra = {"symbol": request.query_params["symbol"], "priceChangePercent": "2.000"}
        answer = {**extra, **texts, "closeTime": self._world.clock_ms}
        return JSONResponse([answer] if self._prefix == INVERSE else answer)

    async def order_book(self, request: Request) -> JSONResponse:
        market, asked = self._market(request), request.query_params
        if market is None:
            return _unknown()
        depth = int(asked.get("limit", "100" if self._prefix == SPOT else "500"))
        if self._prefix != SPOT and depth not in SWAP_DEPTHS:
            return _error(-4021, f"{depth} is not valid depth limit")
        depth = SWAP_DEPTHS[-1] if self._world.ignores_bounds else depth
        book, now_ms = self._world.order_book(*market, depth), self._world.clock_ms
        sides = {
            name: [[in_full(price), in_full(size)] for price, size in levels] for name, levels in book._asdict().items()
        }
        times = {} if self._prefix == SPOT else {"E": now_ms, "T": now_ms - 7}
        return JSONResponse({"lastUpdateId": now_ms // 7, **times, **sides})

    async def funding(self, request: Request) -> JSONResponse:
        market = self._market(request)
        if market is None:
            return _unknown()
        now_ms = self._world.clock_ms
        next_ms = (now_ms // FUNDING_MS + 1) * FUNDING_MS
        index, mark = in_full(self._world.index_price(*market)), in_full(self._world.mark_price(*market))
        prices = {"symbol": request.query_params["symbol"], "markPrice": mark, "indexPrice": index}
        rate = f"{self._world.funding_rate(market[0], next_ms):.8f}"  # so it is, whatever its name says
        rates = {"lastFundingRate": rate, "interestRate": "0.00010000", "estimatedSettlePrice": index}
        answer = {**prices, **rates, "nextFundingTime": next_ms, "time": now_ms}
        return JSONResponse([answer] if self._prefix == INVERSE else answer)

    async def funding_history(self, request: Request) -> JSONResponse:
        market, asked = self._market(request), request.query_params
        if market is None:
            return _unknown()
        limit, now_ms = min(int(asked.get("limit", "100")), FUNDING_RATES), self._world.clock_ms
        start_ms = max(int(asked.get("startTime", "0")), self._world.listed_ms)
        end_ms = now_ms if self._world.ignores_bounds else min(int(asked.get("endTime", now_ms)), now_ms)
        times = range(-(-start_ms // FUNDING_MS) * FUNDING_MS, end_ms + 1, FUNDING_MS)
        wanted = times[:limit] if "startTime" in asked else times[-limit:]
        rates = [(paid_ms, f"{self._world.funding_rate(market[0], paid_ms):.8f}") for paid_ms in wanted]
        named = {"symbol": asked["symbol"]}
        return JSONResponse([{**named, "fundingTime": paid_ms, "fundingRate": rate} for paid_ms, rate in rates])

    async def open_interest(self, request: Request) -> JSONResponse:
        market = self._market(request)
        if market is None:
            return _unknown()
        amount = self._world.open_interest(market[0])
        named = {"symbol": request.query_params["symbol"], "time": self._world.clock_ms}
        return JSONResponse({**named, "openInterest": f"{amount:.0f}" if self._prefix == INVERSE else f"{amount:.3f}"})

    def _markets(self) -> dict[str, tuple[str, str]]:
        extra = self._world.extra_bases if self._prefix == SPOT else []
        odd = ODD[self._prefix] if self._world.odd_markets else {}
        return MARKETS[self._prefix] | odd | {f"{base}USDT": (base, "USDT") for base in extra}

    def _market(self, request: Request) -> tuple[str, str] | None:
        return self._markets().get(request.query_params.get("symbol", ""))


def _unknown() -> JSONResponse:
    return _error(-1121, "Invalid symbol.")


def _error(code: int, text: str) -> JSONResponse:
    return JSONResponse({"code": code, "msg": text}, status_code=400)
