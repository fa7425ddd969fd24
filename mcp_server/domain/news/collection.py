"""What is known of collecting by a moment: since when, how each source answers, and when nothing was read at all."""

from dataclasses import dataclass

READ = ("ok", "unchanged")
"""The statuses of a fetch by which we know what the feed holds; any other is a failure."""

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
