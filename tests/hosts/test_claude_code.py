"""The real Claude Code connects over stdio and HTTP with a token, is refused with a wrong one, and sees the tools.

In `make test` it connects once, over HTTP, and the tutorial's reader adds and lists a server over stdio. What a wrong
token gets is asked by `tests/http`, and what a prompt makes of typed words by `tests/structure/test_prompts.py`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import claude_agent_sdk
import pytest

from mcp_server.app import tool_files
from mcp_server.settings import ServerSettings
from tests.hosts.npm import LIMIT_S
from tests.http.conftest import READS, TOKENS, WRITES, Guarded, guarded
from tests.rigs.scripted_messages_api import ORCHESTRATOR, ScriptedMessagesApi, say

CLI = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
SERVER = Path(sys.executable).with_name("claude-trader-mcp")


class ClaudeCode:
    """The CLI with a configuration of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._variables = {
            **{name: os.environ[name] for name in ("PATH", "NO_PROXY", "HTTPS_PROXY", "HTTP_PROXY")},
            "HOME": str(folder),
            "CLAUDE_CONFIG_DIR": str(folder / ".claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
            "ENABLE_TOOL_SEARCH": "false",
            "TRADER_HOME": str(home),
        }

    def adds(self, tokens: Mapping[str, str | None]) -> None:
        """Add servers as the CLI did the one named `right`, each with a token of its own: each start takes 0.4 s."""
        file = self._folder / ".claude" / ".claude.json"
        kept = json.loads(file.read_text())
        servers = kept["projects"][str(self._folder)]["mcpServers"]
        for name, token in tokens.items():
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            servers[name] = {**servers["right"], "headers": headers}
        file.write_text(json.dumps(kept))

    def __call__(self, *arguments: str | Path, **variables: str) -> str:
        done = subprocess.run(
            [CLI, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=self._folder,
            env={**self._variables, **variables}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def claude(tmp_path: Path, home: Path) -> ClaudeCode:
    folder = tmp_path / "claude"
    folder.mkdir()
    return ClaudeCode(folder, home)


@pytest.fixture
def server(home: Path) -> Iterator[Guarded]:
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS)) as server:
        yield server


@pytest.mark.long
def test_it_connects_over_stdio_and_http_and_is_refused_with_a_wrong_token(claude: ClaudeCode, server: Guarded) -> None:
    claude("mcp", "add", "stdio", "--", SERVER)
    claude("mcp", "add", "--transport", "http", "right", server.url, "--header", f"Authorization: Bearer {WRITES}")
    claude.adds({"reading": READS, "wrong": "guess", "without": None})
    listed = claude("mcp", "list")
    said = {name: line for line in listed.splitlines() for name in [line.partition(":")[0]]}
    assert {name for name, line in said.items() if line.endswith("✔ Connected")} == {"stdio", "right", "reading"}
    assert "Server rejected the configured Authorization header (HTTP 401)" in said["wrong"]
    assert "Connected" not in said["without"]


@pytest.mark.parametrize(
    "way", [*(pytest.param(way, marks=pytest.mark.long) for way in ("stdio", "http")), "http, reading"]
)
def test_its_model_is_offered_the_tools(claude: ClaudeCode, server: Guarded, way: str, tmp_path: Path) -> None:
    token = READS if way.endswith("reading") else WRITES
    over_http = {"type": "http", "url": server.url, "headers": {"Authorization": f"Bearer {token}"}}
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"t": {"command": str(SERVER)} if way == "stdio" else over_http}}))
    with ScriptedMessagesApi({ORCHESTRATOR: [say("Hello.")]}) as api:
        claude(
            "--print", "Hello?", "--mcp-config", config, "--strict-mcp-config", "--setting-sources", "",
            ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY="dummy",
        )  # fmt: skip
    offered = {name.removeprefix("mcp__t__") for name in api.requests[0].tools if name.startswith("mcp__t__")}
    hidden = {"write_strategy", "set_strategy_status", "run_strategy"} if way.endswith("reading") else set()
    assert offered == tool_files().keys() - hidden


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="without an idea", marks=pytest.mark.long),
        pytest.param(" buy BTC when its RSI turns up", id="with an idea", marks=pytest.mark.long),
    ],
)
def test_what_the_person_types_for_a_prompt_reaches_its_model(claude: ClaudeCode, typed: str, tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"claude-trader": {"command": str(SERVER)}}}))
    with ScriptedMessagesApi({ORCHESTRATOR: [say("Which market?")]}) as api:
        claude(
            "--print", f"/mcp__claude-trader__design_strategy{typed}", "--mcp-config", config, "--strict-mcp-config",
            "--setting-sources", "", ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY="dummy",
        )  # fmt: skip
    page = api.requests[0].text
    assert "Ask for the idea first" in page
    assert ("perhaps its first word: 'buy'" in page) is bool(typed)
