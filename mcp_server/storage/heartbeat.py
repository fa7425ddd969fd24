"""The heartbeat: a small file in the home that shows others that a runner is alive, and what troubles it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.storage.files import Unreadable, read_object, write_whole
from mcp_server.storage.home import unwritable

STALE_S = 30.0
"""If a heartbeat is older, its runner has stopped, or hangs."""

MOST_BYTES = 100_000_000
"""Each broken strategy is a problem, and its findings may be long."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a runner reports. Times are aware UTC; `problems` are sentences for people."""

    pid: int
    started_at: datetime
    beat_at: datetime
    running: int
    problems: Sequence[str] = ()

    def is_fresh(self, now: datetime) -> bool:
        """Return whether the runner was alive a moment ago."""
        return abs((now - self.beat_at).total_seconds()) <= STALE_S


class Heartbeat:
    """Writes and reads the heartbeat of one home."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, beat: Beat) -> None:
        """Replace the heartbeat, whole or not at all.

        Raises:
            Misconfigured: the home cannot be written.
        """
        values = {**asdict(beat), "started_at": beat.started_at.isoformat(), "beat_at": beat.beat_at.isoformat()}
        try:
            write_whole(self._path, json.dumps(values).encode(), durable=False)
        except OSError as error:
            raise unwritable(self._path, error) from None

    def read(self) -> Beat | None:
        """Return the latest heartbeat; None where no runner has left one, or it cannot be read."""
        try:
            values = read_object(self._path, MOST_BYTES)
            times = {name: datetime.fromisoformat(values[name]).astimezone(UTC) for name in ("started_at", "beat_at")}
            return Beat(**{**values, **times, "problems": tuple(values["problems"])})
        except (OSError, Unreadable, ValueError, TypeError, KeyError, AttributeError):
            return None

    def remove(self) -> None:
        """Remove it, at a runner's orderly end."""
        self._path.unlink(missing_ok=True)
