"""The stationary bootstrap of a Sharpe ratio: what it would have been, had the blocks of history come otherwise."""

import math

import numpy as np

from mcp_server.domain.candles import Floats

RESAMPLES = 2000
_SEED = 20_260_101
"""Fixed, so that the same backtest gives the same interval, to the last byte."""

_NUMBERS_AT_ONCE = 1_000_000


def resampled_sharpes(returns: Floats) -> Floats:
    """Return the Sharpe ratios, per candle, of 2,000 resamples of the returns.

    Politis and Romano (1994): blocks of random places and of geometric lengths, wrapped around the end, so that what
    lies close together stays together. The blocks are on average as long as `block_length` says, yet at least the cube
    root of the number of returns: a longer block costs little precision, and misses less dependence. A resample in
    which nothing moves has a Sharpe ratio of 0. Of a block only its sums are needed, which two running sums give: the
    work grows with the number of blocks, not of returns.
    """
    n = len(returns)
    block = max(block_length(returns), n ** (1 / 3))
    twice = np.tile(returns, 2)
    total, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (twice, twice * twice))
    blocks = math.ceil(n / block + 8 * math.sqrt(n / block)) + 8
    generator = np.random.default_rng(_SEED)
    rows = max(1, _NUMBERS_AT_ONCE // blocks)
    sharpes = list[Floats]()
    for first in range(0, RESAMPLES, rows):
        shape = min(rows, RESAMPLES - first), blocks
        ends = np.minimum(np.cumsum(generator.geometric(1 / block, shape), axis=1), n)
        ends[:, -1] = n
        start = generator.integers(0, n, shape)
        stop = start + np.diff(ends, prepend=0, axis=1)
        mean = (total[stop] - total[start]).sum(axis=1) / n
        square = (squares[stop] - squares[start]).sum(axis=1)
        deviation = square - n * mean**2
        moves = deviation > 1e-12 * square
        sharpes.append(np.where(moves, mean, 0.0) / np.sqrt(np.where(moves, deviation / (n - 1), 1.0)))
    return np.concatenate(sharpes)


def block_length(returns: Floats) -> float:
    """Return the mean length of blocks that suits the autocorrelation of the returns, in candles, at least 1.

    Politis and White (2004) with the correction of Patton, Politis and White (2009), for the stationary bootstrap:
    a flat-top window as wide as twice the lag from which on the autocorrelations cannot be told from 0.
    """
    n = len(returns)
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(n))))
    widest = min(math.ceil(math.sqrt(n)) + in_a_row, n - 1)
    covariance = _autocovariance(returns, widest)
    significant = np.abs(covariance[1:]) >= 2 * math.sqrt(math.log10(n) / n) * covariance[0]
    quiet = np.lib.stride_tricks.sliding_window_view(~significant, min(in_a_row, widest)).all(axis=1)
    width = min(2 * max(int(np.argmax(quiet)), 1), widest) if quiet.any() else widest
    lag = np.arange(1, width + 1)
    window = np.minimum(1.0, 2 * (1 - lag / width)) * covariance[1 : width + 1]
    slope, level = 2 * float(lag @ window), float(covariance[0] + 2 * window.sum())
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    return float(min(max((slope**2 / level**2 * n) ** (1 / 3), 1.0), longest)) if level > 0 else float(longest)


def _autocovariance(returns: Floats, lags: int) -> Floats:
    """Return the autocovariances at the lags 0 to `lags`, by way of the spectrum."""
    size = 1 << (len(returns) + lags).bit_length()
    spectrum = np.fft.rfft(returns - np.mean(returns), size)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, size)[: lags + 1] / len(returns))
