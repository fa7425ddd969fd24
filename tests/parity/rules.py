"""Ten rules for the comparison with other programs, in our language; `signals.py` has them once more in pandas.

The peers' environment reads this file too: the standard library alone.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ParityRule:
    name: str
    indicators: tuple[str, ...]
    buy: str
    sell: str
    side: Literal["long", "both"]
    fee_bps: float
    slippage_bps: float
    stake_pct: float | None = None


RULES = (
    ParityRule("rsi_turns", ("rsi(14)",), "crosses_above(rsi_14, 30)", "crosses_below(rsi_14, 70)", "long", 20.0, 0.0),
    ParityRule(
        "ema_cross_with_filter",
        ("ema(20)", "ema(50)", "rsi(14)"),
        "crosses_above(ema_20, ema_50) AND rsi_14 < 70",
        "crosses_below(ema_20, ema_50)",
        "long",
        10.0,
        5.0,
    ),
    ParityRule(
        "bands",
        ("bbands(20,2)",),
        "close < bbands_20_2_lower",
        "close > bbands_20_2_middle",
        "long",
        2.0,
        1.0,
    ),
    ParityRule(
        "breakout",
        (),
        "close > prev(highest(high, 20), 1)",
        "close < prev(lowest(low, 10), 1)",
        "long",
        10.0,
        5.0,
    ),
    ParityRule(
        "breakout_both_sides",
        (),
        "close > prev(highest(high, 55), 1)",
        "close < prev(lowest(low, 55), 1)",
        "both",
        10.0,
        5.0,
    ),
    ParityRule(
        "macd_both_sides",
        ("macd(12,26,9)",),
        "crosses_above(macd_12_26_9, macd_12_26_9_signal)",
        "crosses_below(macd_12_26_9, macd_12_26_9_signal)",
        "both",
        1.0,
        0.5,
    ),
    ParityRule(
        "momentum_both_sides",
        ("sma(200)",),
        "close > prev(close, 24) AND close > sma_200",
        "close < prev(close, 24) AND close < sma_200",
        "both",
        0.5,
        0.5,
    ),
    ParityRule(
        "volume_rush",
        ("sma(20) of volume",),
        "volume > 2 * sma_20_of_volume AND close > open",
        "close < prev(low, 1)",
        "long",
        0.0,
        0.0,
    ),
    ParityRule(
        "trend_strength",
        ("adx(14)", "plus_di(14)", "minus_di(14)"),
        "adx_14 > 25 AND plus_di_14 > minus_di_14",
        "adx_14 > 25 AND plus_di_14 < minus_di_14",
        "both",
        1.0,
        2.0,
    ),
    ParityRule(
        "half_stake_reversal",
        ("rsi(2)", "sma(100)"),
        "rsi_2 < 10 AND close > sma_100",
        "rsi_2 > 90",
        "long",
        1.0,
        1.0,
        stake_pct=50.0,
    ),
)
