"""What was read of strategy folders is read again where a file has changed, and nowhere else."""

from pathlib import Path

import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.unchanged import UnchangedFolders
from tests.scheduler.slot_homes import hourly

LATER_S = 4e9
"""A clock by which every file was written long ago."""


@pytest.fixture
def folders(home: Path, tmp_path: Path) -> StrategyFolders:
    at = Home(home)
    at.prepare()
    folders = StrategyFolders(at, tmp_path / "no-examples")
    for name in ("a", "b"):
        folders.write(hourly(name))
    return folders


def test_a_folder_is_read_again_only_where_its_files_changed(folders: StrategyFolders) -> None:
    read: list[str] = []

    def note(name: str, example: bool) -> str:
        read.append(name)
        return folders.read(name).version

    unchanged = UnchangedFolders(folders, note, lambda: LATER_S, lasts=bool)
    first = unchanged.all()
    assert (unchanged.all(), read) == (first, ["a", "b"])
    folders.write(hourly("b", description="another"))
    assert unchanged.all()["b"] != first["b"]
    folders.write(hourly("c"))
    assert [*unchanged.all()] == ["a", "b", "c"]
    assert read == ["a", "b", "b", "c"]


def test_a_file_that_was_written_a_moment_ago_is_read_again(folders: StrategyFolders) -> None:
    read: list[str] = []
    unchanged = UnchangedFolders(folders, lambda name, _: read.append(name), lambda: 0.0, lasts=lambda _: True)
    unchanged.all()
    unchanged.all()
    assert read == ["a", "b", "a", "b"]


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again_though_it_has_not_changed(
    folders: StrategyFolders,
) -> None:
    held = [False, True]
    unchanged = UnchangedFolders(folders, lambda name, _: name == "b" or held.pop(0), lambda: LATER_S, lasts=bool)
    assert unchanged.all() == {"a": False, "b": True}
    assert unchanged.all() == {"a": True, "b": True}
    assert unchanged.all() == {"a": True, "b": True}
