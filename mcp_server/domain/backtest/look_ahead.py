"""Disproves look-ahead: what comes after a candle is replaced, and nothing up to that candle may change by one bit.

Every value of the run on the whole series is compared with the value from a run that has another future. A cut keeps
all candles up to it, and continues them by at most `TAIL` made-up ones. A shorter future than the real one misses
nothing: the whole run is one side of each comparison, so a value in it that used any later candle, however far away,
would have to come out of other candles (or of their absence) to the last bit. For the same reason it is enough to
compute the parts of rules, which are the same expression at each candle, over the last candles before a cut.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Candles, Floats, GivenColumn, Times

Columns = Mapping[str, npt.NDArray[Any]]
"""Name → one value for each candle: indicators, stages of rules, decisions."""

CUTS = 200
"""A leak on every k-th candle only is found for each k up to this: see `cuts`."""

TAIL = 500
LIMIT_S = 8.0
_EXTREMES = 10
_UNDEFINED = 0.1
"""This share of the values that are made up of a given column."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A column's value at a candle (by its open time) that changed when the candles after `cut_ms` were replaced."""

    column: str
    at_ms: int
    cut_ms: int


@dataclass(frozen=True, slots=True)
class Proof:
    """After how many candles of those wanted it cut, and what changed: the earliest change seen of each column.

    `decisions` of the `decisions_wanted` candles on which trades were decided are among the `checked` ones.
    """

    checked: int
    wanted: int
    decisions: int
    decisions_wanted: int
    changed: tuple[Leak, ...]


def prove(
    compute: Callable[[Candles], Columns],
    candles: Candles,
    decided: Sequence[int] | Times,
    *,
    every: bool = False,
    lately: Callable[[Candles, int], Columns] | None = None,
    clock: Callable[[], float] | None = None,
    limit_s: float = LIMIT_S,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Replace what comes after many candles, and compare all that was computed up to them, bit by bit.

    Args:
        compute: what is to be disproved: candles → columns.
        candles: the whole series.
        decided: the positions of the candles on which trades were decided; each is cut after, too, as time allows.
        every: cut after every candle, however long it takes.
        lately: the same as `compute`, where it is quicker to leave out of some columns all but that many of the last
            values. A shorter column is of the last candles.
        clock: tells the time in seconds. None: there is no limit.
        limit_s: after this long no further cut is begun.
        progress: called with the number of candles checked and the number wanted, before each.
    """
    began = clock() if clock else 0.0
    whole = compute(candles)
    last = len(candles) - 1
    recent = TAIL + max(TAIL, len(candles) // CUTS)
    decisions = {int(at) for at in decided if 0 <= at < last}
    first = _shuffled(range(last)) if every else cuts(candles)
    order = [*first, *_shuffled(decisions - set(first))]
    earliest, checked = dict[str, tuple[int, int]](), 0
    for cut in order:
        if clock and not every and clock() - began >= limit_s:
            break
        if progress is not None:
            progress(checked, len(order))
        other = another_future(candles, cut)
        for name, at in _leaks(whole, lately(other, recent) if lately else compute(other), len(other), cut):
            earliest[name] = min(earliest.get(name, (at, cut)), (at, cut))
        checked += 1
    times = candles.open_time_ms
    leaks = (Leak(name, int(times[at]), int(times[cut])) for name, (at, cut) in earliest.items())
    changed = tuple(sorted(leaks, key=lambda leak: (leak.at_ms, leak.column)))
    return Proof(checked, len(order), len(decisions & set(order[:checked])), len(decisions), changed)


def cuts(candles: Candles) -> list[int]:
    """Choose the positions to cut after: first some that are spread over the whole series, then the most unusual ones.

    200 are a prime number of candles apart. Where that prime is above 200, their positions have every remainder of
    every divisor up to 200, so that no leak on each k-th candle passes between them. A series too short for that gets
    200 in a row at its end as well.
    """
    last = len(candles) - 1
    if last <= 2 * CUTS:
        return _shuffled(range(last))
    step = _prime_up_to(last // CUTS)
    spread = range(last - 1, -1, -step)[:CUTS]
    in_a_row = range(last - CUTS, last) if step <= CUTS else range(0)
    others = {*in_a_row, *_unusual(candles.slice(0, last))}
    return [*_shuffled(spread), *_shuffled(others - set(spread))]


def another_future(candles: Candles, cut: int) -> Candles:
    """Return the candles up to position `cut`, and after them a random walk at the same times, all columns changed.

    It is the same for the same cut. How far it goes differs from cut to cut: some stay near, some leave every price
    and volume of the series behind. Given columns go on with any values.
    """
    times = candles.open_time_ms[: cut + 1 + TAIL]
    count = len(times) - cut - 1
    random = np.random.default_rng(cut)
    size = 0.01 * np.exp(1.5 * random.standard_normal())  # of a step, as a share of the price
    steps = size * random.standard_t(3, (2, count)).clip(-20, 20)
    steps[0, :1] *= 10
    path = float(candles.close[cut]) * np.exp(np.cumsum(steps.T.ravel()).clip(-30, 30))
    opened, close = path[::2], path[1::2]
    beyond = np.exp((size * random.exponential(1, (2, count))).clip(0, 20))
    volume = _usual(candles.volume[max(cut - 99, 0) : cut + 1]) * np.exp(2 * random.standard_normal(count))
    added = {
        "open": opened,
        "high": np.maximum(opened, close) * beyond[0],
        "low": np.minimum(opened, close) / beyond[1],
        "close": close,
        "volume": volume,
    }
    joined = {name: np.concatenate([getattr(candles, name)[: cut + 1], values]) for name, values in added.items()}
    given = {}
    for name, column in candles.given.items():
        other = np.where(random.random(count) < _UNDEFINED, np.nan, random.uniform(0, 100, count))
        given[name] = GivenColumn(np.concatenate([column.values[: cut + 1], other]))
    return Candles(times, **joined, given=given)


def _leaks(whole: Columns, changed: Columns, count: int, cut: int) -> Iterator[tuple[str, int]]:
    """Return each column that differs up to the cut, and the position of its first difference; NaN equals NaN."""
    for name, values in changed.items():
        start = count - len(values)
        before, after = whole[name][start : cut + 1], values[: cut + 1 - start]
        bits = f"u{before.itemsize}"
        if np.array_equal(before.view(bits), after.view(bits)):
            continue
        same = (before == after) & (np.signbit(before) == np.signbit(after))
        same |= (before != before) & (after != after)  # noqa: PLR0124 - what differs from itself is NaN
        if not same.all():
            yield name, start + int(np.argmin(same))


def _shuffled(positions: Collection[int]) -> list[int]:
    """Return them in an order, always the same, in which the first ones are spread over all: time may run out."""
    shuffled: list[int] = np.random.default_rng(0).permutation(np.array(sorted(positions), dtype=np.int64)).tolist()
    return shuffled


def _unusual(candles: Candles) -> set[int]:
    """Return the candles with the most volume, also beside what was usual before, the widest, and the largest moves."""
    volume = np.nan_to_num(candles.volume)
    total = np.concatenate([np.zeros(21), np.cumsum(volume)])
    before = (total[20:-1] - total[:-21]) / 20
    returns = np.diff(np.log(candles.close), prepend=np.log(candles.close[:1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        features = [volume, np.nan_to_num(volume / before, posinf=0), candles.high / candles.low, returns, -returns]
    return {int(at) for feature in features for at in np.argsort(feature, kind="stable")[-_EXTREMES:]}


def _usual(volume: Floats) -> float:
    known = volume[volume > 0]
    return float(np.median(known)) if len(known) else 1.0


def _prime_up_to(most: int) -> int:
    """Return the largest prime number up to `most`; 1 where there is none."""
    return next((n for n in range(most, 1, -1) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))), 1)
