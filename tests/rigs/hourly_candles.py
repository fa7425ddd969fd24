"""17,583 hourly candles of BTC/USD from 2017-07-01 to 2019-07-04, without a gap.

They are Coinbase's own where they were put beside the checkout, else the simulated market's of the same hours.
"""

from functools import cache
from pathlib import Path

import numpy as np

from mcp_server.adapters.simulated.path import candles, market_of
from mcp_server.domain.candles import Candles

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "coinbase-BTC-USD-1h.csv"
HOUR_MS = 3_600_000
FIRST_MS = 1_498_906_800_000
ROWS = 17_583
SEED = 1
HEADER = "timestamp,open,high,low,close,volume"


@cache
def hourly_candles() -> Candles:
    """Return all of them."""
    if not RECORDED.is_file():
        end_ms = FIRST_MS + ROWS * HOUR_MS
        return candles(market_of("BTC/USD", SEED), "1h", FIRST_MS, end_ms, end_ms)
    table = np.loadtxt(RECORDED, delimiter=",", skiprows=1)
    return Candles(table[:, 0].astype(np.int64), *(np.ascontiguousarray(table[:, i]) for i in range(1, 6)))


def candle_lines(count: int = ROWS) -> list[str]:
    """Write the first of them as lines of a CSV file, below its header."""
    series = hourly_candles().slice(0, count)
    columns = (series.open, series.high, series.low, series.close, series.volume)
    rows = zip(series.open_time_ms.tolist(), *(column.tolist() for column in columns), strict=True)
    return [HEADER + "\n", *(",".join(map(repr, row)) + "\n" for row in rows)]


def candle_file(folder: Path) -> Path:
    """Return a CSV file of all of them: the recorded one, else one that is written into the folder."""
    if RECORDED.is_file():
        return RECORDED
    file = folder / "candles.csv"
    file.write_text("".join(candle_lines()))
    return file
