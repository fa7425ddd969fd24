"""The heartbeat: a small file in the home that shows others that a runner is alive, and what troubles it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from mcp_server.storage.files import Unreadable, put_aside, read_state, write_whole
from mcp_server.storage.home import unwritable

STALE_S = 30.0
"""If a heartbeat is older, its runner has stopped, or hangs."""

MOST_BYTES = 100_000_000
"""Each broken strategy is a problem, and its findings may be long."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a runner reports. Times are aware UTC; `problems` are sentences for people.

    `due` has each strategy that is scheduled, and when its next slot comes due; None: an older runner does not say.
    `page` tells a person where the page is; empty: its server is elsewhere, or not up yet. `journal_away`: the first of
    `problems` is that no slot can be claimed, as the journal cannot be used.
    """

    pid: int
    started_at: datetime
    beat_at: datetime
    running: int
    problems: tuple[str, ...] = ()
    due: Mapping[str, datetime] | None = None
    page: str = ""
    journal_away: bool = False

    def is_fresh(self, now: datetime) -> bool:
        """Return whether the runner was alive a moment ago."""
        return abs((now - self.beat_at).total_seconds()) <= STALE_S


class Heartbeat:
    """Writes and reads the heartbeat of one home."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, beat: Beat) -> None:
        """Replace the heartbeat, whole or not at all. A folder of its name goes to `broken/`.

        Raises:
            Misconfigured: the home cannot be written.
        """
        try:
            if self._path.is_dir() and not self._path.is_symlink():
                put_aside(self._path)
            write_whole(self._path, _shape().dump_json(beat), durable=False)
        except OSError as error:
            raise unwritable(self._path, error) from None

    def read(self) -> Beat | None:
        """Return the latest heartbeat; None where no runner has left one, or it cannot be read."""
        try:
            beat = read_state(self._path, _shape(), MOST_BYTES)
            started_at, beat_at = (moment.astimezone(UTC) for moment in (beat.started_at, beat.beat_at))
            due = None if beat.due is None else {name: moment.astimezone(UTC) for name, moment in beat.due.items()}
            return replace(beat, started_at=started_at, beat_at=beat_at, due=due)
        except (OSError, Unreadable, OverflowError):
            return None

    def remove(self) -> None:
        """Remove it, at a runner's orderly end. What cannot be removed is no reason to end in another way."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


@cache
def _shape() -> TypeAdapter[Beat]:
    return TypeAdapter(Beat)
