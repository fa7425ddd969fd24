"""Every broken folder is found out with place and remedy; nothing is written, and nothing outside of the home read."""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.check_folder import check_folder
from runner.tool_server.client import Tools
from tests.runner.broken_folders import BROKEN, GOOD, OUTSIDE, RULES, Broken
from tests.runner.conftest import Command
from tests.tools.conftest import NOW

NAME = "mine"


def put(home: Path, row: Broken, outside: Path) -> None:
    folder = home / "strategies" / NAME
    folder.mkdir(parents=True)
    for name, content in row.files.items():
        if content == OUTSIDE:
            (folder / name).symlink_to(outside)
        else:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(raw)


def everything(home: Path) -> dict[str, Any]:
    """Return every file of the strategies with its content, and where links lead."""
    contents: dict[str, Any] = {}
    for path in sorted((home / "strategies").rglob("*")):
        contents[str(path)] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return contents


_OPENED: list[str] = []
_LISTENING = [False]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _LISTENING[0] and event == "open" and isinstance(arguments[0], str | bytes):
        _OPENED.append(os.fsdecode(arguments[0]))


sys.addaudithook(_listen)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Return the files that this process opens within the block."""
    _OPENED.clear()
    _LISTENING[0] = True
    try:
        yield _OPENED
    finally:
        _LISTENING[0] = False


def test_there_are_sixty_of_them_or_more_each_with_a_reason_of_its_own() -> None:
    assert len(BROKEN) >= 60
    assert len({row.why for row in BROKEN}) >= len(BROKEN) - 5


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Client, Path]]:
    """A tool server for all rows, whose home has no strategy."""
    own = tmp_path_factory.mktemp("server")
    settings = ServerSettings(home=own, exchange="simulated")
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        yield client, own


@pytest.mark.parametrize("row", BROKEN, ids=[row.why for row in BROKEN])
async def test_a_broken_folder_is_found_out_and_stays_as_it_is(
    row: Broken, home: Path, tmp_path: Path, server: tuple[Client, Path]
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps({**GOOD, "rules": RULES}))
    put(home, row, outside)
    before = everything(home)
    folders = StrategyFolders(Home(home), tmp_path / "none")
    with opened() as files:
        done = await check_folder(folders, NAME, Tools(server[0]))
    findings = [(finding.severity, finding.place) for finding in done.findings]
    assert sorted(findings) == sorted((severity, place) for severity, place, _ in row.findings)
    for severity, place, words in row.findings:
        assert any((severity, place) == (f.severity, f.place) and words in str(f) for f in done.findings), done.findings
    assert all(finding.problem and finding.remedy for finding in done.findings)
    assert done.valid == all(severity == "warning" for severity, _, _ in row.findings)
    assert everything(home) == before
    assert not [file for file in files if file.startswith((str(outside), "/etc/passwd"))]


WITH_ERRORS = [row for row in BROKEN if any(finding[0] == "error" for finding in row.findings)]
SENDABLE = [row for row in WITH_ERRORS if isinstance(row.files.get("config.json"), dict)]


SOME = 5
"""One in so many is sent to the tool in `make test`, which checks what is sent as a folder is checked."""


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.why, marks=[pytest.mark.long] if place % SOME else [])
        for place, row in enumerate(SENDABLE)
    ],
)
async def test_what_a_tool_is_given_with_an_error_is_not_written(row: Broken, server: tuple[Client, Path]) -> None:
    client, home = server
    agents = row.files.get("agents.json")
    asked = {"strategy_name": NAME, "config": row.files["config.json"]}
    asked |= {"agents": agents} if isinstance(agents, dict | list) else {}
    if agents == OUTSIDE or isinstance(agents, bytes):
        asked["config"] = {**GOOD}  # then it is a strategy without rules and sub-agents
    if row.why == "half of a character":
        asked["config"] = {**GOOD, "description": "half: �"}
    answer = await client.call_tool("write_strategy", asked)
    assert answer.is_error
    assert not (home / "strategies" / NAME).exists()


def test_the_command_says_all_of_it_and_ends_with_one(trader: Command, home: Path, tmp_path: Path) -> None:
    row = next(row for row in BROKEN if row.why == "two broken conditions")
    put(home, row, tmp_path)
    done = trader("strategies", "check", NAME)
    assert done.code == 1
    assert done.out.startswith("broken  mine  2 errors, 0 warnings\n  error  config.json rules.buy: ")
    as_json = trader("strategies", "check", NAME, "--json")
    assert (as_json.code, as_json.json["valid"], len(as_json.json["findings"])) == (1, False, 2)
    assert set(as_json.json["findings"][0]) == {"severity", "place", "problem", "remedy"}
