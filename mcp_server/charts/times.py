"""The time axis: where it is labelled, and with what. All of it is UTC."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mcp_server.domain.candles import Times
from mcp_server.domain.timeframes import DAY_MS, MINUTE_MS, WEEK_MS, from_ms

_SHORT_MS = [MINUTE_MS * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)]
_MONDAY_MS = 4 * DAY_MS
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class TimeTick:
    """One label: at which slot, its text, and whether a new day (of hours), month or year (of days) begins there."""

    slot: int
    text: str
    major: bool


def time_ticks(slots: Times, slot_px: float, least_px: float) -> list[TimeTick]:
    """Choose the densest labels that are at least `least_px` apart.

    Args:
        slots: open times in Unix ms, evenly spaced.
        slot_px: how far apart two slots are drawn.
        least_px: how far apart two labels must be.
    """
    for begins, write in _ladder():
        bucket = begins(slots)
        starts = np.flatnonzero(np.diff(bucket)) + 1
        if len(starts) > 1 and float(np.diff(starts).min()) * slot_px < least_px:
            continue
        if len(starts):
            return [write(int(slot), int(slots[slot])) for slot in starts]
    return []


def _ladder() -> Iterator[tuple[Callable[[Times], Times], Callable[[int, int], TimeTick]]]:
    """List the ways to label, densest first: how times are grouped, and what is written where a group begins."""
    for length in _SHORT_MS:
        yield _every(length, 0), _clock
    for days in (1, 2):
        yield _every(days * DAY_MS, 0), _day
    for weeks in (1, 2):
        yield _every(weeks * WEEK_MS, _MONDAY_MS), _day
    for months in (1, 2, 3, 6):
        yield _months(months), _month
    for years in (1, 2, 5, 10):
        yield _months(12 * years), _month


def _every(length: int, origin: int) -> Callable[[Times], Times]:
    return lambda times: (times - origin) // length


def _months(count: int) -> Callable[[Times], Times]:
    return lambda times: times.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) // count


def _clock(slot: int, at_ms: int) -> TimeTick:
    moment = from_ms(at_ms)
    if moment.hour == 0 and moment.minute == 0:
        return TimeTick(slot, f"{moment.day} {_MONTHS[moment.month - 1]}", True)
    return TimeTick(slot, f"{moment:%H:%M}", False)


def _day(slot: int, at_ms: int) -> TimeTick:
    moment = from_ms(at_ms)
    return TimeTick(slot, f"{moment.day} {_MONTHS[moment.month - 1]}", moment.day == 1)


def _month(slot: int, at_ms: int) -> TimeTick:
    moment = from_ms(at_ms)
    return TimeTick(slot, _MONTHS[moment.month - 1] if moment.month > 1 else f"{moment.year}", moment.month == 1)
