"""What was read of strategy folders: a folder is read again only after its files have changed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from mcp_server.storage.strategies.folders import StrategyFolders

SETTLED_S = 0.05
"""A file that was written less than this ago may be written once more without a new time: its content is not kept."""

Stamp = tuple[tuple[int, int, int], ...]
"""When each file was changed, how large it is, and which one it is."""

NEVER: Stamp = ((-1, -1, -1),)
"""The stamp of what is to be read again."""

T = TypeVar("T")


def stamp_of(*files: Path) -> Stamp:
    """Return the stamps of the files that are there."""
    stamps = []
    for file in files:
        try:
            status = os.lstat(file)
        except OSError:
            continue
        stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(stamps)


def kept_under(stamp: Stamp, now_s: float) -> Stamp:
    """Return the stamp under which a content may be kept: none that is met again where it is too fresh."""
    fresh = any(changed / 1e9 > now_s - SETTLED_S for changed, _, _ in stamp)
    return NEVER if fresh else stamp


class UnchangedFolders(Generic[T]):
    """Gives what `read` returns for each strategy, given its name and whether it is an example.

    Args:
        folders: the strategies of one home.
        read: reads one of them.
        wall_s: the clock of the file system, in seconds.
        lasts: whether what was read may be kept. What failed may not: a file that another program holds for a moment,
            say, can be read soon, though nothing about it has changed.
    """

    def __init__(
        self,
        folders: StrategyFolders,
        read: Callable[[str, bool], T],
        wall_s: Callable[[], float] = time.time,
        *,
        lasts: Callable[[T], bool],
    ) -> None:
        self._folders = folders
        self._read = read
        self._wall_s = wall_s
        self._lasts = lasts
        self._known: dict[str, tuple[Stamp, bool, T]] = {}

    def all(self) -> dict[str, T]:
        """Return what is known of every strategy, by name; one whose files have not changed is not read again."""
        known: dict[str, tuple[Stamp, bool, T]] = {}
        for name, example in self._folders.names().items():
            stamp, before = stamp_of(*self._folders.files(name)), self._known.get(name)
            if before is None or before[:2] != (stamp, example):
                kept, content = kept_under(stamp, self._wall_s()), self._read(name, example)
                before = (kept if self._lasts(content) else NEVER, example, content)
            known[name] = before
        self._known = known
        return {name: content for name, (_, _, content) in known.items()}
