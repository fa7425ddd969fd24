"""What is kept of each variant of a sweep: sums over parts of its time, from which any of them can be compared."""

from dataclasses import dataclass

import numpy as np

from mcp_server.domain.backtest.returns import candles_per_year, grid_returns
from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.timeframes import timeframe_ms

BLOCKS = 16
FOLDS = 5
EMBARGO_SHARE = 0.01
"""Of all candles: López de Prado (2018), "Advances in Financial Machine Learning", 7.4.2."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The record of one variant, or of holding, in parts of equal time: few numbers, however many candles.

    Attributes:
        candles: of its timeframe, from the first to the last, missing ones included.
        candles_a_year: of its timeframe.
        blocks: a row for each of 16 blocks: number, sum and sum of squares of its returns.
        training: the same for what comes before each fold and its embargo.
        growth: the equity at the end of each fold over that at its start; NaN where it was 0 already.
        test_ms: start and end of each fold (Unix ms).
    """

    candles: int
    candles_a_year: float
    blocks: Floats
    training: Floats
    growth: Floats
    test_ms: Times


def track_of(open_time_ms: Times, equity: Floats, timeframe: str) -> Track:
    """Return the record of an equity curve that begins at 1; it has a value at the close of each candle."""
    returns = grid_returns(open_time_ms, equity, timeframe)
    n = len(returns)
    sums = np.zeros((n + 1, 3))
    np.cumsum(np.column_stack([np.ones(n), returns, returns * returns]), axis=0, out=sums[1:])
    block_edges = np.arange(BLOCKS + 1) * n // BLOCKS
    bounds = fold_bounds(n)
    curve = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    start, end = curve[bounds[:, 1]], curve[bounds[:, 2]]
    return Track(
        candles=n,
        candles_a_year=candles_per_year(timeframe),
        blocks=np.diff(sums[block_edges], axis=0),
        training=sums[bounds[:, 0]],
        growth=np.divide(end, start, out=np.full(FOLDS, np.nan), where=start > 0),
        test_ms=open_time_ms[0] + bounds[:, 1:] * timeframe_ms(timeframe),
    )


def fold_bounds(candles: int, embargo: int | None = None) -> Times:
    """Return for each of 5 folds the end of its training part, and the start and the end of its test part.

    The test parts are as long as each other and follow one another up to the last candle; the first one comes after a
    part of at least their length, in which nothing is tested. A training part begins with the first candle. Between it
    and the test part lies an embargo, so that a trade of the one does not reach into the other: 1 % of all candles.
    """
    length = candles // (FOLDS + 1)
    end = candles - np.arange(FOLDS - 1, -1, -1) * length
    apart = -int(-candles * EMBARGO_SHARE // 1) if embargo is None else embargo
    return np.column_stack([np.maximum(end - length - apart, 0), end - length, end])


def sharpes(sums: Floats) -> Floats:
    """Return the Sharpe ratios, per candle, of the last axis: number, sum and sum of squares; NaN where undefined."""
    count, total, squares = np.moveaxis(sums, -1, 0)
    known = count > 1
    mean = np.divide(total, count, out=np.zeros_like(total), where=known)
    variance = np.divide(squares - total * mean, count - 1, out=np.zeros_like(total), where=known)
    moves = variance > 1e-14 * np.divide(squares, count, out=np.zeros_like(total), where=known)
    return np.asarray(np.divide(mean, np.sqrt(np.abs(variance)), out=np.full_like(total, np.nan), where=moves))
