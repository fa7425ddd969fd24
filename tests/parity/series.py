"""The candles of the comparison, alike on every machine: real ones where they are there, and 100,000 made up ones.

The peers' environment reads this file too: numpy alone.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

REAL = Path(__file__).parents[3] / "shared" / "data" / "coinbase-BTC-USD-1h.csv"
HOUR_MS = 3_600_000
FIRST_MS = 1_262_304_000_000  # 2010-01-01
COLUMNS = ("open", "high", "low", "close", "volume")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HourlySeries:
    open_time_ms: npt.NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.open_time_ms)

    @property
    def sha256(self) -> str:
        columns = (self.open_time_ms, *(getattr(self, name) for name in COLUMNS))
        return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


def made_up(count: int = 100_000, seed: int = 20_171) -> HourlySeries:
    """Make hourly candles: a walk that is drawn to 20,000, in calm and wild times, with trends.

    It takes only uniform numbers of a generator that numpy keeps as it is, sums, products and roundings: no
    logarithm, whose last bit depends on the processor.
    """
    uniform = np.random.RandomState(seed).random_sample((count, 9))
    steps = uniform[:, :4].sum(axis=1) - 2
    rows, price, trend, wild = [], 20_000.0, 0.0, 1.0
    for step, row in zip(steps.tolist(), uniform.tolist(), strict=True):
        if row[4] < 0.01:
            trend, wild = (row[5] - 0.5) * 0.0006, 0.4 + 1.2 * row[6]
        opened = round(price * (1 + (row[5] - 0.5) * 0.0005), 2)
        close = round(opened * (1 + step * 0.01 * wild + trend + (20_000 / opened - 1) * 0.00005), 2)
        high = round(max(opened, close) * (1 + row[6] * 0.004), 2)
        low = round(min(opened, close) * (1 - row[7] * 0.004), 2)
        rows.append((opened, high, low, close, round(10 + 90 * row[8] * row[8] * row[8] * wild, 3)))
        price = close
    times = FIRST_MS + HOUR_MS * np.arange(count, dtype=np.int64)
    return HourlySeries(times, *np.ascontiguousarray(np.array(rows).T))


def real() -> HourlySeries | None:
    """Return 17,583 candles of BTC/USD on Coinbase; None where the file is not there."""
    if not REAL.is_file():
        return None
    rows = np.loadtxt(REAL, delimiter=",", skiprows=1)
    return HourlySeries(rows[:, 0].astype(np.int64), *np.ascontiguousarray(rows[:, 1:].T))


SERIES = {"made_up": made_up, "coinbase": real}
