"""The entries of Binance's market lists, as large as the real ones."""

from typing import Any

SPOT, LINEAR, INVERSE = "/api/v3", "/fapi/v1", "/dapi/v1"

MARKETS = {
    SPOT: {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT"), "ETHBTC": ("ETH", "BTC"),
           "PEPEUSDT": ("PEPE", "USDT"), "BTCUSDC": ("BTC", "USDC")},
    LINEAR: {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT"), "HYPEUSDT": ("HYPE", "USDT")},
    INVERSE: {"BTCUSD_PERP": ("BTC", "USD")},
}  # fmt: skip
"""Path prefix: its markets, by the exchange's own ids."""

ODD = {
    SPOT: {"LUNAUSDT": ("LUNA", "USDT"), "FLATUSDT": ("FLAT", "USDT")},
    LINEAR: {"BTCUSDT_261225": ("BTC", "USDT")},
    INVERSE: {},
}
"""Those that it has only where a test says so."""

_HALTED = ("LUNAUSDT",)

_CHRISTMAS_MS = 1_798_185_600_000
"""2026-12-25T08:00Z."""

_FOREVER_MS = 4_133_404_800_000
"""The delivery date of what is never delivered."""

_PRICES = {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000", "tickSize": "0.00000001"}
_LOTS = {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"}
_MARKET_LOTS = {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "90.5", "stepSize": "0.00000000"}

_SPOT_FILTERS = [
    _PRICES,
    _LOTS,
    {"filterType": "ICEBERG_PARTS", "limit": 100},
    _MARKET_LOTS,
    {"filterType": "TRAILING_DELTA"}
    | {
        f"{edge}Trailing{side}Delta": delta
        for edge, delta in (("min", 10), ("max", 2000))
        for side in ("Above", "Below")
    },
    {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "5"}
    | {"askMultiplierDown": "0.2", "avgPriceMins": 5},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000.00000000"}
    | {"applyMaxToMarket": False, "avgPriceMins": 5},
    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
    {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
]
_SPOT_ORDERS = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
_SPOT_SWITCHES = [
    "icebergAllowed", "ocoAllowed", "otoAllowed", "opoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop",
    "cancelReplaceAllowed", "amendAllowed", "pegInstructionsAllowed", "isSpotTradingAllowed", "isMarginTradingAllowed",
]  # fmt: skip
_PERMISSIONS = ["SPOT", "MARGIN", *(f"TRD_GRP_{number:03}" for number in range(4, 124))]

_SWAP_FILTERS = [
    _PRICES,
    _LOTS,
    _MARKET_LOTS,
    {"filterType": "MAX_NUM_ORDERS", "limit": 200},
    {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
    {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
]
_SWAP_ORDERS = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]


def spot(name: str, base: str, quote: str, with_permissions: bool) -> dict[str, Any]:
    """Describe a spot market; half of the entry is its permissions, which a request may do without."""
    status = "BREAK" if name in _HALTED else "TRADING"
    assets = {"symbol": name, "status": status, "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote}
    digits = dict.fromkeys(
        ("quotePrecision", "quoteAssetPrecision", "baseCommissionPrecision", "quoteCommissionPrecision"), 8
    )
    may = {"orderTypes": _SPOT_ORDERS, **dict.fromkeys(_SPOT_SWITCHES, True), "permissions": []}
    modes = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
    trades = {"defaultSelfTradePreventionMode": "EXPIRE_MAKER", "allowedSelfTradePreventionModes": modes}
    permissions = {"permissionSets": [_PERMISSIONS]} if with_permissions else {}
    return {**assets, **digits, **may, "filters": _SPOT_FILTERS, **trades, **permissions}


def swap(prefix: str, name: str, base: str, quote: str) -> dict[str, Any]:
    """Describe a perpetual swap; only one margined in coin says how much a contract is."""
    assets = {"symbol": name, "pair": base + quote, "baseAsset": base, "quoteAsset": quote}
    kind = {"contractType": "PERPETUAL", "deliveryDate": _FOREVER_MS, "onboardDate": 1_569_398_400_000}
    if name in ODD[LINEAR]:
        kind |= {"contractType": "CURRENT_QUARTER", "deliveryDate": _CHRISTMAS_MS}
    margin = {"maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "triggerProtect": "0.0500"}
    digits = {"pricePrecision": 2, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8}
    orders = {"orderTypes": _SWAP_ORDERS, "timeInForce": ["GTC", "IOC", "FOK", "GTX"], "filters": _SWAP_FILTERS}
    if prefix == INVERSE:
        own = {"marginAsset": base, "contractStatus": "TRADING", "contractSize": 100}
    else:
        own = {"marginAsset": quote, "status": "TRADING"}
    return {**assets, **kind, **margin, **digits, **orders, **own}
