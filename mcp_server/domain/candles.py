"""Candles: the one shape in which market history travels between the outside world, the store and the indicators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from mcp_server.domain.timeframes import MINUTE_MS, candle_open_ms, iso, timeframe_ms
from mcp_server.errors import BadInput

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")
_NO_CANDLE = "A row is no candle.", "Give six numbers: time in ms, open, high, low, close, volume."


@dataclass(frozen=True, slots=True, eq=False)
class GivenColumn:
    """A value for each candle that is known at its close and no part of it; NaN is undefined, and `why` says why."""

    values: Floats
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Candles of one series, oldest first, as parallel arrays of one length.

    Times are open times in Unix ms, strictly increasing; a candle covers [open_time, open_time + timeframe).
    Prices are in quote per base, volume in base; a volume that is not known is NaN. Prices are finite and above 0, open
    and close between low and high. What else is `given` with them, by name, is there as long as nobody merges or
    resamples them.

    Raises:
        BadInput: when the arrays break one of these rules; the message names the first bad candle.
    """

    open_time_ms: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    given: Mapping[str, GivenColumn] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        columns = (self.open, self.high, self.low, self.close, self.volume)
        every = (*columns, *(column.values for column in self.given.values()))
        if any(len(column) != len(self.open_time_ms) for column in every):
            raise BadInput("Candle columns differ in length.", "Give each column one value per candle.")
        if not len(self):
            return
        if not possible_rows(*columns).all():
            for column, fault, bad in faults(*columns):
                _refuse(self.open_time_ms, bad, fault.format(column))
        backwards = np.zeros(len(self), dtype=bool)
        backwards[1:] = np.diff(self.open_time_ms) <= 0
        _refuse(
            self.open_time_ms, backwards, "is not later than the one before it", "Sort the candles and drop duplicates."
        )

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def digest(self) -> bytes:
        """Return 16 bytes that only the same candles have, with the same given columns."""
        columns = [getattr(self, name).tobytes() for name in ("open_time_ms", *CANDLE_COLUMNS)]
        for name, given in sorted(self.given.items()):
            columns += [f"{name}\0{given.why}\0".encode(), given.values.tobytes()]
        return blake2b(b"".join(columns), digest_size=16).digest()

    def given_column(self, name: str) -> Floats:
        """Return the values of a given column.

        Raises:
            BadInput: it is not given.
        """
        if name in self.given:
            return self.given[name].values
        if not len(self):
            return np.empty(0)
        raise BadInput(f"{name!r} is made of news, which is not looked up here.", "Use it in a strategy's rules.")

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float]]) -> "Candles":
        """Build from rows of (open time in Unix ms, open, high, low, close, volume), oldest first."""
        if not rows:
            return cls.empty()
        try:
            values = np.asarray([row[1:6] for row in rows], dtype=np.float64)
            times = np.asarray([row[0] for row in rows], dtype=np.int64)
        except (TypeError, ValueError):
            raise BadInput(*_NO_CANDLE) from None
        if values.ndim != 2 or values.shape[1] != 5:
            raise BadInput(*_NO_CANDLE)
        return cls(times, *(np.ascontiguousarray(values[:, i]) for i in range(5)))

    @classmethod
    def empty(cls) -> "Candles":
        """No candles at all."""
        none = np.empty(0, dtype=np.float64)
        return cls(np.empty(0, dtype=np.int64), none, none, none, none, none)

    def slice(self, start: int | None = None, stop: int | None = None) -> "Candles":
        """Return the candles at the positions [start, stop), as Python slices count."""
        part = slice(start, stop)
        values = (getattr(self, name)[part] for name in CANDLE_COLUMNS)
        given = {name: GivenColumn(column.values[part], column.why) for name, column in self.given.items()}
        return Candles(self.open_time_ms[part], *values, given=given)

    def between(self, start_ms: int, end_ms: int) -> "Candles":
        """Return the candles whose open time is in [start_ms, end_ms) (Unix ms)."""
        first, last = np.searchsorted(self.open_time_ms, [start_ms, end_ms], side="left")
        return self.slice(int(first), int(last))

    def closed_by(self, at_ms: int, timeframe: str) -> "Candles":
        """Return the candles that are closed at the moment `at_ms` (Unix ms): the forming one and later ones go."""
        return self.slice(0, int(np.searchsorted(self.open_time_ms + timeframe_ms(timeframe), at_ms, side="right")))


def iso_times(candles: Candles) -> list[str]:
    """Write the open times as `timeframes.iso` does, many at once."""
    times = candles.open_time_ms
    if (times % MINUTE_MS).any():
        return [iso(int(at)) for at in times]
    return [f"{at}Z" for at in np.datetime_as_string(times.astype("datetime64[ms]"), unit="m")]


def gaps(candles: Candles, timeframe: str) -> list[tuple[int, int]]:
    """List the gaps as (open time of the first missing candle, number of missing candles), oldest first."""
    length = timeframe_ms(timeframe)
    steps = np.diff(candles.open_time_ms) // length
    return [(int(candles.open_time_ms[i]) + length, int(steps[i]) - 1) for i in np.flatnonzero(steps > 1)]


def merge(parts: Sequence[Candles]) -> Candles:
    """Join candles of one series into one, in order of time. No candle may be in two parts."""
    times = np.concatenate([np.empty(0, dtype=np.int64), *(part.open_time_ms for part in parts)])
    order = np.argsort(times, kind="stable")
    columns = [
        np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)])[order] for name in CANDLE_COLUMNS
    ]
    return Candles(times[order], *columns)


def resample(candles: Candles, timeframe: str) -> Candles:
    """Build longer candles from shorter ones of one series.

    Each group of candles within one longer candle becomes: the first open, the highest high, the lowest low, the last
    close, the sum of the volumes. Groups without any candle stay a gap. A group at either end that is not whole is
    built from what is there: give whole groups, and cut with `closed_by`.
    """
    if not len(candles):
        return candles
    length = timeframe_ms(timeframe)
    origin = candle_open_ms(0, timeframe)
    bucket = (candles.open_time_ms - origin) // length
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    ends = np.append(starts[1:], len(candles)) - 1
    return Candles(
        bucket[starts] * length + origin,
        candles.open[starts],
        np.maximum.reduceat(candles.high, starts),
        np.minimum.reduceat(candles.low, starts),
        candles.close[ends],
        np.add.reduceat(candles.volume, starts),
    )


def possible_rows(opened: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> Mask:
    """Return which rows can be candles: those in which `faults` finds nothing. A price of NaN fails the comparisons."""
    inside = (low > 0) & (low <= opened) & (opened <= high) & (low <= close) & (close <= high) & np.isfinite(high)
    return np.asarray(inside & ~(volume < 0) & ~np.isinf(volume), dtype=np.bool_)


def faults(opened: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> Iterator[tuple[str, str, Mask]]:
    """Yield what can be wrong with candles: a column, the fault (`{}` stands for the column), and the rows with it."""
    columns = dict(zip(CANDLE_COLUMNS, (opened, high, low, close, volume), strict=True))
    for name, values in columns.items():
        bad = np.isinf(values) if name == "volume" else ~np.isfinite(values)
        yield name, "has a value that is missing or not finite: its {}", bad
    for name in ("open", "high", "low", "close"):
        yield name, "has a price that is not above 0: its {}", columns[name] <= 0
    yield "high", "has a high below its low", high < low
    for name in ("open", "close"):
        yield name, "has its {} above its high", columns[name] > high
        yield name, "has its {} below its low", columns[name] < low
    yield "volume", "has a negative volume", volume < 0


def _refuse(times: Times, bad: Mask, fault: str, remedy: str = "Correct or drop it.") -> None:
    if bad.any():
        position = int(np.argmax(bad))
        raise BadInput(f"The candle at {iso(int(times[position]))} (position {position}) {fault}.", remedy)
