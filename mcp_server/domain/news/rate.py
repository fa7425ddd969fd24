"""News as numbers for rules: how many stories an hour, and the Fear & Greed index, at given times.

Each value rests only on what was first seen by its own time, and on when feeds were read by then, so that later news
never change it. Where the window of a value was not wholly watched, there is no value: a count of half of it would be
wrong and look right.
"""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Floats, Mask, Times
from mcp_server.domain.news.collection import SETTLING_MS, Collection
from mcp_server.domain.timeframes import iso

HOUR_MS = 3_600_000
LONGEST_GAP_MS = HOUR_MS
"""Collection goes on as long as some feed is read again after at most this long."""

OLDEST_INDEX_MS = 48 * HOUR_MS
"""The index is of a day: one that was first seen longer ago says nothing of now."""

MOST_HOURS = 720

Spans = npt.NDArray[np.int64]
"""Times of collection, of shape (n, 2), oldest first: the first and the last time at which a feed was read, with no gap
longer than `LONGEST_GAP_MS` between them. Unix ms."""


def spans_of(collection: Collection) -> Spans:
    """Return when news was collected; of what is later nothing is known."""
    if collection.since_ms is None:
        return np.empty((0, 2), dtype=np.int64)
    gaps, until_ms = collection.gaps, collection.until_ms
    starts = [collection.since_ms, *(end for _, end in gaps)]
    ends = [*(start for start, _ in gaps), until_ms]
    if gaps and gaps[-1][1] >= until_ms:
        starts.pop()
        ends.pop()
    return np.array([*zip(starts, ends, strict=True)], dtype=np.int64)


def per_hour(seen_ms: Times, collected: Spans, times_ms: Times, hours: int) -> Floats:
    """Return how many stories were first seen in the hours before each time, divided by these hours.

    Args:
        seen_ms: when each story was first seen (Unix ms), in rising order.
        collected: when news was collected.
        times_ms: n times T (Unix ms), in any order.
        hours: the window is (T - hours, T].

    Returns:
        n values; NaN where collection, an hour after it began or went on, had not lasted for the window, and where the
        last reading by T was longer than an hour ago.
    """
    begin_ms = times_ms - hours * HOUR_MS
    count = np.searchsorted(seen_ms, times_ms, side="right") - np.searchsorted(seen_ms, begin_ms, side="right")
    return np.where(_watched(collected, begin_ms, times_ms), count / hours, np.nan)


def latest(seen_ms: Times, values: Floats, times_ms: Times) -> Floats:
    """Return the last of the values that were first seen by each time.

    Args:
        seen_ms: when each value was first seen (Unix ms), in rising order; of several at once the last one counts.
        values: as many.
        times_ms: n times (Unix ms), in any order.

    Returns:
        n values; NaN where none had been seen, or the last one longer than `OLDEST_INDEX_MS` ago.
    """
    place = np.searchsorted(seen_ms, times_ms, side="right") - 1
    known = np.append(values, np.nan)[place]  # -1 takes the last one
    age_ms = times_ms - np.append(seen_ms, np.int64(0))[place]
    return np.where(age_ms <= OLDEST_INDEX_MS, known, np.nan)


def why_no_rate(collected: Spans, at_ms: int, hours: int) -> str:
    """Say in a sentence why `per_hour` has no value at a time, from what was known by then."""
    begun = collected[collected[:, 0] <= at_ms]
    if not len(begun):
        return f"No news had been collected by {iso(at_ms)}."
    start_ms, last_ms = int(begun[-1, 0]), int(begun[-1, 1])
    if at_ms - last_ms > LONGEST_GAP_MS:
        return f"No news was collected after {iso(last_ms)}."
    ready = f"so a rate of {hours} h has a value from {iso(start_ms + SETTLING_MS + hours * HOUR_MS)} on."
    if len(begun) == 1:
        return f"News has been collected since {iso(start_ms)}, {ready}"
    return f"No news was collected from {iso(int(begun[-2, 1]))} to {iso(start_ms)}, {ready}"


def why_no_index(seen_ms: int | None, at_ms: int) -> str:
    """Say in a sentence why `latest` has no value at a time at which the last one had been seen at `seen_ms`."""
    if seen_ms is None:
        return f"The Fear & Greed index had not been collected by {iso(at_ms)}."
    return f"The Fear & Greed index was last collected at {iso(seen_ms)}, more than 48 h before {iso(at_ms)}."


def _watched(collected: Spans, begin_ms: Times, end_ms: Times) -> Mask:
    """Return whether one span of collection, without its first hour, covers each window."""
    place = np.searchsorted(collected[:, 0], begin_ms - SETTLING_MS, side="right") - 1
    last_ms = np.append(collected[:, 1], np.int64(0))[place]  # -1 takes the last one
    return np.asarray((place >= 0) & (end_ms - last_ms <= LONGEST_GAP_MS), dtype=np.bool_)
