"""The plugin starts the server with whatever of uvx, an installed program and a checkout is there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_server.app import tool_files
from tests.hosts.npm import LIMIT_S

PLUGIN = Path(__file__).parents[2] / "hosts" / "plugin"
SERVER = json.loads((PLUGIN / ".mcp.json").read_text())["mcpServers"]["trader"]
START = SERVER["command"].replace("${CLAUDE_PLUGIN_ROOT}", str(PLUGIN))
SHELL = str(Path(shutil.which("sh") or "/bin/sh").parent)


def _program(folder: Path, name: str) -> None:
    """Write a program that tells how it was called."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('#!/bin/sh\necho "$0" "$@"\n')
    (folder / name).chmod(0o755)


def _start(path: Path, package: str = "") -> subprocess.CompletedProcess[str]:
    """Start the server as Claude Code does, with one folder of programs."""
    path.mkdir(exist_ok=True)
    if not (path / "sh").exists():
        (path / "sh").symlink_to(f"{SHELL}/sh")
    environment = {"PATH": str(path), "TRADER_PACKAGE": package}
    return subprocess.run([START], capture_output=True, text=True, check=False, env=environment, timeout=LIMIT_S)


def test_uvx_starts_the_published_package_where_nothing_is_installed(tmp_path: Path) -> None:
    _program(tmp_path / "bin", "uvx")
    assert _start(tmp_path / "bin").stdout == f"{tmp_path}/bin/uvx --from claude-trader claude-trader-mcp\n"


def test_what_is_installed_is_started_before_anything_is_downloaded(tmp_path: Path) -> None:
    for name in ("uvx", "claude-trader-mcp"):
        _program(tmp_path / "bin", name)
    assert _start(tmp_path / "bin").stdout == f"{tmp_path}/bin/claude-trader-mcp\n"


def test_a_checkout_that_is_named_comes_before_what_is_installed(tmp_path: Path) -> None:
    checkout = tmp_path / "a checkout"
    for name in ("uvx", "claude-trader-mcp"):
        _program(tmp_path / "bin", name)
    assert _start(tmp_path / "bin", str(checkout)).stdout.endswith(f"/uvx --from {checkout} claude-trader-mcp\n")
    _program(checkout / ".venv" / "bin", "claude-trader-mcp")
    assert _start(tmp_path / "bin", str(checkout)).stdout == f"{checkout}/.venv/bin/claude-trader-mcp\n"


@pytest.mark.parametrize(("package", "remedy"), [("", "TRADER_PACKAGE"), ("/nowhere", "make demo")])
def test_without_any_of_them_it_says_what_to_install(tmp_path: Path, package: str, remedy: str) -> None:
    done = _start(tmp_path / "bin", package)
    assert (done.returncode, done.stdout) == (1, "")
    assert remedy in done.stderr
    assert "uv" in done.stderr


@pytest.mark.long
async def test_without_uvx_the_installed_server_answers(home: Path, tmp_path: Path) -> None:
    """That it is started is shown above, and that it answers by the packages' tests."""
    (tmp_path / "claude-trader-mcp").symlink_to(Path(sys.executable).with_name("claude-trader-mcp"))
    (tmp_path / "sh").symlink_to(f"{SHELL}/sh")
    environment = {"PATH": str(tmp_path), "TRADER_HOME": str(home), **SERVER["env"], "TRADER_PACKAGE": ""}
    with anyio.fail_after(LIMIT_S):
        async with Client(StdioServerParameters(command=START, env=environment)) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == tool_files().keys()


def test_both_starters_know_the_same_three_ways() -> None:
    assert os.access(START, os.X_OK)
    windows = Path(f"{START}.cmd").read_text()
    for word in ("TRADER_PACKAGE", "uvx --from claude-trader claude-trader-mcp", "claude-trader-mcp.exe"):
        assert word in windows
