"""The strategy folders of the home, looked at again every few seconds, each as it was last whole.

A broken edit changes nothing of what runs: the last good version goes on, and its owner is told.
"""

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput
from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders

LATEST_S = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
"""Files that claim a later time than this count as from then: a date cannot hold much more."""

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""Of each of both files: when it was changed, how large it is, and which one it is."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """A strategy as it was last whole. `changed_at` (aware): when its files last changed; `problem`: a broken edit."""

    strategy: Strategy | None
    changed_at: datetime
    problem: str | None = None


class StrategyWatch:
    """Reads the strategy folders of one home, each again only when its files have changed."""

    def __init__(self, home: Home, folders: StrategyFolders) -> None:
        self._folder = home.strategies
        self._folders = folders
        self._stamps: dict[str, Stamp] = {}
        self.folder_states: dict[str, FolderState] = {}

    def look(self, remembered: Mapping[str, Strategy]) -> list[str]:
        """Read what has changed; return the names of the strategies that changed, came or went, in order of name.

        Args:
            remembered: what ran before this program started: it goes on where a folder is broken from the beginning.
        """
        stamps = self._present()
        changed = sorted(
            name for name in stamps.keys() | self._stamps.keys() if stamps.get(name) != self._stamps.get(name)
        )
        states = {name: state for name, state in self.folder_states.items() if name in stamps}
        for name in changed:
            if name in stamps:
                states[name] = self._read(name, stamps[name], remembered)
        # In one step: this is a thread, and others look at it meanwhile.
        self.folder_states, self._stamps = states, stamps
        return changed

    def _present(self) -> dict[str, Stamp]:
        own = [name for name, example in self._folders.names().items() if not example]
        stamps = {name: stamp for name in own if (stamp := _stamp(self._folder / name)) is not None}
        for name in self._stamps.keys() - stamps.keys():
            if not _is_gone(self._folder / name):  # it could not be looked at: that is no reason to end it
                stamps[name] = self._stamps[name]
        return stamps

    def _read(self, name: str, stamp: Stamp, remembered: Mapping[str, Strategy]) -> FolderState:
        changed_at = datetime.fromtimestamp(min(max(changed for changed, _, _ in stamp) / 1e9, LATEST_S), UTC)
        try:
            return FolderState(self._folders.read(name), changed_at)
        except Exception as error:
            if not isinstance(error, BadInput):  # a slip of ours, and no reason to hold up the others
                logger.exception("reading %s", name)
            before = self.folder_states.get(name)
            last_good = before.strategy if before else remembered.get(name)
            return FolderState(last_good, changed_at, str(error))


def _stamp(folder: Path) -> Stamp | None:
    stamp = []
    for file in (folder / "config.json", folder / "agents.json"):
        try:
            status = os.lstat(file)
        except OSError:
            continue
        stamp.append((status.st_mtime_ns, status.st_size, status.st_ino))
    try:
        return tuple(stamp) or ((os.lstat(folder).st_mtime_ns, 0, 0),)
    except OSError:
        return None


def _is_gone(folder: Path) -> bool:
    try:
        return not stat.S_ISDIR(os.stat(folder).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
