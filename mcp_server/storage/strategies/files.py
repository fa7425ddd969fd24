"""The two files of one strategy folder: read without following links, waiting or trusting; written whole."""

import codecs
import json
import math
import os
from pathlib import Path
from typing import Any

from mcp_server.domain.strategy.finding import error
from mcp_server.domain.strategy.limits import FILE_LIMIT_BYTES
from mcp_server.domain.strategy.parse import InvalidStrategy, nests_too_deeply
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.files import Unreadable, read_regular, write_whole
from mcp_server.storage.strategies.names import AGENTS, CONFIG

_TRIES = 20


def read_both(folder: Path, name: str) -> tuple[Any, Any]:
    """Return the content of both files as they were at one moment; None for a missing agents.json.

    Raises:
        InvalidStrategy: a file is missing, cannot be read or is no JSON; the error names it.
    """
    for _ in range(_TRIES):
        before = _identity(folder)
        try:
            both = _read_json(folder / CONFIG, name), _read_json(folder / AGENTS, name)
        except InvalidStrategy:
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:  # else another was put in its place between the two
            return both
    raise InvalidStrategy(name, [error("name", f"{str(folder)!r} keeps changing.", "Try again in a moment.")])


def parse_both(folder: Path, config: bytes, agents: bytes | None) -> tuple[Any, Any]:
    """Return what `read_both` does of these bytes of a strategy's files; raise as it does."""
    name = folder.name
    return (
        _parse_json(config, folder / CONFIG, name),
        None if agents is None else _parse_json(agents, folder / AGENTS, name),
    )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refused(file: Path, name: str, problem: str, remedy: str) -> InvalidStrategy:
    return InvalidStrategy(name, [error(file.name, f"{str(file)!r} {problem}", remedy)])


def _read_json(file: Path, name: str) -> Any:
    try:
        if file.parent.is_symlink():
            raise _refused(file, name, "is a symbolic link.", "Put the file itself there.")
        return _parse_json(read_regular(file, FILE_LIMIT_BYTES), file, name)
    except Unreadable as unreadable:
        raise InvalidStrategy(name, [error(file.name, unreadable.problem, unreadable.remedy)]) from None
    except FileNotFoundError:
        if file.name == AGENTS:
            return None
        raise _refused(file, name, "is missing.", "Write it, or remove the folder.") from None
    except OSError as failed:
        raise _refused(file, name, f"cannot be read ({failed.strerror}).", "Give this user access.") from None


def _parse_json(raw: bytes, file: Path, name: str) -> Any:
    if raw.startswith(codecs.BOM_UTF8):
        raise _refused(file, name, "begins with a byte order mark.", "Save it as UTF-8 without one (BOM).")
    try:
        content = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as failed:
        where = f"line {failed.lineno}, column {failed.colno}"
        raise _refused(file, name, f"is not JSON at {where}: {failed.msg}.", "Correct it there.") from None
    except UnicodeDecodeError:
        raise _refused(file, name, "is not UTF-8 text.", "Save it as UTF-8.") from None
    except RecursionError:
        raise _too_deep(file, name) from None
    except ValueError as failed:
        raise _refused(file, name, f"is no strict JSON: {failed}.", "Correct it.") from None
    if nests_too_deeply(content):
        raise _too_deep(file, name)
    return content


def _too_deep(file: Path, name: str) -> InvalidStrategy:
    return _refused(file, name, "is nested too deeply.", "Write it as the format says.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return dict(pairs)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def bring_back(old: Path, present: Path) -> None:
    """Move other files of a folder that was replaced, like notes, into the folder that took its place."""
    if old.is_symlink() or present.is_symlink() or not old.is_dir() or not present.is_dir():
        return
    for entry in list(old.iterdir()):
        if entry.name not in (CONFIG, AGENTS) and not os.path.lexists(present / entry.name):
            entry.rename(present / entry.name)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def write_both(folder: Path, strategy: Strategy) -> None:
    """Write both files into an empty folder, onto the disk."""
    folder.chmod(0o755)
    contents = {CONFIG: strategy.config_json()}
    if strategy.agents:
        contents[AGENTS] = strategy.agents_json()
    for file_name, content in contents.items():
        write_whole(folder / file_name, f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode())
