"""What hosts are given - plugin, bundle, registry entry, configurations - passes its own tool and starts the server."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_server.app import tool_files
from mcp_server.settings import ServerSettings
from tests.hosts.npm import LIMIT_S, run
from tests.hosts.test_claude_code import CLI
from tests.http.conftest import TOKENS, WRITES, guarded

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "hosts"
DOCUMENT = (ROOT / "docs" / "guides" / "hosts.md").read_text("utf-8")
VERSION = metadata.version("claude-trader")
MCPB = ("@anthropic-ai/mcpb", "dist/cli/cli.js")


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("folder", [ROOT, HOSTS / "plugin"], ids=["marketplace", "plugin"])
def test_the_plugin_passes_its_validator(folder: Path, tmp_path: Path) -> None:
    profile = ["--profile", "directory"] if folder != ROOT else []
    done = subprocess.run(
        [CLI, "plugin", "validate", "--strict", *profile, folder],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "✔ Validation passed" in done.stdout


def test_the_skill_and_the_commands_name_only_tools_that_there_are() -> None:
    pages = [*(HOSTS / "plugin").rglob("*.md")]
    assert len(pages) == 5
    verbs = {name.partition("_")[0] for name in tool_files()}
    for page in pages:
        named = {
            word for word in re.findall(r"`([a-z]+_[a-z_]+)`", page.read_text()) if word.partition("_")[0] in verbs
        }
        assert named <= tool_files().keys(), page


def test_the_bundle_passes_its_validator_and_is_packed(tmp_path: Path) -> None:
    packed = tmp_path / "trader.mcpb"
    done = run(*MCPB, "pack", str(HOSTS / "bundle"), str(packed))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Manifest schema validation passes" in done.stdout
    assert set(zipfile.ZipFile(packed).namelist()) == {"manifest.json", "pyproject.toml", "server.py", "icon.png"}


def test_the_bundle_names_every_tool() -> None:
    assert [tool["name"] for tool in _json(HOSTS / "bundle" / "manifest.json")["tools"]] == list(tool_files())


def test_the_registrys_entry_fits_its_schema() -> None:
    entry = _json(HOSTS / "server.json")
    version = re.findall(r"/schemas/([\d-]+)/", entry["$schema"])[0].replace("-", "_")
    schemas = resources.files("skillsaw") / "schemas" / "mcp_registry"
    jsonschema.validate(entry, json.loads((schemas / f"v{version}" / "server.schema.json").read_text("utf-8")))
    assert len(entry["description"]) <= 100
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text("utf-8")


def test_everything_has_the_packages_version() -> None:
    bundle = tomllib.loads((HOSTS / "bundle" / "pyproject.toml").read_text())
    entry = _json(HOSTS / "server.json")
    wheel = bundle["tool"]["uv"]["sources"]["claude-trader"]["path"]
    assert {
        _json(HOSTS / "plugin" / ".claude-plugin" / "plugin.json")["version"],
        _json(HOSTS / "bundle" / "manifest.json")["version"],
        bundle["project"]["version"],
        wheel.split("-")[1],
        entry["version"],
        entry["packages"][0]["version"],
    } == {VERSION}


def _servers() -> list[dict[str, Any]]:
    """Return every server of the page's configurations."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
    found = [server for block in blocks for key in ("mcpServers", "servers") for server in block.get(key, {}).values()]
    return [*found, *(json.loads(said) for said in re.findall(r"--add-mcp '(.*?)'", DOCUMENT))]


def _commands() -> set[tuple[str, ...]]:
    """Return every command that the page, the bundle and the registry's entry start a server by."""
    commands = {(server["command"], *server.get("args", ())) for server in _servers() if "command" in server}
    (package,) = _json(HOSTS / "server.json")["packages"]
    bundle = _json(HOSTS / "bundle" / "manifest.json")["server"]
    assert bundle["mcp_config"]["args"][-1] == bundle["entry_point"]
    return {
        *commands,
        (package["runtimeHint"], package["identifier"], *(each["value"] for each in package["packageArguments"])),
        ("python", str(HOSTS / "bundle" / bundle["entry_point"])),
    }


BUNDLE = ("python", str(HOSTS / "bundle" / "server.py"))
INSTALLED = (("claude-trader-mcp",), ("claude-trader", "mcp"))


def test_the_commands_are_those_that_are_tried() -> None:
    """The next test and test_wheel.py do that; `make long` tries each as it is written."""
    # uvx starts the program that is named like the package
    programs = [command[1:] if command[0] == "uvx" else command for command in _commands()]
    assert {(Path(program).name, *arguments) for program, *arguments in programs} == {BUNDLE, *INSTALLED}


@pytest.mark.parametrize(
    "command",
    [BUNDLE, *(pytest.param(command, marks=pytest.mark.long) for command in INSTALLED)],
    ids=["bundle", *map(" ".join, INSTALLED)],
)
async def test_each_command_starts_the_server(home: Path, command: tuple[str, ...]) -> None:
    program, *arguments = command
    await _answers([str(Path(sys.executable).parent / program), *arguments], home)


def test_each_address_of_the_page_takes_the_token_as_it_is_sent(home: Path) -> None:
    reached = [server for server in _servers() if "url" in server]
    assert {server["url"] for server in reached} == {"https://trader.example/mcp"}
    assert len(reached) == 2
    with guarded(ServerSettings(home=home, tokens=TOKENS)) as there:
        for server in reached:
            token = re.sub(r"\$\{(env:TRADER_TOKEN|input:token)\}", WRITES, server["headers"]["Authorization"])
            assert there.post(Authorization=token).status == 200


async def _answers(command: list[str], home: Path) -> None:
    """Start a server over stdio as a host does, and have it list its tools."""
    start = StdioServerParameters(command=command[0], args=command[1:], env={"TRADER_HOME": str(home)})
    with anyio.fail_after(LIMIT_S):
        async with Client(start) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == tool_files().keys()
