"""How often BUY and SELL would have been right at any moment of a market, net of costs: the control of a hit rate.

A moment is a candle: entered at its open, left at the close that an outcome of the same horizon has. Moments of swaps
are net of fundings only where fundings are given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Floats, Mask, Times
from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.timeframes import timeframe_ms

LEAST_MOMENTS = 1_000
"""A share of fewer moments is no null for a single outcome, and a record's span is widened backwards to as many."""

HORIZONS = 400
"""What is known of a market before the first entry covers so many horizons: moments that overlap say the same twice,
and from fewer the base rate is too uncertain for skill to show."""

MOST_BEFORE = 20_000
"""No more candles than this are looked at before the first entry."""

_Z99 = 2.3263478740408408
"""99 % of a normal distribution lies below so many deviations."""

Fundings = Mapping[int, Floats]
"""Horizon (ms) → what a long position that enters at each candle pays until its exit, as a ratio of the entry price.

NaN: not known, and the moment is left out.
"""

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BaseRate:
    """The share of moments of a span at which a direction would have been right, from 0 to 1.

    `buy` and `sell` are of every moment of the span, `weighted` by how often the strategy signalled either. Each is
    None where it has no moment, or no signal to weight by. `moments` counts them.
    """

    buy: float | None
    sell: float | None
    weighted: float | None
    moments: int


@dataclass(frozen=True, slots=True, eq=False)
class KnownShares:
    """How the market stood at each signal of a record, for its direction; one value for each.

    Attributes:
        share: of the moments known at the entry, how many were right. NaN below LEAST_MOMENTS, and for a HOLD.
        limit: the upper end of a one-sided 99 % interval around `share`; NaN likewise.
        independent: the effective number of these moments, whose horizons overlap: what a share of independent ones
            would need to be as certain.
        kind: a number for each direction, horizon and cost; -1 for a HOLD.
        right_before: moments of that kind that were entered before the entry and were right.
        moments_before: moments of that kind that were entered before the entry.
        right_after: the same as `right_before`, of those that are known at the exit.
        moments_after: the same as `moments_before`, of those that are known at the exit.
    """

    share: Floats
    limit: Floats
    independent: Floats
    kind: _Counts
    right_before: _Counts
    moments_before: _Counts
    right_after: _Counts
    moments_after: _Counts


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """The moments of a market for one horizon and cost, oldest first, and how many of the first 0, 1, … were right."""

    entry_ms: Times
    right: dict[int, _Counts]

    def until(self, side: int, before_ms: Times) -> tuple[_Counts, _Counts]:
        """Return how many of the moments that are entered before each time were right, and how many they are."""
        count = np.searchsorted(self.entry_ms, before_ms)
        return self.right[side][count], count


def base_rate(candles: Candles, timeframe: str, judged: JudgedSignals, fundings: Fundings | None = None) -> BaseRate:
    """Return the base rate over a record's own span, widened backwards to LEAST_MOMENTS moments where it is shorter.

    Args:
        candles: closed candles of the market, oldest first, with any gaps, from LEAST_MOMENTS before the first entry.
        timeframe: of the candles.
        judged: the record. Where its horizons or costs differ, each counts by its signals.
        fundings: None where nobody pays any, as on spot.
    """
    directed = judged.directed
    first, last = (judged.entry_ms[directed].min(), judged.entry_ms[directed].max()) if directed.any() else (0, -1)
    signals, right, most = 0, np.zeros(3), 0
    for mask, moments in _by_kind(candles, timeframe, judged, fundings):
        stop = int(np.searchsorted(moments.entry_ms, last, side="right"))
        start = min(int(np.searchsorted(moments.entry_ms, first)), max(stop - LEAST_MOMENTS, 0))
        if start == stop:
            continue
        buy, sell = ((moments.right[side][stop] - moments.right[side][start]) / (stop - start) for side in (BUY, SELL))
        buys, sells = (int(np.count_nonzero(judged.signal[mask] == side)) for side in (BUY, SELL))
        signals += buys + sells
        right += [(buys + sells) * buy, (buys + sells) * sell, buys * buy + sells * sell]
        most = max(most, stop - start)
    if not signals:
        return BaseRate(None, None, None, 0)
    buy, sell, weighted = (float(share) for share in right / signals)
    return BaseRate(buy, sell, weighted, most)


def known_shares(
    candles: Candles, timeframe: str, judged: JudgedSignals, fundings: Fundings | None = None
) -> KnownShares:
    """Return how the market stood at each signal: above all the share of moments known at its entry that were right.

    Known are moments whose exit candle had closed by the entry. Each entry looks at all earlier candles that are given,
    and more of them make its limit tighter. Arguments as of `base_rate`.
    """
    length, count = timeframe_ms(timeframe), len(judged)
    share, limit, independent = (np.full(count, np.nan) for _ in range(3))
    kind = np.full(count, -1)
    before, known, after = (np.zeros((2, count), dtype=np.int64) for _ in range(3))
    for number, (mask, moments) in enumerate(_by_kind(candles, timeframe, judged, fundings)):
        horizon_ms = int((judged.exit_ms - judged.entry_ms)[mask][0])
        for direction, side in enumerate((BUY, SELL)):
            rows = np.flatnonzero(mask & (judged.signal == side))
            entry = judged.entry_ms[rows]
            kind[rows] = 2 * number + direction
            before[:, rows] = moments.until(side, entry)
            known[:, rows] = moments.until(side, entry - horizon_ms + 1)
            after[:, rows] = moments.until(side, entry + 1)
            independent[rows] = known[1, rows] * (length / horizon_ms)
    enough = known[1] >= LEAST_MOMENTS
    share[enough] = known[0, enough] / known[1, enough]
    limit[enough] = upper_limit(share[enough], independent[enough])
    return KnownShares(share, limit, independent, kind, *before, *after)


def moments_before(horizon: int) -> int:
    """Return how many moments are known before the first entry, by the candles that a horizon covers."""
    return min(max(LEAST_MOMENTS, HORIZONS * horizon), MOST_BEFORE)


def upper_limit(share: Floats, independent: Floats) -> Floats:
    """Return the upper end of the one-sided 99 % Wilson interval of a share of so many independent moments."""
    spread = _Z99**2 / independent
    middle = share + spread / 2
    return (middle + np.sqrt(share * (1 - share) * spread + spread**2 / 4)) / (1 + spread)


def _by_kind(
    candles: Candles, timeframe: str, judged: JudgedSignals, fundings: Fundings | None
) -> Iterator[tuple[Mask, _Moments]]:
    """Yield which BUY and SELL share a horizon and a cost, and the moments of the market that compare with them."""
    horizon_ms, directed = judged.exit_ms - judged.entry_ms, judged.directed
    for horizon, cost in sorted(set(zip(horizon_ms[directed].tolist(), judged.cost[directed].tolist(), strict=True))):
        mask = directed & (horizon_ms == horizon) & (judged.cost == cost)
        yield mask, _moments(candles, timeframe, horizon, cost, fundings[horizon] if fundings else None)


def _moments(candles: Candles, timeframe: str, horizon_ms: int, cost: float, funding: Floats | None) -> _Moments:
    """Return at which candles an entry would have been right, of those whose exit candle is there too."""
    times = candles.open_time_ms
    last_open = times + (horizon_ms - timeframe_ms(timeframe))
    place = np.searchsorted(times, last_open)
    there = np.append(times, -1)[place] == last_open
    change = candles.close[place[there]] / candles.open[there] - 1
    entry_ms = times[there]
    if funding is not None:
        paid = np.isfinite(funding[there])
        change, entry_ms = (change - funding[there])[paid], entry_ms[paid]
    right = {side: np.append(0, np.cumsum(side * change - cost > 0)) for side in (BUY, SELL)}
    return _Moments(entry_ms, right)
