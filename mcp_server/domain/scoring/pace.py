"""How long until an edge above the base rate would show, at the pace of a record, and which edge some signals show."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.base_rate import upper_limit
from mcp_server.domain.scoring.e_value import SkillEvidence, e_values, lifts
from mcp_server.domain.scoring.keys import PROOF
from mcp_server.domain.scoring.non_overlapping import non_overlapping
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.timeframes import DAY_MS

EDGE = 0.05
"""The edge whose proof is foretold: a true hit rate of five points above the base rate."""

HALF, POWER = 0.5, 0.8
"""So many of the strategies with an edge have shown it: by the time that is foretold, and in a window that shows it."""

_DEVIATIONS = {HALF: 0.0, POWER: 0.8416212335729143}
"""A normal variable lies above its mean less so many deviations with that probability."""

_MOST = 100_000
"""More outcomes than this are no foreseeable time."""

_MOST_RIGHT = 5_000
"""So many outcomes that are all right prove an edge, if one can be shown at all."""

_STEPS = 40
_OVERSHOOT = 0.583
"""A walk of single steps crosses a line as Brownian motion crosses one that is so many deviations of a step further."""

_LEAST_BACK = 0.05
"""A line that rises too steeply to be crossed would make the first equations 0 = 0."""

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class TimeToShow:
    """How many more outcomes that do not overlap, and how many days, half of the strategies with that edge would need.

    `outcomes` is 0 where the evidence is there already, None where it would not be in any foreseeable time, or nothing
    to compare with is known; `days` is None as well where the pace is not known.
    """

    outcomes: int | None
    days: float | None


def outcomes_per_day(judged: JudgedSignals, until_ms: int) -> float | None:
    """Return how many outcomes a day do not overlap, from the first entry to a moment (Unix ms); None below two."""
    rows = non_overlapping(judged, judged.directed)
    if len(rows) < 2 or judged.exit_ms[rows[-1]] > until_ms:
        return None
    return len(rows) * DAY_MS / float(until_ms - judged.entry_ms[rows[0]])


def time_to_show(evidence: SkillEvidence, base_rate: float | None, per_day: float | None) -> TimeToShow:
    """Return how long until a hit rate of `base_rate` + five points would show as an e-value of 20 (the median).

    With each horizon that goes by one more independent moment is known, so the 99 % limit comes down to the share.

    Args:
        evidence: as it stands.
        base_rate: the record's, `base_rate.BaseRate.weighted`.
        per_day: as `outcomes_per_day` returns it. Where None, each outcome is taken to follow at once on another.
    """
    if evidence.value >= PROOF:
        return TimeToShow(0, 0.0)
    if base_rate is None or evidence.share is None or evidence.independent is None or base_rate + EDGE >= 1:
        return TimeToShow(None, None)
    growth = 1.0 if per_day is None else max(DAY_MS / (per_day * evidence.horizon_ms), 1.0)
    ahead = _Ahead(evidence.log_wealth, base_rate + EDGE, evidence.share, evidence.independent, growth)
    outcomes = ahead.shown_after(HALF)
    days = None if outcomes is None or per_day is None else outcomes / per_day
    return TimeToShow(None if outcomes is None else max(math.ceil(outcomes), 1), days)


def outcomes_to_show(edge: float, base_rate: float, independent: float, power: float = POWER) -> int | None:
    """Return after how many outcomes so many strategies with that edge have shown it; None: in no foreseeable time.

    Each outcome follows at once on another, and nothing has been judged before.

    Args:
        edge: the true hit rate less the base rate, as a ratio.
        base_rate: as a ratio.
        independent: the effective number of moments from which the base rate is known before the first of them.
        power: HALF or POWER.
    """
    if base_rate + edge >= 1:
        return None
    ahead = _Ahead(lifts()[1], base_rate + edge, base_rate, independent, 1.0)
    outcomes = ahead.shown_after(power)
    return None if outcomes is None else max(math.ceil(outcomes), ahead.fewest())


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    """The e-values to come of a strategy with a true hit rate, from the present wealth of each lift on.

    The null of each outcome to come is the upper limit of `share` of `independent` moments, of which there are `growth`
    more after each.
    """

    log_wealth: Floats
    hit_rate: float
    share: float
    independent: float
    growth: float

    def shown_after(self, power: float) -> float | None:
        """Return after how many outcomes so many of such strategies (HALF or POWER) have shown it.

        The number of right ones is a random walk, and it crosses a line above which the e-value is proof. A Brownian
        motion that is above the line at t was on it at some first time s, so the probabilities f(s) of these times
        solve P(above at t) = sum over s of f(s) x P(above at t | on the line at s).
        """
        count = np.geomspace(1, _MOST, 80)
        expected, one_more = self._parts(count)
        fewer = _DEVIATIONS[power] * self._deviation * np.sqrt(count)
        proven = e_values(expected - fewer[:, None] * one_more) >= PROOF
        if not proven.any():
            return None
        last = float(count[np.argmax(proven)])  # by then so many are above the line, so more than that have crossed it
        count = last * (np.arange(1, _STEPS + 1) / _STEPS) ** 2
        line, start = self._line(count), np.append(0, count[:-1])
        between = (start + count) / 2
        apart = line[:, None] - np.interp(between, count, line)
        later = np.tril(count[:, None] - between)
        back = np.tril(_above(np.divide(apart, np.sqrt(later), out=np.zeros_like(apart), where=later > 0)))
        np.fill_diagonal(back, np.maximum(back.diagonal(), _LEAST_BACK))
        shown = np.cumsum(np.linalg.solve(back, _above(line / np.sqrt(count))))
        by = int(np.argmax(shown >= power))
        return float(np.interp(power, [shown[by - 1] if by else 0.0, shown[by]], [start[by], count[by]]))

    def fewest(self) -> int:
        """Return after how many outcomes the e-value is proof where all of them are right."""
        count = np.arange(1.0, _MOST_RIGHT)
        return int(np.argmax(e_values(replace(self, hit_rate=1.0)._parts(count)[0]) >= PROOF)) + 1

    @property
    def _deviation(self) -> float:
        """The standard deviation of one outcome, right (1) or wrong (0)."""
        return math.sqrt(self.hit_rate * (1 - self.hit_rate))

    def _parts(self, count: Floats) -> tuple[Floats, Floats]:
        """Return the log wealth of each lift after so many outcomes, as many right as expected, and with one more."""
        lift, _ = lifts()
        middle = count - np.diff(count, prepend=0) / 2
        null = upper_limit(np.full(len(count), self.share), self.independent + self.growth * middle)
        steps = np.diff(count, prepend=0)[:, None]
        right = np.cumsum(steps * np.log1p(lift * ((1 - null) / null)[:, None]), axis=0)
        wrong = count[:, None] * np.log1p(-lift)
        return self.log_wealth + self.hit_rate * right + (1 - self.hit_rate) * wrong, (right - wrong) / count[:, None]

    def _line(self, count: Floats) -> Floats:
        """Return how many deviations of a step above the expected number of right ones the e-value is proof."""
        expected, one_more = self._parts(count)
        low, high = -self.hit_rate * count, (1 - self.hit_rate) * count + 1
        for _ in range(18):
            more = (low + high) / 2
            proven = e_values(expected + more[:, None] * one_more) >= PROOF
            low, high = np.where(proven, low, more), np.where(proven, more, high)
        return high / self._deviation + _OVERSHOOT


def _above(deviations: Floats) -> Floats:
    """Return the probability that a normal variable lies so many deviations above its mean or higher."""
    return np.asarray(0.5 - 0.5 * _erf(deviations / math.sqrt(2)), dtype=np.float64)
