"""Coinbase's public API (v3 without credentials, and the parts of v2 that ccxt loads with the markets)."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.rigs.exchanges.world import BOOK_LEVELS, World, in_full

CANDLES = 350
"""More in one request are refused, not cut off."""

_MARKETS = {
    "BTC-USD": ("BTC", "USD"), "ETH-USD": ("ETH", "USD"), "SOL-USD": ("SOL", "USD"), "DOGE-USD": ("DOGE", "USD"),
    "PEPE-USD": ("PEPE", "USD"), "BTC-USDT": ("BTC", "USDT"), "ETH-BTC": ("ETH", "BTC"),
}  # fmt: skip
_NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "DOGE": "Dogecoin", "PEPE": "Pepe", "USDT": "Tether"}
_FIAT = {"USD": "United States Dollar", "EUR": "Euro", "GBP": "British Pound"}
_MINUTES = {
    "ONE_MINUTE": 1, "FIVE_MINUTE": 5, "FIFTEEN_MINUTE": 15, "THIRTY_MINUTE": 30,
    "ONE_HOUR": 60, "TWO_HOUR": 120, "SIX_HOUR": 360, "ONE_DAY": 1440,
}  # fmt: skip
_SWITCHES = (
    "watched", "is_disabled", "new", "cancel_only", "limit_only", "post_only", "trading_disabled", "auction_mode",
    "view_only",
)  # fmt: skip


def routes(world: World) -> list[Route]:
    """Give the paths that it serves."""
    api = _Api(world)
    market = "/api/v3/brokerage/market"
    return [
        Route("/v2/currencies", api.fiat),
        Route("/v2/currencies/crypto", api.crypto),
        Route("/v2/exchange-rates", api.rates),
        Route("/v2/time", api.time),
        Route(f"{market}/products", api.products),
        Route(f"{market}/products/{{product}}/candles", api.candles),
        Route(f"{market}/products/{{product}}/ticker", api.ticker),
        Route(f"{market}/product_book", api.order_book),
    ]


class _Api:
    def __init__(self, world: World) -> None:
        self._world = world

    async def time(self, request: Request) -> JSONResponse:
        return JSONResponse({"data": {"iso": self._now(), "epoch": self._world.clock_ms // 1000}})

    async def fiat(self, request: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": code, "name": name, "min_size": "0.01"} for code, name in _FIAT.items()]})

    async def crypto(self, request: Request) -> JSONResponse:
        coins = _NAMES | {"USDC": "USDC"} | {base: f"Made-up {base}" for base in self._world.extra_bases}
        look = {"color": "#0433FF", "exponent": 8, "type": "crypto", "address_regex": "^(?:0x)?[0-9a-fA-F]{40}$"}
        return JSONResponse(
            {
                "data": [
                    {"asset_id": f"9476e3be-b731-47fa-82be-{place:012x}", "code": code, "name": name, **look}
                    for place, (code, name) in enumerate(coins.items())
                ]
            }
        )

    async def rates(self, request: Request) -> JSONResponse:
        coins = {base: in_full(1 / self._world.last(base, "USD")) for base in [*_NAMES, *self._world.extra_bases]}
        return JSONResponse({"data": {"currency": "USD", "rates": {**coins, "USD": "1.0", "EUR": "0.86"}}})

    async def products(self, request: Request) -> JSONResponse:
        if request.query_params.get("product_type", "SPOT") != "SPOT":
            return JSONResponse({"products": [], "num_products": 0})
        found = [self._product(name, *market) for name, market in self._markets().items()]
        return JSONResponse({"products": found, "num_products": len(found)})

    async def candles(self, request: Request) -> JSONResponse:
        market, asked = self._markets().get(request.path_params["product"]), request.query_params
        if market is None or asked.get("granularity") not in _MINUTES:
            return _refused("product_id or granularity is invalid")
        length_s = _MINUTES[asked["granularity"]] * 60
        start_s, end_s = int(asked["start"]), int(asked["end"])
        if (end_s - start_s) // length_s + 1 > CANDLES:
            return _refused(
                f"start and end argument is invalid - number of candles requested should be less than {CANDLES} "
            )
        found = list(self._world.published(*market, start_s * 1000, end_s * 1000 + 1, length_s * 1000))
        return JSONResponse({"candles": self._world.as_sent([self._row(row) for row in reversed(found)])})

    def _row(self, row: list[float]) -> dict[str, str]:
        names = ("open", "high", "low", "close", "volume")
        values = dict(zip(names, map(in_full, row[1:]), strict=True))
        if int(row[0]) in self._world.incomplete_ms:
            values["close"] = ""
        return {"start": str(int(row[0]) // 1000), **values}

    async def ticker(self, request: Request) -> JSONResponse:
        product = request.path_params["product"]
        market = self._markets().get(product)
        if market is None:
            return _refused("product_id is invalid")
        (bid, _), (ask, _) = (side[0] for side in self._world.order_book(*market, 1))
        price = in_full(self._world.last(*market))
        trade = {"trade_id": "518078013", "product_id": product, "price": price, "size": "0.00659179"}
        trades = [{**trade, "time": self._now(), "side": "BUY", "bid": "", "ask": "", "exchange": "COINBASE"}]
        return JSONResponse({"trades": trades, "best_bid": in_full(bid), "best_ask": in_full(ask)})

    async def order_book(self, request: Request) -> JSONResponse:
        product = request.query_params.get("product_id", "")
        market = self._markets().get(product)
        if market is None:
            return _refused("product_id is invalid")
        book = self._world.order_book(*market, int(request.query_params.get("limit", BOOK_LEVELS)))
        sides = {
            name: [{"price": in_full(price), "size": in_full(size)} for price, size in levels]
            for name, levels in book._asdict().items()
        }
        return JSONResponse({"pricebook": {"product_id": product, **sides, "time": self._now()}})

    def _markets(self) -> dict[str, tuple[str, str]]:
        twins = {f"{base}-USDC": (base, "USDC") for base, quote in _MARKETS.values() if quote == "USD"}
        return _MARKETS | twins | {f"{base}-USDT": (base, "USDT") for base in self._world.extra_bases}

    def _product(self, name: str, base: str, quote: str) -> dict[str, Any]:
        last = self._world.last(base, quote)
        ids = {"product_id": name, "base_currency_id": base, "quote_currency_id": quote, "display_name": name}
        names = {"base_name": _NAMES.get(base, f"Made-up {base}"), "quote_name": _FIAT.get(quote, quote)}
        shown = {"base_display_symbol": base, "quote_display_symbol": quote, "status": "online"}
        kind = {"product_type": "SPOT", "product_venue": "CBE", "fcm_trading_session_details": None}
        # A book in USD is that in USDC under another name, and each entry says so of the other
        alias = {"alias": f"{base}-USD" if quote == "USDC" else "", "alias_to": [f"{base}-USDC"] * (quote == "USD")}
        steps = {"base_increment": "0.00000001", "quote_increment": "0.00000001", "price_increment": "0.00000001"}
        sizes = {"quote_min_size": "1", "quote_max_size": "150000000", "base_min_size": "0.00000001"}
        changes = {"price_percentage_change_24h": "2.0", "volume_percentage_change_24h": "-3.5"}
        day = {"volume_24h": "1234.5", "approximate_quote_24h_volume": f"{1234.5 * last:.2f}", "mid_market_price": ""}
        switches = {**dict.fromkeys(_SWITCHES, False), "new_at": "2023-01-01T00:00:00Z"}
        most = {"base_max_size": "3400", "price": in_full(last)}
        return {**ids, **names, **shown, **kind, **alias, **steps, **sizes, **most, **changes, **day, **switches}

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._world.clock_ms / 1000, UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _refused(text: str) -> JSONResponse:
    answer = {"error": "INVALID_ARGUMENT", "error_details": text, "message": text}
    return JSONResponse(answer, status_code=400)
