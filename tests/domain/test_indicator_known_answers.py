"""Known answers of the indicators that are used most: few candles, and numbers that can be followed by hand.

Every expected number is arithmetic on the candles beside it, or printed in the table that is named. The row at which an
indicator has its first value is part of the answer; where that start differs from its author's, the source says how.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec

HOUR_MS = 3_600_000


class Known(NamedTuple):
    """A spec, its candles, the row of its first value, its values from there on (one list per output), their source."""

    spec: str
    candles: Candles
    first: int
    values: tuple[Sequence[float], ...]
    source: str
    digits: float = 0
    """Half a unit of the last printed digit; zero where the values are exact."""


def closes(*prices: float) -> Candles:
    return candles(*((price, price, price) for price in prices))


def traded(*prices_and_volumes: tuple[float, float]) -> Candles:
    """Make candles without a range, of (close, volume)."""
    return candles(*((price, price, price, volume) for price, volume in prices_and_volumes))


def candles(*rows: Sequence[float]) -> Candles:
    """Make candles of (high, low, close), or of (high, low, close, volume); they open in their middle."""
    return Candles.from_rows(
        [
            (i * HOUR_MS, (high + low) / 2, high, low, close, *(volume or [1.0]))
            for i, (high, low, close, *volume) in enumerate(rows)
        ]
    )


# Printed tables ---------------------------------------------------------------------------------------------------

# StockCharts ChartSchool, "Moving Averages: Simple and Exponential": 30 daily closes from 24 March 2010 on.
SPRING = closes(
    *(22.2734, 22.1940, 22.0847, 22.1741, 22.1840, 22.1344, 22.2337, 22.4323, 22.2436, 22.2933),
    *(22.1542, 22.3926, 22.3816, 22.6109, 23.3558, 24.0519, 23.7530, 23.8324, 23.9516, 23.6338),
    *(23.8225, 23.8722, 23.6537, 23.1870, 23.0976, 23.3260, 22.6805, 23.0976, 22.4025, 22.1725),
)
# StockCharts ChartSchool, "Relative Strength Index (RSI)", spreadsheet cs-rsi.xls: daily closes of QQQQ.
QQQQ = closes(
    *(44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931),
    *(46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521),
    *(45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314),
)
# StockCharts ChartSchool, "Stochastic Oscillator". It prints no close for the first 13 candles, and %K doesn't use
# them: the lows stand for them here.
RANGES = candles(
    *((127.0090, 125.3574, 125.3574), (127.6159, 126.1633, 126.1633), (126.5911, 124.9296, 124.9296)),
    *((127.3472, 126.0937, 126.0937), (128.1730, 126.8199, 126.8199), (128.4317, 126.4817, 126.4817)),
    *((127.3671, 126.0340, 126.0340), (126.4220, 124.8301, 124.8301), (126.8995, 126.3921, 126.3921)),
    *((126.8498, 125.7156, 125.7156), (125.6460, 124.5615, 124.5615), (125.7156, 124.5715, 124.5715)),
    *((127.1582, 125.0689, 125.0689), (127.7154, 126.8597, 127.2876), (127.6855, 126.6309, 127.1781)),
    *((128.2228, 126.8001, 128.0138), (128.2725, 126.7105, 127.1085), (128.0934, 126.8001, 127.7253)),
    *((128.2725, 126.1335, 127.0587), (127.7353, 125.9245, 127.3273), (128.7700, 126.9891, 128.7103)),
    *((129.2873, 127.8148, 127.8745), (130.0633, 128.4715, 128.5809), (129.1182, 128.0641, 128.6008)),
    *((129.2873, 127.6059, 127.9342), (128.4715, 127.5960, 128.1133), (128.0934, 126.9990, 127.5960)),
    *((128.6506, 126.8995, 127.5960), (129.1381, 127.4865, 128.6904), (128.6406, 127.3970, 128.2725)),
)

PRINTED = [
    Known(
        "sma(10)",
        SPRING,
        9,
        (
            [
                *(22.22, 22.21, 22.23, 22.26, 22.31, 22.42, 22.61, 22.77, 22.91, 23.08, 23.21),
                *(23.38, 23.53, 23.65, 23.71, 23.69, 23.61, 23.51, 23.43, 23.28, 23.13),
            ],
        ),
        "ChartSchool, Moving Averages",
        digits=0.005,
    ),
    Known(
        "ema(10)",
        SPRING,
        9,
        (
            [
                *(22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34),
                *(23.43, 23.51, 23.54, 23.47, 23.40, 23.39, 23.26, 23.23, 23.08, 22.92),
            ],
        ),
        "ChartSchool, Moving Averages",
        digits=0.005,
    ),
    Known(
        "rsi(14)",
        QQQQ,
        14,
        (
            [
                *(70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38),
                *(54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77),
            ],
        ),
        "ChartSchool, RSI",
        digits=0.005,
    ),
    Known(
        "stochf(14,3)",
        RANGES,
        15,
        (
            [89.20, 65.81, 81.75, 64.52, 74.53, 98.58, 70.10, 73.06, 73.42, 61.23, 60.96, 40.39, 40.39, 66.83, 56.73],
            [75.75, 74.21, 78.92, 70.69, 73.60, 79.21, 81.07, 80.58, 72.19, 69.24, 65.20, 54.19, 47.24, 49.20, 54.65],
        ),
        "ChartSchool, Stochastic Oscillator; its %K begins two rows earlier than %D, ours with it",
        digits=0.005,
    ),
]

# By hand ----------------------------------------------------------------------------------------------------------

TRENDING = candles((10, 8, 9), (12, 9, 11), (13, 10, 12), (12, 7, 8), (11, 6, 7))
"""True ranges from row 1: 12-9=3, 13-10=3, 12-7=5, 11-6=5. Highs move by 2, 1, -1, -1; lows by 1, 1, -3, -1."""

FLOWING = candles((4, 2, 3, 10), (6, 2, 5, 8), (5, 1, 1, 3))
"""Where they close in their range, -1 to 1: 0, ((5-2) - (6-5)) / 4 = 1/2, -1."""

ZIGZAG = closes(10, 11, 10, 12, 13, 11, 12)
"""Wilder's averages of gains and losses over 2 from row 2 (the first are means):
gains (1+0)/2=0.5, (0.5+2)/2=1.25, (1.25+1)/2=1.125, 1.125/2=0.5625, (0.5625+1)/2=0.78125;
losses (0+1)/2=0.5, 0.25, 0.125, (0.125+2)/2=1.0625, 0.53125."""

BY_HAND = [
    # Averages
    Known("sma(3)", closes(1, 2, 3, 4, 8), 2, ([6 / 3, 9 / 3, 15 / 3],), "the arithmetic mean"),
    Known(
        "ema(3)",
        closes(2, 4, 6, 8, 12),
        2,
        ([(2 + 4 + 6) / 3, 4 + (8 - 4) / 2, 6 + (12 - 6) / 2],),
        "Haurlan 1968, 'Measuring Trend Values': alpha = 2/(n+1), here 1/2; begun at the mean",
    ),
    Known(
        "wma(3)",
        closes(1, 2, 3, 7),
        2,
        ([(1 * 1 + 2 * 2 + 3 * 3) / 6, (1 * 2 + 2 * 3 + 3 * 7) / 6],),
        "linear weights 1, 2, 3 over their sum",
    ),
    Known(
        "dema(2)",
        closes(3, 5, 8, 2),
        2,
        # EMA, alpha 2/3: 4, 4+(8-4)*2/3 = 20/3, 20/3+(2-20/3)*2/3 = 32/9; EMA of it: (4+20/3)/2 = 16/3, 112/27
        ([2 * 20 / 3 - 16 / 3, 2 * 32 / 9 - 112 / 27],),
        "Mulloy 1994, Stocks & Commodities 12: 2 EMA - EMA(EMA)",
    ),
    Known(
        "tema(2)",
        closes(3, 5, 8, 2, 5),
        3,
        # as dema(2), then EMA 32/9+(5-32/9)*2/3 = 122/27, its EMA 112/27+(122/27-112/27)*2/3 = 356/81,
        # and the EMA of that: (16/3+112/27)/2 = 128/27, 128/27+(356/81-128/27)*2/3 = 1096/243
        ([3 * 32 / 9 - 3 * 112 / 27 + 128 / 27, 3 * 122 / 27 - 3 * 356 / 81 + 1096 / 243],),
        "Mulloy 1994, Stocks & Commodities 12: 3 EMA - 3 EMA(EMA) + EMA(EMA(EMA))",
    ),
    Known(
        "trima(4)",
        closes(1, 2, 5, 4, 9),
        3,
        ([(1 + 2 * 2 + 2 * 5 + 4) / 6, (2 + 2 * 5 + 2 * 4 + 9) / 6],),
        "weights 1, 2, 2, 1 over their sum",
    ),
    Known(
        "hma(4)",
        closes(1, 2, 3, 4, 10),
        4,
        # 2 WMA(2) - WMA(4): row 3: 2*(3+2*4)/3 - (1+4+9+16)/10 = 13/3; row 4: 2*(4+2*10)/3 - (2+6+12+40)/10 = 10
        ([(13 / 3 + 2 * 10) / 3],),
        "Hull 2005: WMA(2 WMA(n/2) - WMA(n), sqrt(n))",
    ),
    Known(
        "kama(2)",
        closes(1, 2, 4, 3),
        2,
        # efficiency 3/(1+2) = 1, then 1/(2+1); it sets out from the close before the first value
        ([26 / 9, 26 / 9 + (1 / 3 * (2 / 3 - 2 / 31) + 2 / 31) ** 2 * (3 - 26 / 9)],),
        "Kaufman 1995, 'Smarter Trading': 2 + (2/3)^2 (4-2) = 26/9, with 2 and 30 as fast and slow",
    ),
    Known(
        "rma(3)",
        closes(3, 6, 9, 12),
        2,
        ([6, 6 + (12 - 6) / 3],),
        "Wilder 1978, 'New Concepts in Technical Trading Systems': the newest counts 1/n",
    ),
    Known(
        "vwma(2)",
        traded((1, 1), (2, 3), (4, 1)),
        1,
        ([(1 * 1 + 2 * 3) / 4, (2 * 3 + 4 * 1) / 4],),
        "closes weighed by volume",
    ),
    Known(
        "vwap",
        traded((2, 1), (4, 3), (3, 4)),
        0,
        ([2, (2 * 1 + 4 * 3) / 4, (2 * 1 + 4 * 3 + 3 * 4) / 8],),
        "Berkowitz, Logue & Noser 1988: traded value over traded volume; from the first candle on",
    ),
    Known(
        "linearreg(3)",
        closes(1, 2, 6, 4),
        2,
        # mean + slope: slope = (newest - oldest) / 2
        ([3 + (6 - 1) / 2, 4 + (4 - 2) / 2],),
        "least squares: the line's end",
    ),
    Known(
        "linearreg_slope(3)",
        closes(1, 2, 6, 4),
        2,
        ([(6 - 1) / 2, (4 - 2) / 2],),
        "least squares of three: (newest - oldest) / 2",
    ),
    # Bands and stops
    Known(
        "bbands(3,2,1)",
        closes(1, 2, 3, 7),
        2,
        (
            [2 + 2 * sqrt((1 + 0 + 1) / 3), 4 + 2 * sqrt((4 + 1 + 9) / 3)],
            [2, 4],
            [2 - sqrt((1 + 0 + 1) / 3), 4 - sqrt((4 + 1 + 9) / 3)],
        ),
        "Bollinger 2001, 'Bollinger on Bollinger Bands': the population's deviation",
    ),
    Known(
        "donchian(2)",
        candles((4, 2, 3), (6, 3, 5), (5, 1, 2)),
        1,
        ([6, 6], [(6 + 2) / 2, (6 + 1) / 2], [2, 1]),
        "Donchian's channel, this candle included",
    ),
    Known(
        "kc(2,2,1.5)",
        candles((4, 2, 3), (6, 4, 5), (10, 8, 9), (9, 3, 6)),
        2,
        # EMA(2) of typical prices 3, 5, 9, 6 and ATR(2) of true ranges 3, 5, 6; both begin at the mean of two in row 2
        (
            [7 + 1.5 * (3 + 5) / 2, 19 / 3 + 1.5 * (4 + 6) / 2],
            [(5 + 9) / 2, 7 + (6 - 7) * 2 / 3],
            [7 - 1.5 * (3 + 5) / 2, 19 / 3 - 1.5 * (4 + 6) / 2],
        ),
        "Keltner's channel in Raschke's form (EMA and ATR), of the typical price",
    ),
    Known(
        "sar",
        candles((10, 9, 9.5), (11, 10, 10.5), (12, 11, 11.5), (13, 11.5, 12.5), (12, 8, 8.5), (9, 7, 8)),
        1,
        # long: 9, then +0.02 (11-9), +0.04 (12-9.04), stopped at 8 < 9.388896: the highest high, then +0.02 (8-13),
        # not below the high of the last two
        ([9, 9.04, 9.04 + 0.04 * (12 - 9.04), 13, max(13 + 0.02 * (8 - 13), 13, 12)],),
        "Wilder 1978: steps of 0.02 up to 0.2; long at first, as highs moved further than lows fell",
    ),
    Known(
        "supertrend(2,1)",
        candles((4, 2, 3), (6, 4, 5), (8, 6, 7), (10, 8, 9), (9, 1, 2), (3, 1, 2)),
        2,
        # middles 7, 9, 5, 2 and ATR(2) of 3, 3, 3, 8, 2: 3, 3, 5.5, 3.75. The lower band rises from 4 to 6; the close
        # of 2 breaks it, and the upper one counts, that stood at 10 and falls to 2+3.75
        ([7 - 3, 9 - 3, 7 + 3, 2 + 3.75], [1, 1, -1, -1]),
        "Seban's SuperTrend, with Wilder's ATR",
    ),
    Known(
        "ichimoku(2,3,4)",
        candles(*((h, low, h) for h, low in ((2, 1), (4, 2), (6, 3), (5, 2), (3, 1), (7, 4), (9, 6), (8, 5)))),
        6,
        (
            # of rows 3 and 4, three rows before: ((6+2)/2 + (6+2)/2) / 2, ((5+1)/2 + (6+1)/2) / 2
            [4, 3.25],
            [(6 + 1) / 2, (6 + 1) / 2],
            [(9 + 4) / 2, (9 + 5) / 2],
            [(9 + 1) / 2, (9 + 4) / 2],
        ),
        "Hosoda 1969: middles of ranges; both spans are drawn as many candles ahead as the base line has",
    ),
    # Momentum
    Known(
        "rsi(2)",
        ZIGZAG,
        2,
        ([50, 100 * 1.25 / 1.5, 100 * 1.125 / 1.25, 100 * 0.5625 / 1.625, 100 * 0.78125 / 1.3125],),
        "Wilder 1978: 100 gains / (gains + losses)",
    ),
    Known(
        "cmo(2)",
        ZIGZAG,
        2,
        ([0, 100 * 1 / 1.5, 100 * 1 / 1.25, 100 * -0.5 / 1.625, 100 * 0.25 / 1.3125],),
        "Chande & Kroll 1994, 'The New Technical Trader', but with Wilder's averages for sums, as TA-Lib has it",
    ),
    Known(
        "stochrsi(2,3,2)",
        ZIGZAG,
        5,
        # RSI from row 2: 50, 250/3, 90, 450/13, 1250/21; %K: 100, 0, (1250/21 - 450/13) / (90 - 450/13)
        (
            [0, 100 * (1250 / 21 - 450 / 13) / (90 - 450 / 13)],
            [(100 + 0) / 2, (0 + 100 * (1250 / 21 - 450 / 13) / (90 - 450 / 13)) / 2],
        ),
        "Chande & Kroll 1994: the stochastic of the RSI; %D is a mean of %K",
    ),
    Known(
        "macd(2,3,2)",
        closes(1, 2, 6, 4, 8),
        3,
        # EMA(3): 3, 3.5, 5.75; EMA(2), begun in the same row 2: (2+6)/2 = 4, 4, 20/3. MACD: 1, 1/2, 11/12
        (
            [1 / 2, 11 / 12],
            [(1 + 1 / 2) / 2, 3 / 4 + (11 / 12 - 3 / 4) * 2 / 3],
            [1 / 2 - 3 / 4, 11 / 12 - 31 / 36],
        ),
        "Appel 1979; TA-Lib begins the fast average at the slow one's first row",
    ),
    Known(
        "ppo(2,3,1)",
        closes(1, 2, 6, 4),
        2,
        # EMA(2): 1.5, 4.5, 25/6; EMA(3): 3, 3.5
        ([100 * (4.5 - 3) / 3, 100 * (25 / 6 - 3.5) / 3.5],),
        "Appel: MACD in percent of the slow average",
    ),
    Known(
        "stoch(3,2,0,2,0)",
        candles((5, 1, 3), (6, 2, 5), (7, 3, 4), (8, 4, 8), (9, 5, 9)),
        4,
        # %K from row 2: (4-1)/(7-1), (8-2)/(8-2), (9-3)/(9-3): 50, 100, 100
        ([(100 + 100) / 2], [((50 + 100) / 2 + (100 + 100) / 2) / 2]),
        "Lane 1984, Stocks & Commodities 2:3: slow %K is a mean of %K, %D one of slow %K",
    ),
    Known(
        "cci(3)",
        closes(1, 2, 6, 4, 11),
        2,
        # means 3, 4, 7; mean deviations (2+1+3)/3 = 2, 4/3, (1+3+4)/3 = 8/3
        ([(6 - 3) / (0.015 * 2), 0, (11 - 7) / (0.015 * 8 / 3)],),
        "Lambert 1980, Commodities: the mean absolute deviation, times 0.015",
    ),
    Known(
        "willr(3)",
        candles((5, 1, 3), (6, 2, 5), (7, 3, 4), (8, 4, 8), (9, 5, 6)),
        2,
        ([-100 * (7 - 4) / 6, 0, -100 * (9 - 6) / 6],),
        "Larry Williams 1973, 'How I Made One Million Dollars': distance from the highest high",
    ),
    Known("roc(2)", closes(4, 5, 6, 3), 2, ([100 * (6 - 4) / 4, 100 * (3 - 5) / 5],), "change in percent"),
    Known("mom(2)", closes(4, 5, 6, 3), 2, ([6 - 4, 3 - 5],), "change in price"),
    Known(
        "plus_di(2)",
        TRENDING,
        2,
        # +DM 2, 1, 0, 0, and sums that lose a half and gain the new one: 2, 2/2+1, 1/1+0, 1/2+0;
        # true ranges 3, 3, 5, 5: 3, 3/2+3, 4.5/2+5, 7.25/2+5
        ([100 * 2 / 4.5, 100 * 1 / 7.25, 100 * 0.5 / 8.625],),
        "Wilder 1978; TA-Lib's first sum is of n-1 candles, where his is of n",
    ),
    Known(
        "minus_di(2)",
        TRENDING,
        2,
        # -DM 0, 0, 3, 1: sums 0, 0, 3, 3/2+1
        ([0, 100 * 3 / 7.25, 100 * 2.5 / 8.625],),
        "Wilder 1978; TA-Lib's first sum is of n-1 candles, where his is of n",
    ),
    Known(
        "adx(2)",
        TRENDING,
        3,
        # DX: 100 |2-0|/2, 100 |1-3|/4, 100 |0.5-2.5|/3: 100, 50, 200/3
        ([(100 + 50) / 2, (75 + 200 / 3) / 2],),
        "Wilder 1978: Wilder's average of the DX",
    ),
    Known(
        "aroon(3)",
        candles((2, 1, 2), (6, 5, 6), (4, 2, 3), (5, 4, 5), (3, 2, 3)),
        3,
        # low: three ago, then now (the later of two); high: two ago, three ago
        ([0, 100], [100 * (3 - 2) / 3, 0]),
        "Chande 1995, Stocks & Commodities 13:9: candles since the extreme among n+1",
    ),
    Known(
        "trix(2)",
        closes(3, 5, 8, 2, 5),
        4,
        # the threefold EMA of tema(2) above: 128/27, 1096/243
        ([100 * (1096 / 243 / (128 / 27) - 1)],),
        "Hutson 1983, Stocks & Commodities: percent change of a threefold EMA",
    ),
    Known(
        "ultosc(1,2,3)",
        TRENDING,
        3,
        # buying pressure: 11-9, 12-10, 8-7, 7-6; true ranges 3, 3, 5, 5
        (
            [
                100 * (4 * 1 / 5 + 2 * (2 + 1) / (3 + 5) + (2 + 2 + 1) / (3 + 3 + 5)) / 7,
                100 * (4 * 1 / 5 + 2 * (1 + 1) / (5 + 5) + (2 + 1 + 1) / (3 + 5 + 5)) / 7,
            ],
        ),
        "Larry Williams 1985, Stocks & Commodities 3:4: weights 4, 2, 1",
    ),
    Known(
        "ao(2,3)",
        candles((2, 0.5, 1), (3, 1, 2), (7, 5, 6), (5, 3, 4)),
        2,
        # middles 1.25, 2, 6, 4
        ([(2 + 6) / 2 - (1.25 + 2 + 6) / 3, (6 + 4) / 2 - (2 + 6 + 4) / 3],),
        "Bill Williams 1998, 'New Trading Dimensions': means of the candles' middles",
    ),
    # Volatility and statistics
    Known(
        "trange",
        candles((10, 8, 9), (12, 9, 11), (11, 7, 8), (9, 8.5, 9)),
        1,
        ([12 - 9, 11 - 7, 9 - 8],),
        "Wilder 1978: with the close before",
    ),
    Known(
        "atr(2)",
        candles((10, 8, 9), (12, 9, 11), (11, 7, 8), (9, 8.5, 9)),
        2,
        ([(3 + 4) / 2, (3.5 + 1) / 2],),
        "Wilder 1978: a mean, then his average",
    ),
    Known(
        "natr(2)",
        candles((10, 8, 9), (12, 9, 11), (11, 7, 8), (9, 8.5, 9)),
        2,
        ([100 * 3.5 / 8, 100 * 2.25 / 9],),
        "Forman 2006, Stocks & Commodities: ATR in percent of the close",
    ),
    Known(
        "stddev(3)",
        closes(1, 2, 3, 7),
        2,
        ([sqrt((1 + 0 + 1) / 3), sqrt((4 + 1 + 9) / 3)],),
        "the population's (ddof 0)",
    ),
    Known("zscore(3)", closes(1, 2, 3, 7), 2, ([1 / sqrt(2 / 2), 3 / sqrt(14 / 2)],), "the sample's (ddof 1)"),
    # Volume
    Known(
        "obv",
        traded((3, 10), (4, 20), (4, 30), (2, 40)),
        0,
        ([10, 10 + 20, 30, 30 - 40],),
        "Granville 1963, 'New Key to Stock Market Profits'; TA-Lib begins with the first volume",
    ),
    Known("ad", FLOWING, 0, ([0, 8 / 2, 4 - 3],), "Chaikin: volume by where it closes in its range, added up"),
    Known("cmf(2)", FLOWING, 1, ([(0 + 4) / 18, (4 - 3) / 11],), "Chaikin: money flow volume over volume"),
    Known(
        "adosc(2,3)",
        FLOWING,
        2,
        # EMAs of AD 0, 4, 1, both begun at its first value: alpha 2/3: 0, 8/3, 14/9; alpha 1/2: 0, 2, 3/2
        ([14 / 9 - 3 / 2],),
        "Chaikin's oscillator",
    ),
    Known(
        "mfi(2)",
        traded((1, 10), (2, 10), (3, 20), (2, 5)),
        2,
        ([100, 100 * 60 / (60 + 10)],),
        "Quong & Soudack 1989, Stocks & Commodities 7:3: price times volume, in against out",
    ),
]


def label(known: Known) -> str:
    return known.spec


def check(known: Known) -> None:
    spec = parse_spec(known.spec)
    relative, absolute = (1e-12, 1e-12) if known.digits == 0 else (0, known.digits)

    assert known.source
    assert spec.warm_up == known.first
    for column, values in zip(compute([spec], known.candles).values(), known.values, strict=True):
        assert np.isnan(column[: known.first]).all()
        np.testing.assert_allclose(column[known.first :], values, rtol=relative, atol=absolute)


@pytest.mark.parametrize("known", PRINTED, ids=label)
def test_an_indicator_gives_the_numbers_of_a_printed_table(known: Known) -> None:
    check(known)


@pytest.mark.parametrize("known", BY_HAND, ids=label)
def test_an_indicator_gives_what_its_formula_gives_by_hand(known: Known) -> None:
    check(known)


def test_at_least_forty_indicators_have_a_known_answer() -> None:
    assert len({parse_spec(known.spec).function for known in (*PRINTED, *BY_HAND)}) >= 40
