"""What is known of collecting by a moment: since when, how each source answers, and when nothing was read at all."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server.domain.news.item import NewsFetch

READ = ("ok", "unchanged")
"""The statuses of a fetch by which we know what the feed holds; any other is a failure."""

FAILS_FROM = 2
"""From so many failures in a row on a source is said to fail: one alone mends itself."""

GAP_MS = 3_600_000
"""Where nothing was read for longer than this, collection has a gap."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source stands. Times are Unix ms.

    `since_ms` is its first fetch that was read, `read_ms` its last one; both None where none ever was. `failures`
    counts the fetches since `read_ms`, all of which failed.
    """

    source: str
    fetched_ms: int
    status: str
    since_ms: int | None
    read_ms: int | None
    failures: int


@dataclass(frozen=True, slots=True)
class Collection:
    """What was known of collecting by `until_ms`, of all sources together and of each, by name.

    `since_ms` is the first fetch that was read, None where there is none. `gaps` are spans (from, to) of more than
    `GAP_MS` without a fetch that was read, from one to the next, oldest first; the last may reach until now.
    """

    until_ms: int
    since_ms: int | None
    sources: tuple[SourceState, ...]
    gaps: tuple[tuple[int, int], ...]

    @property
    def read_ms(self) -> int | None:
        """The last fetch that was read, of any source."""
        return max((source.read_ms for source in self.sources if source.read_ms is not None), default=None)

    def continued(self, fetches: Iterable[NewsFetch], until_ms: int) -> "Collection":
        """Return what is known at a later moment, by the fetches after `self.until_ms`, oldest first."""
        sources = {source.source: source for source in self.sources}
        gaps, read_ms = [gap for gap in self.gaps if gap[1] < self.until_ms or gap[0] != self.read_ms], self.read_ms
        since_ms = self.since_ms
        for fetch in fetches:
            sources[fetch.source] = _after(sources.get(fetch.source), fetch)
            if fetch.status in READ:
                if read_ms is not None and fetch.at_ms - read_ms > GAP_MS:
                    gaps.append((read_ms, fetch.at_ms))
                since_ms, read_ms = fetch.at_ms if since_ms is None else since_ms, fetch.at_ms
        if read_ms is not None and until_ms - read_ms > GAP_MS:
            gaps.append((read_ms, until_ms))
        return Collection(until_ms, since_ms, tuple(sources[name] for name in sorted(sources)), tuple(gaps))


def _after(state: SourceState | None, fetch: NewsFetch) -> SourceState:
    was_read = fetch.status in READ
    since_ms, read_ms, failures = (state.since_ms, state.read_ms, state.failures) if state else (None, None, 0)
    if was_read:
        since_ms, read_ms, failures = fetch.at_ms if since_ms is None else since_ms, fetch.at_ms, -1
    return SourceState(fetch.source, fetch.at_ms, fetch.status, since_ms, read_ms, failures + 1)
