"""Strategy folders: the user's own in the home, the examples beside them read-only.

A write makes a whole new folder and exchanges it for the present one in one step; what was there before is kept under
`strategies/.versions/<name>/<version>/`.
"""

import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcp_server.domain.strategy import NAME_PATTERN, InvalidStrategy, Strategy, parse_strategy
from mcp_server.domain.teaching import nearest
from mcp_server.errors import BadInput, NotFound, Retryable
from mcp_server.storage.home import Home, unwritable

FILE_LIMIT_BYTES = 262_144
PATIENCE_S = 10
"""How long a write waits for another process that writes strategies."""


@dataclass(frozen=True, slots=True)
class Found:
    """A strategy folder as it lies on disk: either it is whole, or `problem` says why not."""

    name: str
    example: bool
    strategy: Strategy | None
    problem: str | None = None


class StrategyFolders:
    """Reads and writes the strategy folders of one home; an example is found where the home has none of its name."""

    def __init__(self, home: Home, examples: Path) -> None:
        self._own = home.strategies
        self._examples = examples

    def names(self) -> dict[str, bool]:
        """Give the name of every strategy, and whether it is an example, in order of name."""
        examples = dict.fromkeys(_folders(self._examples), True)
        return dict(sorted((examples | dict.fromkeys(_folders(self._own), False)).items()))

    def all(self) -> list[Found]:
        """Read every strategy; a broken one is told, not skipped."""
        found = []
        for name, example in self.names().items():
            try:
                found.append(Found(name, example, self.read(name)))
            except BadInput as error:
                found.append(Found(name, example, None, str(error)))
        return found

    def read(self, name: str) -> Strategy:
        """Read one strategy.

        Raises:
            NotFound: no folder has that name; the nearest is named.
            InvalidStrategy: its files are not valid.
        """
        known = self.names()
        if name not in known:
            hint = nearest(name, known) if known else " There are none yet."
            raise NotFound(f"Unknown strategy {name!r}.{hint}")
        folder = (self._examples if known[name] else self._own) / name
        config = _read_json(folder / "config.json", name, missing_is_none=False)
        return parse_strategy(name, config, _read_json(folder / "agents.json", name, missing_is_none=True))

    def is_example(self, name: str) -> bool:
        """True when the name is an example's and the home has no strategy of that name."""
        return self.names().get(name, False)

    def write(self, strategy: Strategy) -> str | None:
        """Write a strategy into the home, whole or not at all; give the version that it replaced, if there was one.

        Raises:
            Misconfigured: the home cannot be written.
            Retryable: others have been writing strategies for too long; nothing was changed.
        """
        target = self._own / strategy.name
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{strategy.name}.", dir=self._own))
            try:
                _write_files(fresh, strategy)
                with FileLock(self._own / ".lock", timeout=PATIENCE_S):
                    return self._put(fresh, target)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        except Timeout:
            raise Retryable(f"Another process is writing {str(target)!r}. Try again in a moment.") from None
        except OSError as error:
            raise unwritable(target, error) from None

    def _put(self, fresh: Path, target: Path) -> str | None:
        """Exchange a folder for the present one. One process at a time: else a version between the two gets lost."""
        if not target.exists():
            fresh.rename(target)
            return None
        replaced = self._version_at(target)
        _exchange(fresh, target)
        self._keep(fresh, target.name, replaced)
        return replaced

    def _version_at(self, folder: Path) -> str:
        try:
            return self.read(folder.name).version
        except BadInput:  # broken by hand: kept all the same, under a name of its own
            return f"broken-{os.stat(folder).st_mtime_ns}"

    def _keep(self, folder: Path, name: str, version: str) -> None:
        kept = self._own / ".versions" / name / version
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            folder.rename(kept)


def _folders(parent: Path) -> Iterable[str]:
    try:
        entries = list(parent.iterdir())
    except OSError:
        return []
    return [entry.name for entry in entries if re.match(NAME_PATTERN, entry.name) and entry.is_dir()]


def _read_json(file: Path, name: str, *, missing_is_none: bool) -> Any:
    try:
        if file.is_symlink() or file.parent.is_symlink():
            raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is a symbolic link. Put the file itself there."])
        if not stat.S_ISREG(file.lstat().st_mode):  # to open a pipe or a device could wait for ever
            raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is no regular file. Put a file there."])
        with open(file, "rb", opener=_without_waiting) as stream:
            raw = stream.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        if missing_is_none:
            return None
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is missing."]) from None
    except OSError as error:
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} cannot be read ({error.strerror})."]) from None
    if len(raw) > FILE_LIMIT_BYTES:
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is larger than {FILE_LIMIT_BYTES} bytes."])
    return _parse_json(raw, file, name)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _parse_json(raw: bytes, file: Path, name: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is not JSON at {where}: {error.msg}."]) from None
    except UnicodeDecodeError:
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is not UTF-8 text."]) from None
    except RecursionError:
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r} is nested too deeply."]) from None
    except ValueError as error:
        raise InvalidStrategy(name, [f"{file.name}: {str(file)!r}: {error}."]) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return dict(pairs)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _write_files(folder: Path, strategy: Strategy) -> None:
    folder.chmod(0o755)
    contents = {"config.json": strategy.config_json()}
    if strategy.agents:
        contents["agents.json"] = strategy.agents_json()
    for file_name, content in contents.items():
        with (folder / file_name).open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())


def _exchange(fresh: Path, target: Path) -> None:
    """Exchange two folders: in one step on Linux; elsewhere in two, with a moment in which `target` is missing."""
    if sys.platform == "linux" and _renameat2(fresh, target):
        return
    aside = fresh.with_name(fresh.name + ".old")
    target.rename(aside)
    fresh.rename(target)
    aside.rename(fresh)


def _renameat2(one: Path, other: Path) -> bool:
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    current_folder, exchange_flag = -100, 2
    return bool(rename(current_folder, os.fsencode(one), current_folder, os.fsencode(other), exchange_flag) == 0)
