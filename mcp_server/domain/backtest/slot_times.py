"""All slots of years at once, as `schedule.slots` yields them one by one.

Where the clocks of a cron's zone keep their offset, its slots are days times minutes of the day, and numpy multiplies
them: croniter finds 20,000 slots a second, and a cron of every five minutes has 100,000 a year. Around a change of the
clocks the scheduler's own iteration is asked.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, takewhile
from operator import ge
from zoneinfo import ZoneInfo

import numpy as np

from mcp_server.domain.candles import Times
from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import DAY_MS, MINUTE_MS, from_ms, timeframe_ms, to_ms


def slot_times(config: Config, start_ms: int, end_ms: int) -> Times:
    """Return the slots in (start, end], in Unix ms."""
    if config.interval is not None:
        length = timeframe_ms(config.interval)
        return np.arange(start_ms // length + 1, end_ms // length + 1, dtype=np.int64) * length
    if end_ms <= start_ms:
        return np.empty(0, dtype=np.int64)
    assert config.cron is not None  # noqa: S101 (a config has an interval or a cron)
    by_wall_clock = _by_wall_clock(config.cron, start_ms, end_ms)
    parts = []
    for begin_ms, stop_ms, offset_ms in _stretches(config.timezone, start_ms, end_ms):
        if offset_ms is None:
            moments = map(to_ms, slots(config, from_ms(begin_ms)))
            parts.append(np.fromiter(takewhile(partial(ge, stop_ms), moments), dtype=np.int64))
        else:
            first, last = np.searchsorted(by_wall_clock, [begin_ms + offset_ms, stop_ms + offset_ms], side="right")
            parts.append(by_wall_clock[first:last] - offset_ms)
    return np.concatenate(parts)


def _by_wall_clock(cron: str, start_ms: int, end_ms: int) -> Times:
    """Return the times of a cron by a wall clock that is never changed, and those of two days before and after."""
    from croniter import croniter

    minute, hour, *_ = croniter.expand(cron)[0]
    minutes = np.arange(60) if "*" in minute else np.array(minute)
    hours = np.arange(24) if "*" in hour else np.array(hour)
    of_day = np.add.outer(hours * 60, minutes).ravel() * MINUTE_MS
    day_fields = " ".join(cron.split()[2:])
    midnights = map(to_ms, croniter(f"0 0 {day_fields}", from_ms(start_ms - 2 * DAY_MS)).all_next(datetime))
    days = np.fromiter(takewhile(lambda at_ms: at_ms < end_ms + 2 * DAY_MS, midnights), dtype=np.int64)
    times: Times = np.add.outer(days, of_day).ravel()
    return times


def _stretches(timezone: str, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int | None]]:
    """Cut (start, end] where the clocks of a zone change: each part with its offset from UTC, in ms.

    The offset is None for the day of a change and for the day after it, which may repeat an hour of it.
    """
    zone = ZoneInfo(timezone)
    edges = [start_ms, *range(start_ms - start_ms % DAY_MS + DAY_MS, end_ms, DAY_MS), end_ms]
    before = [start_ms - DAY_MS, *edges]
    offsets = [to_ms(from_ms(at).astimezone(zone).replace(tzinfo=UTC)) - at for at in before]
    kept = [offsets[i + 1] if offsets[i] == offsets[i + 1] == offsets[i + 2] else None for i in range(len(edges) - 1)]
    for offset, days in groupby(range(len(kept)), key=kept.__getitem__):
        numbers = list(days)
        yield edges[numbers[0]], edges[numbers[-1] + 1], offset
