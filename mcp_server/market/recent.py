"""The newest closed candles: an exchange may still correct them, so they are asked for again before they are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import iso

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import Series

AGAIN_MS = 15_000
"""They are asked for again after this long at the earliest."""

MENTION_MS = 600_000
"""A correction is mentioned for this long after it was noticed."""

_MOST_SERIES = 1_024
_MOST_CANDLES = 20
_MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class _Recent:
    """What was last answered of a series. `candles` may hold older ones than `covered`: to compare with later ones."""

    asked_ms: int
    covered: Range
    candles: Candles
    corrections: Mapping[int, tuple[int, str]]
    """Open time → when the correction was noticed (Unix ms), and what changed."""


class RecentCandles:
    """The candles of each series that were answered and may still change."""

    def __init__(self) -> None:
        self._series: OrderedDict[Series, _Recent] = OrderedDict()

    def fresh(self, series: Series, now_ms: int) -> tuple[Range, Candles] | None:
        """Return the range that was asked for less than `AGAIN_MS` ago, and its candles."""
        recent = self._series.get(series)
        if recent is None or not 0 <= now_ms - recent.asked_ms < AGAIN_MS:
            return None
        return recent.covered, recent.candles.between(*recent.covered)

    def keep(self, series: Series, asked_ms: int, fetched: tuple[Range, Candles], covered: Range) -> None:
        """Remember the part of an answer that may still change, and note what differs from earlier answers.

        Args:
            series: whose answer it is.
            asked_ms: when the exchange was asked, in Unix ms.
            fetched: the range that was asked for, and all of its closed candles.
            covered: the part of this range that may still change; it may be empty.
        """
        from mcp_server.domain.candles import Candles, merge

        (start, end), candles = fetched
        before = self._series.pop(series, None) or _Recent(0, (0, 0), Candles.empty(), {})
        seen = before.candles.between(start, end)
        if covered[0] >= covered[1] and not len(seen):  # much older candles: nothing is known about the newest
            self._series[series] = before
            return
        others = [before.candles.between(0, start), before.candles.between(end, 1 << 62)]
        kept = merge([*others, candles.between(*covered)])
        corrections = {**before.corrections, **_differences(seen, candles, asked_ms)}
        young = {at: known for at, known in corrections.items() if 0 <= asked_ms - known[0] <= MENTION_MS}
        self._series[series] = _Recent(asked_ms, covered, kept.slice(max(len(kept) - _MOST_CANDLES, 0)), young)
        if len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)

    def corrections(self, series: Series, within: Range, now_ms: int) -> str | None:
        """Return a sentence on the candles of a range that were corrected lately."""
        recent = self._series.get(series)
        texts = [
            f"{iso(opened)} ({text})"
            for opened, (noticed_ms, text) in sorted(recent.corrections.items() if recent else ())
            if within[0] <= opened < within[1] and 0 <= now_ms - noticed_ms <= MENTION_MS
        ]
        if not texts:
            return None
        more = f" and {len(texts) - _MOST_LISTED} more" if len(texts) > _MOST_LISTED else ""
        listed = ", ".join(texts[-_MOST_LISTED:])
        return f"{series.exchange} has corrected {series.timeframe} candles that were answered before: {listed}{more}."


def _differences(before: Candles, after: Candles, noticed_ms: int) -> dict[int, tuple[int, str]]:
    """Describe each candle that has other values than before: by its close, or else by what else changed."""
    rows = {int(opened): position for position, opened in enumerate(after.open_time_ms)}
    differences = {}
    for position, opened in enumerate(before.open_time_ms.tolist()):
        for column in ("close", "volume", "high", "low", "open"):
            old = float(getattr(before, column)[position])
            new = float(getattr(after, column)[rows[opened]]) if opened in rows else old
            if new != old and not (isnan(new) and isnan(old)):
                differences[opened] = (noticed_ms, f"{column} {old:.12g}, now {new:.12g}")
                break
    return differences
