"""Disproves look-ahead: what comes after a candle is replaced, and nothing up to that candle may change by one bit.

Every value of the run on the whole series is compared with the value from a run that has another future. A shorter
future than the real one misses nothing: the whole run is one side of each comparison, so a value in it that used any
later candle, however far away, would have to come out of other candles (or of their absence) to the last bit. For the
same reason it is enough to compute the parts of rules, which are the same expression at each candle, over the last
candles before a cut. The parts after many cuts are computed at once, each cut's as if it were alone.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mcp_server.domain.backtest.futures import TAIL, Columns, Futures, Provable, first_difference
from mcp_server.domain.candles import Candles, Times

T = TypeVar("T")

CUTS = 200
"""A leak on every k-th candle only is found for each k up to this: see `cuts`."""

LIMIT_S = 8.0
ROWS_AT_ONCE = 100_000
"""The parts of so many rows are computed together, which takes far less time than cut by cut."""

_EXTREMES = 10


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
    proved: Provable,
    candles: Candles,
    decided: Sequence[int] | Times,
    *,
    every: bool = False,
    futures: Futures | None = None,
    clock: Callable[[], float] | None = None,
    limit_s: float = LIMIT_S,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Replace what comes after many candles, and compare all that was computed up to them, bit by bit.

    Args:
        proved: what is to be disproved.
        candles: the whole series.
        decided: the positions of the candles on which trades were decided; each is cut after, too, as time allows.
        every: cut after every candle, however long it takes.
        futures: of these candles, where proofs share them.
        clock: tells the time in seconds. None: there is no limit.
        limit_s: after this long no further cut is begun.
        progress: called with the number of candles checked and the number wanted, before each.
    """
    began = clock() if clock else 0.0
    futures = futures or Futures(candles)
    cutting = _Cutting(proved, futures)
    last = len(candles) - 1
    decisions = {int(at) for at in decided if 0 <= at < last}
    futures.cuts = futures.cuts or cuts(candles)
    first = _shuffled(range(last)) if every else futures.cuts
    order = [*first, *_shuffled(decisions - set(first))]
    checked = 0
    for cut in order:
        if clock and not every and clock() - began >= limit_s:
            break
        if progress is not None:
            progress(checked, len(order))
        cutting.cut_after(cut)
        checked += 1
    times = candles.open_time_ms
    leaks = (Leak(name, int(times[at]), int(times[cut])) for name, (at, cut) in cutting.earliest().items())
    changed = tuple(sorted(leaks, key=lambda leak: (leak.at_ms, leak.column)))
    return Proof(checked, len(order), len(decisions & set(order[:checked])), len(decisions), changed)


class _Cutting:
    """What changed after the cuts that were made so far. Parts wait until there are `ROWS_AT_ONCE` rows of them."""

    def __init__(self, proved: Provable, futures: Futures) -> None:
        self._proved, self._futures = proved, futures
        count = len(futures.candles)
        self._whole = [(source, proved.columns_of(source, futures.candles)) for source in proved.sources]
        self._parts = proved.parts(_together(own for _, own in self._whole), np.zeros(count, dtype=np.int64))
        self._recent = TAIL + max(TAIL, count // CUTS)
        self._rows = self._recent + proved.reach
        self._waiting: list[tuple[int, Columns]] = []
        self._earliest = dict[str, tuple[int, int]]()

    def cut_after(self, cut: int) -> None:
        """Compare the columns, and have the parts wait."""
        made = [self._futures.columns(self._proved, source, own, cut, self._rows) for source, own in self._whole]
        for name, at in _together(one.changed for one in made).items():
            self._change(name, at, cut)
        self._waiting.append((cut, {name: own[-self._rows :] for one in made for name, own in one.values.items()}))
        if (len(self._waiting) + 1) * self._rows > ROWS_AT_ONCE:
            self._compare_parts()

    def earliest(self) -> dict[str, tuple[int, int]]:
        """Return of each column that changed the position of the earliest change that was seen, and its cut."""
        self._compare_parts()
        return self._earliest

    def _compare_parts(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or not self._parts:
            return
        counts = [self._futures.count(cut) for cut, _ in waiting]
        rows = [min(count, self._rows) for count in counts]
        columns = {name: np.concatenate([own[name] for _, own in waiting]) for name in waiting[0][1]}
        parts = self._proved.parts(columns, np.repeat(np.arange(len(waiting)), rows))
        compared = [
            (cut, max(count - self._recent, 0), end - count)
            for (cut, _), count, end in zip(waiting, counts, np.cumsum(rows).tolist(), strict=True)
        ]  # the cut, the first position that is compared, and what is to be added to find a position in `parts`
        whole = np.concatenate([np.arange(start, cut + 1) for cut, start, _ in compared])
        here = np.concatenate([np.arange(start, cut + 1) + moved for cut, start, moved in compared])
        for name, values in parts.items():
            if first_difference(self._parts[name][whole], values[here]) is None:
                continue
            for cut, start, moved in compared:
                before, after = self._parts[name][start : cut + 1], values[start + moved : cut + 1 + moved]
                if (first := first_difference(before, after)) is not None:
                    self._change(name, start + first, cut)

    def _change(self, name: str, at: int, cut: int) -> None:
        self._earliest[name] = min(self._earliest.get(name, (at, cut)), (at, cut))


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


def _together(mappings: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {name: value for mapping in mappings for name, value in mapping.items()}


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


def _prime_up_to(most: int) -> int:
    """Return the largest prime number up to `most`; 1 where there is none."""
    return next((n for n in range(most, 1, -1) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))), 1)
