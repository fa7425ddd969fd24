"""Strategies that were removed: each folder is moved aside whole, and can be brought back."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput, Misconfigured, NotFound
from mcp_server.storage.strategies.folders import StrategyFolders


class RemovedStrategies:
    """The removed strategies of one home, under `strategies/.removed/NAME/TIME/`.

    Both methods raise as a write of `StrategyFolders` does; then nothing was changed.
    """

    def __init__(self, own: Path, folders: StrategyFolders) -> None:
        self._own = own
        self._folders = folders
        self._aside = own / ".removed"

    def remove(self, name: str, now: datetime) -> None:
        """Move a strategy's folder aside, whole and in one step; its version is kept, so that its runs can be judged.

        Raises:
            NotFound: there is no such strategy.
            BadInput: it is an example.
        """

        def move() -> None:
            self.check(name)
            listed = self._folders.one(name, example=False)
            if listed.strategy is not None:
                self._folders.versions.copy(listed.strategy)
            target = self._aside / name / f"{now.astimezone(UTC):%Y-%m-%dT%H%M%S.%fZ}"
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._own / name).rename(target)

        self._folders.locked(name, move)

    def check(self, name: str) -> None:
        """Raise as `remove` does where a strategy cannot be removed."""
        known = self._folders.names()
        if name not in known:
            raise NotFound(f"Unknown strategy {name!r}.", nearest(name, known))
        if known[name]:
            raise BadInput(f"{name!r} is an example, which cannot be removed.", "It is never scheduled; leave it.")
        if (self._own / name).is_symlink():
            raise Misconfigured(f"{str(self._own / name)!r} is a symbolic link.", "Remove the link yourself.")

    def restore(self, name: str) -> Strategy:
        """Bring back the folder that was removed last, as it was, and return the strategy.

        Raises:
            NotFound: none of that name was removed.
            BadInput: the home has a strategy of that name.
            InvalidStrategy: it is back, and its files are not valid.
        """

        def move() -> Strategy:
            folders = self._of(name)
            if not folders:
                removed = [entry.name for entry in self._entries(self._aside) if self._of(entry.name)]
                remedy = nearest(name, removed) if removed else "Nothing that was removed is left to restore."
                raise NotFound(f"No strategy {name!r} was removed.", remedy)
            if self._folders.names().get(name) is False:
                raise BadInput(f"The home has a strategy {name!r} already.", "Remove that one first.")
            folders[-1].rename(self._own / name)
            with suppress(OSError):  # others of its name were removed before
                folders[-1].parent.rmdir()
            return self._folders.read(name)

        return self._folders.locked(name, move)

    def _of(self, name: str) -> list[Path]:
        """Return the folders that were removed under a name, in the order of time."""
        return self._entries(self._aside / name) if re.fullmatch(NAME_PATTERN, name) else []

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(entry for entry in folder.iterdir() if entry.is_dir())
        except OSError:
            return []
