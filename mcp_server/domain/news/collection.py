"""What is known of collecting by a moment: since when, how each source answers, and when nothing was read at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import DAY_MS

if TYPE_CHECKING:
    from mcp_server.domain.news.item import NewsFetch

READ = ("ok", "unchanged")
"""The statuses of a fetch by which we know what the feed holds; any other is a failure."""

FAILS_FROM = 2
"""From so many failures in a row on a source is said to fail: one alone mends itself."""

GAP_MS = 3_600_000
"""Where nothing was read for longer than this, collection has a gap."""


SETTLING_MS = GAP_MS
"""So long after reading begins, or goes on after a gap, what is first seen may be older: each feed is read for the
first time then, with all that it holds."""

AWAY_MS = 2 * DAY_MS
"""A source that was not read for longer than this begins anew: it brings at once what it told meanwhile."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source stands. Times are Unix ms.

    `begun_ms` are its first fetch that was read, and those that were read after more than `AWAY_MS`, oldest first;
    `read_ms` is the last that was read, None where none ever was. `failures` counts the fetches since `read_ms`, all of
    which failed. `index`: it tells the number of an index, no headlines.
    """

    source: str
    fetched_ms: int
    status: str
    begun_ms: tuple[int, ...]
    read_ms: int | None
    failures: int
    index: bool = False

    @property
    def since_ms(self) -> int | None:
        """The first fetch that was read; None: there is none."""
        return self.begun_ms[0] if self.begun_ms else None


@dataclass(frozen=True, slots=True)
class Collection:
    """What was known of collecting by `until_ms`, of all sources together and of each, by name.

    `since_ms` is the first fetch that was read, None where there is none. `gaps` are spans (from, to) of more than
    `GAP_MS` without a fetch that was read, from one to the next, oldest first; the last may reach until now. Both are
    of headlines: who reads the number of an index has read no news.
    """

    until_ms: int
    since_ms: int | None
    sources: tuple[SourceState, ...]
    gaps: tuple[tuple[int, int], ...]

    @property
    def read_ms(self) -> int | None:
        """The last fetch of headlines that was read, of any source."""
        read = (source.read_ms for source in self.sources if not source.index and source.read_ms is not None)
        return max(read, default=None)

    @property
    def begun_ms(self) -> dict[str, tuple[int, ...]]:
        """When each source was first read, or anew, by its name (Unix ms)."""
        return {source.source: source.begun_ms for source in self.sources}

    def misses(self, fetches: Iterable[NewsFetch]) -> bool:
        """Return whether these later fetches read a source for the first time: is it an index? The store knows."""
        read = {source.source for source in self.sources if source.begun_ms}
        return any(fetch.status in READ and fetch.source not in read for fetch in fetches)

    def continued(self, fetches: Iterable[NewsFetch], until_ms: int) -> Collection:
        """Return what is known at a later moment, by the fetches after `self.until_ms`, oldest first: see `misses`."""
        sources = {source.source: source for source in self.sources}
        gaps, read_ms = [gap for gap in self.gaps if gap[1] < self.until_ms or gap[0] != self.read_ms], self.read_ms
        since_ms = self.since_ms
        for fetch in fetches:
            state = sources[fetch.source] = _after(sources.get(fetch.source), fetch)
            if fetch.status in READ and not state.index:
                if read_ms is not None and fetch.at_ms - read_ms > GAP_MS:
                    gaps.append((read_ms, fetch.at_ms))
                since_ms, read_ms = fetch.at_ms if since_ms is None else since_ms, fetch.at_ms
        if read_ms is not None and until_ms - read_ms > GAP_MS:
            gaps.append((read_ms, until_ms))
        return Collection(until_ms, since_ms, tuple(sources[name] for name in sorted(sources)), tuple(gaps))


def _after(state: SourceState | None, fetch: NewsFetch) -> SourceState:
    source, at_ms, status = fetch.source, fetch.at_ms, fetch.status
    begun_ms, read_ms, failures = (state.begun_ms, state.read_ms, state.failures) if state else ((), None, 0)
    if status not in READ:
        return SourceState(source, at_ms, status, begun_ms, read_ms, failures + 1, state is not None and state.index)
    if read_ms is None or at_ms - read_ms > AWAY_MS:
        begun_ms = (*begun_ms, at_ms)
    return SourceState(source, at_ms, status, begun_ms, at_ms, 0, state is not None and state.index)
