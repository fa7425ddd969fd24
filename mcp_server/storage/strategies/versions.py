"""The versions of strategies that were replaced: one folder each, never changed."""

import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, NotFound
from mcp_server.storage.home import unwritable
from mcp_server.storage.strategies.files import read_both, write_both
from mcp_server.storage.strategies.names import AGENTS, CONFIG

VERSION_PATTERN = r"^([0-9a-f]{12}|broken-[0-9]{1,20})$"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that was replaced, and when it was written."""

    version: str
    written_at: datetime


def written_at(folder: Path) -> datetime:
    """Return when the files of a version were written; a folder's own time moves with any other file in it.

    Raises:
        OSError: there is no such folder.
    """
    files = [folder / name for name in (CONFIG, AGENTS) if os.path.lexists(folder / name)]
    latest_ns = max(file.lstat().st_mtime_ns for file in files or [folder])
    return datetime.fromtimestamp(latest_ns / 1e9, UTC)


class KeptVersions:
    """The kept versions of one home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def usable(self, name: str) -> bool:
        """Return whether versions of a strategy can be kept: what a link leads to is not written."""
        return not self._folder.is_symlink() and not (self._folder / name).is_symlink()

    def check(self, name: str) -> None:
        """Raise `Misconfigured` where versions of a strategy could not be kept, and so nothing may be replaced."""
        if not self.usable(name):
            link = self._folder if self._folder.is_symlink() else self._folder / name
            raise Misconfigured(f"{str(link)!r} is a symbolic link.", "Put the folder itself in its place.")

    def of(self, name: str) -> list[Kept]:
        """List the kept versions of a strategy, the latest written first."""
        parent = self._folder / name
        if not re.fullmatch(NAME_PATTERN, name) or not self.usable(name):
            return []
        try:
            entries = [entry for entry in parent.iterdir() if re.fullmatch(VERSION_PATTERN, entry.name)]
            kept = [Kept(entry.name, written_at(entry)) for entry in entries]
        except OSError:
            return []
        return sorted(kept, key=lambda one: (one.written_at, one.version), reverse=True)

    def read(self, name: str, version: str) -> Strategy:
        """Read a version that was replaced.

        Raises:
            NotFound: there is none; the error names those that exist.
            InvalidStrategy: it was broken by hand.
        """
        return parse_strategy(name, *self.content(name, version))

    def content(self, name: str, version: str) -> tuple[Any, Any]:
        """Return the JSON of both files of a version that was replaced, valid or not; None for a missing agents.json.

        Raises:
            NotFound: there is none; the error names those that exist.
        """
        known = [kept.version for kept in self.of(name)]
        if version not in known:
            remedy = nearest(version, known) if known else "None was replaced yet."
            raise NotFound(f"{name!r} has no earlier version {version!r}.", remedy)
        return read_both(self._folder / name / version, name)

    def copy(self, strategy: Strategy) -> None:
        """Keep a version that is about to run, so that it stays whatever happens to its folder.

        Raises:
            Misconfigured: it cannot be written.
        """
        self.check(strategy.name)
        try:
            self._copy(strategy, self._folder / strategy.name / strategy.version)
        except OSError as error:
            raise unwritable(self._folder / strategy.name, error) from None

    def _copy(self, strategy: Strategy, kept: Path) -> None:
        if kept.exists():
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copying-", dir=kept.parent) as holder:
            fresh = Path(holder) / strategy.version
            fresh.mkdir()
            write_both(fresh, strategy)
            try:
                fresh.rename(kept)
            except OSError:
                if not kept.exists():  # else another process has kept it in the meantime
                    raise

    def keep(self, folder: Path, name: str, version: str) -> None:
        """Move a folder here, unless the same version is here already."""
        kept = self._folder / name / version
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            folder.rename(kept)
