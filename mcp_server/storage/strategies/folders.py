"""Strategy folders: the user's own in the home, the examples beside them read-only.

A write makes a whole new folder and exchanges it for the present one in one step. The previous version is kept under
`strategies/.versions/<name>/<version>/`, also one that was edited by hand; other files of a folder stay in it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.finding import Finding, error
from mcp_server.domain.strategy.format import StatusName
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.strategy.parse import InvalidStrategy, parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput, Misconfigured, NotFound, Retryable
from mcp_server.storage.home import Home, unwritable
from mcp_server.storage.process_lock import ProcessLock
from mcp_server.storage.strategies.exchange_folders import ASIDE, exchange
from mcp_server.storage.strategies.files import bring_back, read_both, write_both
from mcp_server.storage.strategies.names import AGENTS, CONFIG, folders_in, is_folder, strategy_names
from mcp_server.storage.strategies.versions import Kept, KeptVersions, written_at

PATIENCE_S = 10
"""How long a write waits for another process that writes strategies."""

Done = TypeVar("Done")

NOTHING = "none"
"""The value of `replaces` for a strategy that must be new."""

ON_WINDOWS = sys.platform == "win32"
_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")

_NEW, _OLD = ".writing-", ".replacing-"
"""Prefixes of a write's own folders: one that is not whole yet, and one that is about to change places."""


@dataclass(frozen=True, slots=True)
class ListedStrategy:
    """A strategy folder as it is on disk: either valid, or `problem` says why not."""

    name: str
    example: bool
    strategy: Strategy | None
    problem: str | None = None


class StrategyFolders:
    """Reads and writes the strategy folders of one home. A strategy of the home hides the example of its name.

    Whatever reads a strategy raises `NotFound`, which names the nearest, or `InvalidStrategy`. Whatever writes one
    raises `Misconfigured` if the home cannot be written, and `Retryable` if others have been writing for too long;
    then nothing was changed.
    """

    def __init__(self, home: Home, examples: Path) -> None:
        self._home = home
        self._own = home.strategies
        self._examples = examples
        self.versions = KeptVersions(home.strategies / ".versions")

    def names(self) -> dict[str, bool]:
        """Return the name of every strategy, and whether it is an example, in order of name."""
        return strategy_names(self._own, self._examples)

    def all(self, after: str = "") -> list[ListedStrategy]:
        """Read every strategy whose name comes after another; a broken one is listed too, with its problem."""
        return [self.one(name, example=example) for name, example in self.names().items() if name > after]

    def one(self, name: str, *, example: bool) -> ListedStrategy:
        """Read one strategy that is there; a broken one has its problem."""
        try:
            return ListedStrategy(name, example, self.read(name))
        except BadInput as error:
            return ListedStrategy(name, example, None, str(error))

    def files(self, name: str) -> tuple[Path, ...]:
        """Return the folder of a strategy and its files, there or not: what it is changes with one of them."""
        folder = (self._parent(name) or self._own) / name
        return folder, folder / CONFIG, folder / AGENTS

    def read(self, name: str) -> Strategy:
        """Read one strategy."""
        return parse_strategy(name, *self.content(name))

    def read_version(self, name: str, version: str) -> Strategy:
        """Read the present version of a strategy, or one that was kept."""
        try:
            present = self.read(name)
        except BadInput:  # gone or broken; kept versions are still there
            return self.versions.read(name, version)
        return present if present.version == version else self.versions.read(name, version)

    def content(self, name: str) -> tuple[Any, Any]:
        """Return the JSON of both files of a strategy, valid or not; None for a missing agents.json."""
        parent = self._parent(name)
        if parent is None:
            known = self.names()
            remedy = nearest(name, known) if known else "There are none yet."
            raise NotFound(f"Unknown strategy {name!r}.", remedy)
        return read_both(parent / name, name)

    def written(self, name: str) -> list[Kept]:
        """List the present version of a strategy of the home and those that were kept, the latest written first."""
        others = self.versions.of(name)
        try:
            present = Kept(self.read(name).version, written_at(self._own / name))
        except (BadInput, OSError):  # gone, broken or an example; kept versions are still there
            return others
        return sorted([present, *others], key=lambda one: one.written_at, reverse=True)

    def is_example(self, name: str) -> bool:
        """True when the name is an example's and the home has no strategy of that name."""
        return self._parent(name) == self._examples

    def _parent(self, name: str) -> Path | None:
        """Return the folder in which a strategy's folder is, as fast among thousands as among a few."""
        if not re.fullmatch(NAME_PATTERN, name):
            return None
        return next((parent for parent in (self._own, self._examples) if is_folder(parent / name)), None)

    def write(self, strategy: Strategy, replaces: str | None = None) -> str | None:
        """Write a strategy into the home, whole or not at all; return the version that it replaced, if any.

        Args:
            strategy: the new content.
            replaces: the version that must be there until then, or `NOTHING`; None: whatever there is.

        Raises:
            InvalidStrategy: there is something other than `replaces`; nothing was changed.
        """

        def replace() -> str | None:
            if conflict := self.other_than(strategy.name, replaces):
                raise InvalidStrategy(strategy.name, [conflict])
            return self._write(strategy)

        return self.locked(strategy.name, replace)

    def other_than(self, name: str, replaces: str | None) -> Finding | None:
        """Return a finding where a name, of the home or an example, lacks the version that is to be replaced."""
        if replaces is None:
            return None
        example = self.names().get(name)
        if example is None:
            missing = "Leave out 'replaces', or say 'none'."
            return None if replaces == NOTHING else error("replaces", f"There is no strategy {name!r}.", missing)
        there = _version((self._examples if example else self._own) / name, name)
        if replaces == NOTHING:
            kind = "an example" if example else "a strategy"
            return error("replaces", f"There is {kind} {name!r} already, version {there}.", "Choose another name.")
        if replaces != there:
            problem = f"{name!r} is version {there} now, not {replaces!r}: it has changed since."
            return error("replaces", problem, "Read it again, then write what should replace it.")
        return None

    def add(self, name: str) -> Strategy:
        """Copy an example into the home, where it can be changed and scheduled.

        Raises:
            BadInput: the home has one of that name, or there is no such example.
        """

        def copy() -> Strategy:
            if name in folders_in(self._own):
                raise BadInput(f"The home has a strategy {name!r} already. Nothing was changed.")
            strategy = self.read(name)
            self._write(strategy)
            return strategy

        return self.locked(name, copy)

    def set_status(self, name: str, status: StatusName) -> tuple[Strategy, str]:
        """Set the status of a strategy of the home, as a new version unless it has it; return it and its old status.

        Raises:
            BadInput: it is an example, or its files are not valid.
        """

        def change() -> tuple[Strategy, str]:
            strategy = self.read(name)
            if self.is_example(name):
                remedy = f"`claude-trader strategies add {name}` copies it into the home."
                raise BadInput(f"{name!r} is an example, which is read-only.", remedy)
            if strategy.config.status == status:
                return strategy, status
            config = strategy.config.model_copy(update={"status": status})
            changed = Strategy(name=name, config=config, agents=strategy.agents)
            self._write(changed)
            return changed, strategy.config.status

        return self.locked(name, change)

    def locked(self, name: str, work: Callable[[], Done]) -> Done:
        """Work while no other process writes strategies: a version between two writes would get lost."""
        self._home.make(self._own)
        self.versions.check(name)
        lock = ProcessLock(self._own / ".lock")
        try:
            if not lock.take(PATIENCE_S):
                target = str(self._own / name)
                raise Retryable(f"Another process is writing {target!r}.", "Try again in a moment.")
            self._sweep()
            return work()
        except OSError as error:
            raise unwritable(self._own / name, error) from None
        finally:
            lock.release()

    def _write(self, strategy: Strategy) -> str | None:
        target = self._own / strategy.name
        if ON_WINDOWS and _DEVICE.fullmatch(strategy.name):
            problem = f"Windows keeps the name {strategy.name!r} for a device."
            raise InvalidStrategy(strategy.name, [error("strategy_name", problem, "Choose another name.")])
        if target.is_symlink():
            problem = f"{str(target)!r} is a symbolic link, and a write would replace it."
            remedy = "Remove the link, or put the folder itself in its place."
            raise InvalidStrategy(strategy.name, [error("strategy_name", problem, remedy)])
        aside = self._own / f"{_OLD}{strategy.name}"
        if os.path.lexists(aside):  # no write of ours left it, or it would have been swept away
            raise Misconfigured(f"{str(aside)!r} is in the way of a write.", "Move it elsewhere.")
        fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._own))
        try:
            write_both(fresh, strategy)
            if not target.exists():
                fresh.rename(target)
                return None
            version = _version(target, strategy.name)
            fresh = fresh.rename(aside)
            exchange(fresh, target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        self._keep(fresh, strategy.name, version)  # if that fails, the next write tries again
        return version

    def _keep(self, old: Path, name: str, version: str) -> None:
        """Keep a version that was replaced; other files of its folder stay with the strategy."""
        bring_back(old, self._own / name)
        self.versions.keep(old, name, version)
        if old.exists():  # it was kept before; half removed, it must not be taken for a version that somebody broke
            shutil.rmtree(old.rename(self._own / f"{_NEW}{token_hex(8)}"), ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed write left; keep the version that it may have replaced. What is not ours stays."""
        for left in list(self._own.iterdir()):
            if left.is_symlink() or not left.is_dir():
                continue
            name = left.name.removeprefix(_OLD).removesuffix(ASIDE)
            if left.name.startswith(_OLD) and re.fullmatch(NAME_PATTERN, name):
                if left.name.endswith(ASIDE) and not os.path.lexists(self._own / name):
                    left.rename(self._own / name)
                elif self.versions.usable(name):
                    self._keep(left, name, _version(left, name))
            elif left.name.startswith(_NEW) and _half_written(left):
                shutil.rmtree(left, ignore_errors=True)


def _half_written(folder: Path) -> bool:
    """Return whether a folder holds nothing but what a write puts into one."""
    return all(entry.name in (CONFIG, AGENTS) or entry.name.endswith(".new") for entry in folder.iterdir())


def _version(folder: Path, name: str) -> str:
    """Return the version of what is in a folder; content that was broken by hand gets a name of its own."""
    try:
        return parse_strategy(name, *read_both(folder, name)).version
    except BadInput:
        return f"broken-{folder.lstat().st_mtime_ns}"
