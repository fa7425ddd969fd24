"""The table of what an installation weighs: no package comes along without a row that says why."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "dependencies.md"


def wanted(package: str, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what a package asks for on this platform, with the extras of it."""
    yield from asked_for(metadata.requires(package) or [], extras)


def asked_for(lines: Iterable[str], extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    for line in lines:
        asked = Requirement(line)
        if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield canonicalize_name(asked.name), frozenset(asked.extras)


def installed_by_default() -> set[str]:
    """Return every package that `pip install claude-trader` brings along."""
    seen: set[tuple[str, frozenset[str]]] = set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    waiting = list(asked_for(project["dependencies"]))
    while waiting:
        if (package := waiting.pop()) not in seen:
            seen.add(package)
            waiting += wanted(*package)
    return {name for name, _ in seen}


def listed() -> list[str]:
    """Return the packages in the first column of the table."""
    table = PAGE.read_text("utf-8").partition("## What an installation weighs")[2].partition("## For development")[0]
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", table, re.MULTILINE)
    return [canonicalize_name(name) for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_each_package_that_comes_along_is_in_the_table_of_weights_once() -> None:
    names = listed()
    assert installed_by_default() - set(names) == set()
    assert sorted(names) == sorted(set(names))
