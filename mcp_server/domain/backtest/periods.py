"""The returns of a backtest by month and by year of the UTC calendar, beside those of holding."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcp_server.domain.backtest.simulate import Simulation
from mcp_server.domain.candles import Candles


@dataclass(frozen=True, slots=True)
class PeriodReturn:
    """What the rule and holding returned in one month (`2024-03`) or year (`2024`) of the UTC calendar.

    `return_pct` is None once the rule is ruined.
    """

    period: str
    return_pct: float | None
    buy_and_hold_pct: float


def returns_by(unit: Literal["M", "Y"], simulation: Simulation, candles: Candles) -> tuple[PeriodReturn, ...]:
    """Return the returns by month or year, oldest first, each from the last close before it to its own last close.

    A candle belongs to where it opens. A period without candles has no entry.
    """
    if not len(candles):
        return ()
    ends = candles.open_time_ms[[0, -1]].astype("datetime64[ms]").astype(f"datetime64[{unit}]")
    periods = np.arange(ends[0], ends[1] + 1)
    bounds = np.searchsorted(candles.open_time_ms, periods.astype("datetime64[ms]").astype(np.int64))
    bounds = np.append(bounds, len(candles))
    filled = bounds[1:] > bounds[:-1]
    last = bounds[1:][filled] - 1
    equity = np.append(1.0, simulation.equity[last])
    close = np.append(candles.close[0], candles.close[last])
    return tuple(
        PeriodReturn(str(period), (after / before - 1) * 100 if before else None, float(held - 1) * 100)
        for period, before, after, held in zip(
            periods[filled], equity[:-1].tolist(), equity[1:].tolist(), close[1:] / close[:-1], strict=True
        )
    )
