"""The names of strategies, which are those of their folders, and of the two files in each."""

import re
from collections.abc import Iterable
from pathlib import Path

from mcp_server.domain.strategy.limits import NAME_PATTERN

CONFIG, AGENTS = "config.json", "agents.json"


def strategy_names(own: Path, examples: Path) -> dict[str, bool]:
    """Return the name of every strategy, and whether it is an example, in order of name."""
    return dict(sorted((dict.fromkeys(folders_in(examples), True) | dict.fromkeys(folders_in(own), False)).items()))


def folders_in(parent: Path) -> Iterable[str]:
    """Return the names of the folders that may be strategies."""
    try:
        entries = list(parent.iterdir())
    except OSError:
        return []
    return [entry.name for entry in entries if re.fullmatch(NAME_PATTERN, entry.name) and is_folder(entry)]


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; False where nobody can say."""
    try:
        return path.is_dir()
    except OSError:
        return False
