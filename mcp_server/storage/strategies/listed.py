"""The list of strategies. The row of a folder is kept under what its files hold, byte for byte, and what checked them.

To check them takes pydantic and the models of the format: twice the time of all else that a list needs.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp_server.domain.strategy.limits import FILE_LIMIT_BYTES
from mcp_server.errors import BadInput
from mcp_server.storage.files import Unreadable, read_object, read_regular, write_whole
from mcp_server.storage.home import Home
from mcp_server.storage.strategies.names import AGENTS, CONFIG, strategy_names

KEPT, CHECKED_BY, ROWS = ".listed.json", "checked_by", "rows"
"""The file in the home that keeps rows, and what it holds: what checked them, and each row and its time zone by key."""

MOST_BYTES = 100_000_000
COLUMNS = ("name", "origin", "engine", "trading_pair", "schedule", "status", "version", "description")
BROKEN_COLUMNS = ("name", "origin", "problem")
_PROGRAM = Path(__file__).parents[2]
CODE = (_PROGRAM / "domain", _PROGRAM / "storage", _PROGRAM / "errors.py")
"""The code that checks a strategy, and makes its row."""

Row = dict[str, Any]
Contents = tuple[bytes, bytes | None]
"""The bytes of both files; None for a missing agents.json."""


def listed_rows(home: Home, examples: Path) -> list[Row]:
    """Return the row of each strategy, in order of name: `COLUMNS`, or `BROKEN_COLUMNS` of one that is not valid."""
    kept_file, checked_by = home.root / KEPT, what_checks()
    known, kept, rows = _kept(kept_file, checked_by), dict[str, Any](), list[Row]()
    for name, example in strategy_names(home.strategies, examples).items():
        folder = (examples if example else home.strategies) / name
        contents = _contents(folder)
        key = _key(folder, contents) if contents else ""
        if (row := _usable(known.get(key))) is None:
            row, zone = _checked(folder, contents, example=example)
            if contents and zone is not None:
                kept[key] = [row, zone]
        else:
            kept[key] = known[key]
        rows.append(row)
    if kept != known and home.strategies.is_dir():
        with suppress(OSError):  # then the next list takes as long as this one
            write_whole(kept_file, json.dumps({CHECKED_BY: checked_by, ROWS: kept}).encode(), durable=False, mode=0o600)
    return rows


def what_checks() -> str:
    """Return a text that changes with Python, an installed library, or a file of the code that checks."""
    what: list[Any] = [sys.version]
    for folder in sys.path:
        with suppress(OSError):
            what += sorted(name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))
    for file in sorted(_files(CODE)):
        with suppress(OSError):
            status = os.stat(file)
            what.append((file, status.st_mtime_ns, status.st_size))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def _files(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        if path.suffix == ".py":
            yield str(path)
        for folder, _, files in os.walk(path):
            yield from (f"{folder}/{name}" for name in files if name.endswith(".py"))


def _kept(file: Path, checked_by: str) -> dict[str, Any]:
    """Return what is kept; nothing where another program has kept it, or it cannot be read."""
    try:
        content = read_object(file, MOST_BYTES)
    except (OSError, Unreadable):
        return {}
    rows = content.get(ROWS)
    return rows if content.get(CHECKED_BY) == checked_by and isinstance(rows, dict) else {}


def _usable(entry: Any) -> Row | None:
    """Return a row that was kept; None where it is none, or its time zone is not known any more."""
    match entry:
        case [dict() as row, str() as zone] if tuple(row) in (COLUMNS, BROKEN_COLUMNS) and _is_known(zone):
            return row if all(isinstance(value, str | None) for value in row.values()) else None
    return None


def _is_known(zone: str) -> bool:
    if zone == "UTC":
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _contents(folder: Path) -> Contents | None:
    """Return what both files hold at one moment; None where that cannot be read as it should be."""
    try:
        before = os.lstat(folder)
        if folder.is_symlink():
            return None
        config, agents = read_regular(folder / CONFIG, FILE_LIMIT_BYTES), None
        with suppress(FileNotFoundError):
            agents = read_regular(folder / AGENTS, FILE_LIMIT_BYTES)
        after = os.lstat(folder)
    except (OSError, Unreadable):
        return None
    return (config, agents) if (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino) else None


def _key(folder: Path, contents: Contents) -> str:
    """Return what stands for a folder and its contents: errors name the folder."""
    return hashlib.sha256(repr((str(folder), contents)).encode("utf-8", "surrogatepass")).hexdigest()


def _checked(folder: Path, contents: Contents | None, *, example: bool) -> tuple[Row, str | None]:
    """Check a strategy; return its row, and the time zone without which it would have another. None: do not keep it."""
    from mcp_server.domain.strategy.parse import parse_strategy
    from mcp_server.storage.strategies.files import parse_both, read_both

    row: Row = {"name": folder.name, "origin": "example" if example else "home"}
    try:
        both = parse_both(folder, *contents) if contents else read_both(folder, folder.name)
        strategy = parse_strategy(folder.name, *both)
    except BadInput as error:
        names_a_zone = contents is None or b"zone" in contents[0] or b"\\" in contents[0]
        return {**row, "problem": str(error)}, None if names_a_zone else "UTC"
    config = strategy.config
    row |= {
        "engine": strategy.engine,
        "trading_pair": config.trading_pair,
        "schedule": strategy.schedule,
        "status": None if example else config.status,
        "version": strategy.version,
        "description": config.description,
    }
    return row, config.timezone
