"""The heartbeat: one small file in the home by which others see that a runner is alive, and how it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.storage.home import unwritable

STALE_S = 30.0
"""A heartbeat older than this is of a runner that has stopped, or hangs."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a runner says of itself. Times are aware UTC; `problems` are sentences for people."""

    pid: int
    started_at: datetime
    beat_at: datetime
    running: int
    problems: Sequence[str] = ()

    def is_fresh(self, now: datetime) -> bool:
        """True where the runner was alive a moment ago."""
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
        said = {**asdict(beat), "started_at": beat.started_at.isoformat(), "beat_at": beat.beat_at.isoformat()}
        fresh = self._path.with_name(f"{self._path.name}.{beat.pid}.new")
        try:
            fresh.write_text(json.dumps(said), "utf-8")
            fresh.replace(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from None

    def read(self) -> Beat | None:
        """Give the latest heartbeat; None where no runner has left one, or it cannot be read."""
        try:
            said = json.loads(self._path.read_text("utf-8"))
            times = {name: datetime.fromisoformat(said.pop(name)).astimezone(UTC) for name in ("started_at", "beat_at")}
            return Beat(**{**said, **times, "problems": tuple(said["problems"])})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def remove(self) -> None:
        """Take it away, at a runner's orderly end."""
        self._path.unlink(missing_ok=True)
