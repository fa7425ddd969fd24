"""Random walks as candles, and records of signals on them: the markets on which statistics of skill are tried."""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.scoring.signals import JudgedSignals

HOUR_MS = 3_600_000


def walk(
    rng: np.random.Generator, count: int, drift: float | Floats = 0.0, volatility: float | Floats = 0.01
) -> Candles:
    """Hourly candles whose closes are a random walk; each opens at the close before."""
    close = 100 * np.exp(np.cumsum(drift + volatility * rng.standard_normal(count)))
    opened = np.append(100.0, close[:-1])
    times = HOUR_MS * np.arange(count, dtype=np.int64)
    return Candles(times, opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(count))


def record(
    candles: Candles, at: npt.NDArray[np.int64], signal: npt.ArrayLike, horizon: int, cost: float | Floats = 0.003
) -> JudgedSignals:
    """Judge signals that are entered at the open of the candles at some positions, on hourly candles without gaps."""
    r = candles.close[at + horizon - 1] / candles.open[at] - 1
    entry_ms, codes = candles.open_time_ms[at], np.asarray(signal, dtype=np.int8)
    exit_ms = entry_ms + horizon * HOUR_MS
    unknown, costs = np.full(len(at), np.nan), np.broadcast_to(cost, len(at)).astype(np.float64)
    return JudgedSignals(np.arange(len(at)), entry_ms, entry_ms, exit_ms, codes, r, costs, np.zeros(len(at)), unknown)


def outcomes(net: Floats) -> JudgedSignals:
    """A record of BUY signals, one after another, with these net returns."""
    count = len(net)
    entry_ms, none = HOUR_MS * np.arange(count, dtype=np.int64), np.zeros(count)
    buys = np.ones(count, dtype=np.int8)
    return JudgedSignals(np.arange(count), entry_ms, entry_ms, entry_ms + HOUR_MS, buys, net, none, none, none * np.nan)


def stated(confidence: Floats, right: npt.NDArray[np.bool_], apart_h: int = 1, horizon_h: int = 1) -> JudgedSignals:
    """BUY signals with these confidences, of which these are right, one every so many hours."""
    count = len(right)
    entry_ms = HOUR_MS * apart_h * np.arange(count, dtype=np.int64)
    buy, free = np.ones(count, dtype=np.int8), np.zeros(count)
    r = np.where(right, 0.01, -0.01)
    number = np.arange(count)
    return JudgedSignals(number, entry_ms, entry_ms, entry_ms + HOUR_MS * horizon_h, buy, r, free, free, confidence)
