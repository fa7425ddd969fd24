"""The strategies of a sample home: by rules and by Claude, paused, broken, and one that has never run."""

from typing import Any

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy

TREND, ANALYSTS, PAUSED, NEW, BROKEN = "btc-trend", "eth-two-analysts", "sol-breakout", "doge-idea", "half-written"

_TREND: dict[str, Any] = {
    "description": "Buys bitcoin above its 20-candle average while RSI has room, sells below it.",
    "trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h", "horizon": "24h",
    "rules": {"timeframe": "4h", "indicators": ["ema(20)", "rsi(14)"], "confidence": 55},
}  # fmt: skip
_CONDITIONS = (
    ("close > ema_20 AND rsi_14 < 70", "close < ema_20 AND rsi_14 > 30"),
    ("close > ema_20 AND rsi_14 < 65", "close < ema_20 AND rsi_14 > 35"),
    ("close > ema_20 AND rsi_14 < 60", "close < ema_20 AND rsi_14 > 40"),
)


def trend_versions() -> list[Strategy]:
    """Return the versions of the strategy by rules, the oldest first."""
    return [
        parse_strategy(TREND, {**_TREND, "rules": {**_TREND["rules"], "buy": buy, "sell": sell}}, None)
        for buy, sell in _CONDITIONS
    ]


def analyst_versions() -> list[Strategy]:
    """Return the versions of the strategy by Claude: the second one has a budget."""
    config: dict[str, Any] = {
        "description": "Two sub-agents look at ether every hour, one at the price and one at its momentum.",
        "trading_pair": "ETH/USDT", "exchange": "simulated", "interval": "1h", "horizon": "4h",
        "engine": "claude", "model": "sonnet", "wake": "rsi_14 < 45 OR rsi_14 > 55",
        "synthesis_logic": "BUY when momentum has turned up, SELL in the mirror case, HOLD when the two disagree.",
        "rules": {"indicators": ["rsi(14)"], "buy": "rsi_14 < 40", "sell": "rsi_14 > 60"},
    }  # fmt: skip
    agents = {
        "price-analyst": {
            "description": "Says where the price stands",
            "prompt": "Use get_price for the market's price and get_ohlcv for its last day. Report as JSON.",
            "tools": ["get_price", "get_ohlcv"],
            "model": "haiku",
        },
        "momentum-analyst": {
            "description": "Says whether momentum has turned",
            "prompt": "Use calculate_rsi with timeframe 1h. Report as JSON.",
            "tools": ["calculate_rsi"],
            "model": "haiku",
        },
    }
    budget = {"usd_per_run": 0.25, "usd_per_day": 2}
    return [parse_strategy(ANALYSTS, {**config, **more}, agents) for more in ({}, {"budget": budget})]


def paused() -> Strategy:
    """Return a strategy that somebody paused after a few runs."""
    rules = {"timeframe": "1h", "buy": "close > prev(highest(high, 24), 1)", "sell": "close < prev(lowest(low, 24), 1)"}
    config = {"trading_pair": "SOL/USDT", "exchange": "simulated", "interval": "1d", "status": "paused", "rules": rules}
    return parse_strategy(PAUSED, {"description": "Follows solana out of its last day's range.", **config}, None)


def new() -> Strategy:
    """Return a strategy that has never run."""
    rules = {"timeframe": "15m", "indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 30)"}
    config = {"trading_pair": "DOGE/USDT", "exchange": "simulated", "cron": "30 6 * * 1-5", "rules": rules}
    return parse_strategy(NEW, {"description": "An idea for doge on weekday mornings.", **config}, None)
