"""What the rest of a replay will cost and how long it will take, told by the moments that have run. Pure.

The moments that have run are taken for a random sample of all: their mean tells the mean of the rest. The interval is
the one of Student's t for the sum over a finite population (Cochran, Sampling Techniques, 1977, sections 2.7 to 2.9).
Of N moments n have run, with the standard deviation s (ddof 1): the rest costs (N - n) times their mean, give or take
t * s * sqrt(N * (N - n) / n). That is t * N * s * sqrt((1 - n / N) / n), as only the sum of the rest is in doubt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from statistics import NormalDist, fmean, stdev

from mcp_server.domain.text import counted, dollars

CONFIDENCE = 0.9
"""How often the price of the rest lies within the interval, where costs vary as a bell curve does."""

FEWEST = 2
"""One cost says nothing about how much costs vary."""

_EXACT = (6.3138, 2.9200, 2.3534, 2.1318)
"""Quantiles of Student's t at (1 + CONFIDENCE) / 2 with 1 to 4 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class MomentCost:
    """What one moment cost when it was asked for, in US dollars, None where unknown; and how long it took."""

    usd: Decimal | None
    seconds: float


@dataclass(frozen=True, slots=True)
class RestPrice:
    """What the rest costs, in US dollars, and how long it takes: the most likely figure, and the bounds around it."""

    expected_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    minutes: float


def price_of_rest(known: Sequence[MomentCost], rest: int, at_once: int) -> RestPrice | None:
    """Estimate the price of the moments that are still to be asked; None where too few costs are known to tell.

    Args:
        known: the moments that were asked, whichever way they ended; those of unknown cost tell nothing of the price.
        rest: how many moments are still to be asked; those on cassette cost nothing and are not counted.
        at_once: how many run at the same time.
    """
    if rest == 0:
        return RestPrice(Decimal(0), Decimal(0), Decimal(0), 0.0)
    costs = [float(moment.usd) for moment in known if moment.usd is not None]
    if len(costs) < FEWEST:
        return None
    count = len(costs)
    population = count + rest
    expected = rest * fmean(costs)
    margin = student_t(count - 1) * stdev(costs) * math.sqrt(population * rest / count)
    minutes = fmean(moment.seconds for moment in known) * rest / at_once / 60
    return RestPrice(_usd(expected), _usd(max(expected - margin, 0)), _usd(expected + margin), minutes)


def price_line(moments: int, on_cassette: int, price: RestPrice | None, spent_usd: Decimal) -> str:
    """Say in one line what a replay costs as a whole, what was spent already included, and how long the rest takes."""
    what = f"{counted(moments, 'moment')}, {on_cassette} on cassette"
    if price is None:
        return f"{what}: the price is unknown, as too few runs told what they cost"
    low, high = dollars(spent_usd + price.low_usd), dollars(spent_usd + price.high_usd)
    total = low if low == high else f"{low} to {high}"
    spent = f" ({dollars(spent_usd)} of it spent)" if spent_usd else ""
    return f"{what}: {total} USD{spent}, about {_minutes(price.minutes)}"


def above_cap(price: RestPrice, rest: int, spent_usd: Decimal, dearest_usd: Decimal, max_usd: Decimal) -> str | None:
    """Return why a replay is not to go on: it would most likely reach its cap before its end; None where it is not so.

    Args:
        price: of the rest.
        rest: how many moments that is.
        spent_usd: what the replay has cost so far.
        dearest_usd: what a run has cost at most so far; the last run begins only where so much is left of the cap.
        max_usd: the cap.
    """
    if rest == 0:
        return None
    more = max(dearest_usd - price.expected_usd / rest, Decimal(0))
    if spent_usd + price.expected_usd + more <= max_usd:
        return None
    low, high = spent_usd + price.low_usd, spent_usd + price.high_usd
    enough = (high + more).quantize(Decimal("0.01"), rounding=ROUND_CEILING)
    return (
        f"The replay would cost {dollars(low)} to {dollars(high)} USD, and most likely reach its --max-usd of "
        f"{dollars(max_usd)} before its end. Give --max-usd {enough}, a shorter range or a longer --every. What was "
        "asked is recorded and counts: it is not asked again."
    )


def _minutes(minutes: float) -> str:
    if minutes < 1.5:
        return "a minute"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def student_t(degrees: int) -> float:
    """Return the quantile of Student's t that leaves `CONFIDENCE` of it between itself and its negative.

    From 5 degrees of freedom on by its expansion in those (Abramowitz and Stegun, 26.7.5), which is off by less than
    0.001.
    """
    if degrees <= len(_EXACT):
        return _EXACT[degrees - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )


def _usd(amount: float) -> Decimal:
    return Decimal(amount).quantize(Decimal("0.000001"))
