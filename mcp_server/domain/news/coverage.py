"""What an answer rests on: which sources were read in the hours that are asked about, and what is missing of them."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from mcp_server.domain.news.collection import FAILS_FROM, SETTLING_MS, Collection, SourceState
from mcp_server.domain.news.rate import HOUR_MS, Spans
from mcp_server.domain.timeframes import DAY_MS, MINUTE_MS, iso

MOST_GAPS = 3
"""So many gaps are named; of more it is said how many."""

USUAL_DAYS = 30


def minute_of(at_ms: int) -> str:
    """Write the minute in which a moment was."""
    return iso(at_ms // MINUTE_MS * MINUTE_MS)


def second_of(at_ms: int) -> str:
    """Write the whole second by which something was seen: an answer as of then has it."""
    return iso(-(-at_ms // 1000) * 1000)


def failed(sources: Iterable[SourceState]) -> dict[str, str]:
    """Return the sources that fail, several times in a row or ever since they were first asked: how, and since when."""
    return {
        source.source: _since(source) for source in sources if source.failures >= FAILS_FROM or source.read_ms is None
    }


def _since(source: SourceState) -> str:
    return f"{source.status}, " + ("never read" if source.read_ms is None else f"last read {minute_of(source.read_ms)}")


def unread(sources: Sequence[SourceState], after_ms: int) -> str | None:
    """Say why there is no answer, where none of the sources was read after a moment; None: one was."""
    last_ms = max((source.read_ms for source in sources if source.read_ms is not None), default=None)
    if last_ms is not None and last_ms > after_ms:
        return None
    when = "never" if last_ms is None else f"last at {minute_of(last_ms)}"
    tried = [source for source in sources if source.fetched_ms > after_ms]
    how = "; ".join(f"{source.source}: {source.status}" for source in tried[:MOST_GAPS])
    return f"No source of news was read in these hours; {when}." + (f" All requests failed ({how})." if how else "")


def missing(collection: Collection, after_ms: int) -> list[str]:
    """Say what was not collected after a moment, in sentences."""
    said = []
    if collection.since_ms is not None and collection.since_ms > after_ms:
        said.append(f"News was collected only from {minute_of(collection.since_ms)} on.")
    gaps = [gap for gap in collection.gaps if gap[1] > after_ms]
    for start_ms, end_ms in gaps[:MOST_GAPS]:
        until = "" if end_ms >= collection.until_ms else f" to {minute_of(end_ms)}"
        said.append(f"Nothing was collected from {minute_of(start_ms)}{until or ' on'}.")
    if len(gaps) > MOST_GAPS:
        said.append(f"{len(gaps) - MOST_GAPS} more gaps.")
    return said


def usual(begun_ms: Sequence[int], collected: Spans, until_ms: int) -> tuple[float | None, float]:
    """Return how many stories an hour were usual in the 30 days before a moment, and how many days that rests on.

    Gaps in collection, and the first hour after each, are left out. None: that leaves less than a day.

    Args:
        begun_ms: when each story that counts began (Unix ms), in rising order.
        collected: the spans of time in which news was collected.
        until_ms: the moment (Unix ms).
    """
    count = hours = 0.0
    for begun, end_ms in collected.tolist():
        start_ms = max(begun + SETTLING_MS, until_ms - USUAL_DAYS * DAY_MS)
        if end_ms > start_ms:
            hours += (end_ms - start_ms) / HOUR_MS
            count += bisect_right(begun_ms, end_ms) - bisect_right(begun_ms, start_ms)
    return (count / hours if hours >= 24 else None), hours / 24
