"""Other futures of the same candles, and what columns come to with them.

A cut keeps all candles up to it, and continues them by at most `TAIL` made-up ones. What an indicator comes to after a
cut is the same for every strategy that uses it, so strategies over the same candles can share it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, Floats, GivenColumn, Times

Columns = Mapping[str, npt.NDArray[Any]]
"""Name → one value for each candle: indicators, parts of rules, decisions."""

TAIL = 500
_UNDEFINED = 0.1
"""This share of the values that are made up of a given column."""


class Provable(Protocol):
    """Columns over candles, and what is made of these: what is to be proved not to look ahead."""

    @property
    def sources(self) -> Sequence[Any]:
        """What columns are computed of. Two of the same `repr` have the same columns over the same candles."""

    @property
    def reach(self) -> int:
        """How many candles before its own each value of `parts` looks back to."""

    def columns_of(self, source: Any, candles: Candles) -> Columns:
        """Compute the columns of one source."""

    def parts(self, columns: Columns, stretch: Times) -> Columns:
        """Compute what is made of all columns. Rows of another `stretch` are of other candles: they are not seen."""


@dataclass(frozen=True, slots=True, eq=False)
class CutColumns:
    """Columns of one source with another future after a cut: their last values.

    `changed` has those that differ from what they are in the whole series, with the first position up to the cut at
    which they do.
    """

    values: Columns
    changed: Mapping[str, int]


class Futures:
    """Another future after each cut of a series, and the columns with it. Any number of threads may use it.

    Args:
        candles: the series.
        most_bytes: so much of what was computed is kept, to be shared by what is proved later over the same candles.
    """

    def __init__(self, candles: Candles, most_bytes: int = 0) -> None:
        self.candles = candles
        self.cuts: Sequence[int] = ()
        """Which positions to cut after: chosen by the first proof."""
        self._most_bytes, self.kept_bytes = most_bytes, 0
        self._kept = dict[str, dict[int, CutColumns]]()  # the source that was used last is the last one
        self._made_up = dict[int, Candles]()
        self._last: tuple[int, Candles] | None = None
        self._changing = Lock()

    def columns(self, proved: Provable, source: Any, whole: Columns, cut: int, rows: int) -> CutColumns:
        """Return the columns of a source with another future after a cut.

        Args:
            proved: what computes them.
            source: one of its sources.
            whole: the columns of this source over the series.
            cut: the position of the last candle that stays.
            rows: at least so many of their last values are wanted.
        """
        key = repr(source)
        kept = self._kept.get(key, {}).get(cut)
        if kept is not None and all(len(values) >= min(rows, self.count(cut)) for values in kept.values.values()):
            return kept
        changed, last = dict[str, int](), dict[str, npt.NDArray[Any]]()
        for name, values in proved.columns_of(source, self._after(cut)).items():
            first = first_difference(whole[name][: cut + 1], values[: cut + 1])
            changed |= {} if first is None else {name: first}
            last[name] = values[-rows:]
        made = CutColumns(last, changed)
        if self._most_bytes:
            self._keep(key, cut, CutColumns({name: values.copy() for name, values in last.items()}, changed))
        return made

    def count(self, cut: int) -> int:
        """Count the candles with another future after a cut."""
        return min(cut + 1 + TAIL, len(self.candles))

    def _after(self, cut: int) -> Candles:
        """Return the candles with another future after a cut: the sources of one cut are asked for together."""
        if (last := self._last) is not None and last[0] == cut:
            return last[1]
        made_up = self._made_up.get(cut)
        if made_up is None:
            made_up = _made_up(self.candles, cut)
            if self._most_bytes:
                self._made_up[cut] = made_up
        other = _continued(self.candles, cut, made_up)
        self._last = cut, other
        return other

    def _keep(self, key: str, cut: int, made: CutColumns) -> None:
        with self._changing:
            own = self._kept.pop(key, {})
            before = _size(own[cut]) if cut in own else 0
            added = _size(made) - before
            while self._kept and self.kept_bytes + added > self._most_bytes:
                oldest = self._kept.pop(next(iter(self._kept)))
                self.kept_bytes -= sum(map(_size, oldest.values()))
            if self.kept_bytes + added <= self._most_bytes:
                own[cut] = made
                self.kept_bytes += added
            self._kept[key] = own


def another_future(candles: Candles, cut: int) -> Candles:
    """Return the candles up to position `cut`, and after them a random walk at the same times, all columns changed.

    It is the same for the same cut. How far it goes differs from cut to cut: some stay near, some leave every price
    and volume of the series behind. Given columns go on with any values.
    """
    return _continued(candles, cut, _made_up(candles, cut))


def first_difference(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> int | None:
    """Return the first position at which two arrays of one length and type differ by a bit; NaN equals NaN."""
    bits = f"u{before.itemsize}"
    if np.array_equal(before.view(bits), after.view(bits)):
        return None
    same = (before == after) & (np.signbit(before) == np.signbit(after))
    same |= (before != before) & (after != after)  # noqa: PLR0124 - what differs from itself is NaN
    return None if same.all() else int(np.argmin(same))


def _made_up(candles: Candles, cut: int) -> Candles:
    times = candles.open_time_ms[cut + 1 : cut + 1 + TAIL]
    count = len(times)
    random = np.random.default_rng(cut)
    size = 0.01 * np.exp(1.5 * random.standard_normal())  # of a step, as a share of the price
    steps = size * random.standard_t(3, (2, count)).clip(-20, 20)
    steps[0, :1] *= 10
    path = float(candles.close[cut]) * np.exp(np.cumsum(steps.T.ravel()).clip(-30, 30))
    opened, close = path[::2], path[1::2]
    beyond = np.exp((size * random.exponential(1, (2, count))).clip(0, 20))
    high, low = np.maximum(opened, close) * beyond[0], np.minimum(opened, close) / beyond[1]
    volume = _usual(candles.volume[max(cut - 99, 0) : cut + 1]) * np.exp(2 * random.standard_normal(count))
    given = {}
    for name in candles.given:
        undefined = random.random(count) < _UNDEFINED
        given[name] = GivenColumn(np.where(undefined, np.nan, random.uniform(0, 100, count)))
    return Candles(times, opened, high, low, close, volume, given=given)


def _continued(candles: Candles, cut: int, after: Candles) -> Candles:
    """Return the candles up to a position, and others after them."""
    stays = slice(cut + 1)
    columns = (np.concatenate([getattr(candles, name)[stays], getattr(after, name)]) for name in CANDLE_COLUMNS)
    given = {
        name: GivenColumn(np.concatenate([column.values[stays], after.given[name].values]))
        for name, column in candles.given.items()
    }
    return Candles(candles.open_time_ms[: cut + 1 + len(after)], *columns, given=given)


def _size(columns: CutColumns) -> int:
    return sum(values.nbytes for values in columns.values.values())


def _usual(volume: Floats) -> float:
    known = volume[volume > 0]
    return float(np.median(known)) if len(known) else 1.0
