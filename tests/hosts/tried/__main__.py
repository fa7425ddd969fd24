"""Try hosts by other makers: `make hosts` installs each, has it use the server, and prints a table.

Each is installed by itself into `.venv/tried/`, at the version below. Hosts with a model of their own ask a stand-in of
it on loopback. Nothing reaches a paid model.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_server.app import tool_files
from mcp_server.settings import ServerSettings
from tests.hosts.tried.models import Call, Json, Models
from tests.http.conftest import TOKENS, WRITES, guarded
from tests.rigs.loopback import served

HERE = Path(__file__).parent
INSTALLED = Path(sys.prefix) / "tried"
BIN = Path(sys.executable).parent
SERVER = BIN / "claude-trader-mcp"
LIMIT_S = 180
PICTURE = re.compile(
    r'"image_url": (\{"url": )?"data:image/png;base64,iVBOR'  # OpenAI's two interfaces
    r'|"inlineData": \{[^{}]*"data": "iVBOR'  # Gemini's
    r'|"type": ?"image", ?"data": ?"iVBOR'  # as the protocol has it
)
"""A PNG that stands where a picture does. A host that passes it on as text has shown no picture."""

PRICE: Json = {"symbol": "BTC/USDT", "exchange": "simulated"}
SCRIPT: list[Call] = [
    ("get_price", PRICE),
    ("get_price", {**PRICE, "as_of": None}),
    ("draw_chart", {"symbol": "BTC/USDT", "timeframe": "1h", "exchange": "simulated"}),
]


@dataclass(frozen=True)
class Seen:
    """What a host offered to its model, and what it passed on of each answer, as JSON text."""

    offered: list[str]
    answers: list[str]


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        packages: what is installed, with versions: by npm where the first begins with "npm:".
        run: has it carry out `SCRIPT` in an empty folder.
    """

    name: str
    packages: tuple[str, ...]
    run: Callable[[Path], Seen]

    @property
    def folder(self) -> Path:
        return INSTALLED / self.name.replace(" ", "-")

    def install(self) -> None:
        """Install it, unless these versions are there."""
        stamp = self.folder / "installed"
        if stamp.is_file() and stamp.read_text() == str(self.packages):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        names = [name.removeprefix("npm:") for name in self.packages]
        if names == list(self.packages):
            subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
            subprocess.run([self.folder / "bin/python", "-m", "pip", "install", "-qqq", *names], check=True)
        else:
            options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
            command: list[str | Path] = [BIN / "npm", "install", "--prefix", self.folder, *options, *names]
            subprocess.run(command, check=True, env=variables())
        stamp.write_text(str(self.packages))

    def row(self) -> str:
        """Return this host's line of the table."""
        self.install()
        with TemporaryDirectory(prefix="host-") as folder:
            seen = self.run(Path(folder))
        tools = sum(any(name.endswith(tool) for name in seen.offered) for tool in tool_files())
        call, null, chart = [*seen.answers, "", "", ""][:3]
        cells = [
            f"{tools} of {len(tool_files())}",
            "yes" if "price" in call and "live" in call else "**no**",
            "taken" if "live" in null else f"refused: {null[:120]}",
            "seen" if PICTURE.search(chart) else f"**not seen**: {chart[:120]}",
        ]
        return " | ".join(["", f"{self.name}, {self.packages[0].removeprefix('npm:')}", *cells, ""]).strip()


def variables(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "TRADER_EXCHANGE": "simulated", **more}


def asks_models(command: Callable[[Path, str], list[str | Path]], **more: str) -> Callable[[Path], Seen]:
    """Return how to run a host with a model: `command` gets an empty folder, and the URL of the models."""

    def run(folder: Path) -> Seen:
        models = Models(SCRIPT)
        with served(models.app()) as url:
            environment = variables(
                TRADER_HOME=str(folder / "home"), HOME=str(folder), CODEX_HOME=str(folder),
                GOOGLE_GEMINI_BASE_URL=url, GEMINI_API_KEY="none", STAND_IN_KEY="none", **more,
            )  # fmt: skip
            done = subprocess.run(
                command(folder, url), cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=LIMIT_S, check=False,
            )  # fmt: skip
        if not models.answers:
            sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        return Seen(models.offered, models.answers)

    return run


def codex(folder: Path, url: str) -> list[str | Path]:
    (folder / "config.toml").write_text(f"""
model = "m"
model_provider = "stand-in"
[model_providers.stand-in]
name = "stand-in"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "STAND_IN_KEY"
[mcp_servers.claude-trader]
command = "{SERVER}"
env = {{ TRADER_HOME = "{folder}/home", TRADER_EXCHANGE = "simulated" }}
required = true
default_tools_approval_mode = "approve"
""")
    program = HOSTS["codex"].folder / "node_modules/.bin/codex"
    return [program, "exec", "--skip-git-repo-check", "Go on."]


def gemini(folder: Path, url: str) -> list[str | Path]:
    (folder / ".gemini").mkdir()
    environment = {"TRADER_HOME": f"{folder}/home", "TRADER_EXCHANGE": "simulated"}
    settings = {
        "mcpServers": {"claude-trader": {"command": str(SERVER), "env": environment, "trust": True}},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    }
    (folder / ".gemini/settings.json").write_text(json.dumps(settings))
    program = HOSTS["gemini-cli"].folder / "node_modules/.bin/gemini"
    return [program, "--skip-trust", "--yolo", "--model", "gemini-2.5-flash", "--prompt", "Go on."]


def python(name: str) -> Callable[[Path, str], list[str | Path]]:
    def command(_folder: Path, url: str) -> list[str | Path]:
        program = HERE / f"with_{name.replace('-', '_')}.py"
        return [HOSTS[name].folder / "bin/python", program, url, SERVER]

    return command


def fastmcp(folder: Path) -> Seen:
    command: list[str | Path] = [
        HOSTS["fastmcp"].folder / "bin/python",
        HERE / "with_fastmcp.py",
        SERVER,
        json.dumps(SCRIPT),
    ]
    done = subprocess.run(
        command, env=variables(TRADER_HOME=str(folder)), stdout=subprocess.PIPE, timeout=LIMIT_S, check=True
    )
    seen = json.loads(done.stdout)
    return Seen(seen["offered"], [json.dumps(answer) for answer in seen["answers"]])


def mcp_remote(folder: Path) -> Seen:
    """It brings a server over HTTP to hosts that know stdio alone: the official client is such a host here."""
    program = HOSTS["mcp-remote"].folder / "node_modules/.bin/mcp-remote"
    with guarded(ServerSettings(home=folder, exchange="simulated", tokens=TOKENS)) as server:
        arguments = [server.url, "--transport", "http-only", "--header", f"Authorization: Bearer {WRITES}"]
        start = StdioServerParameters(
            command=str(program), args=arguments, env=variables(MCP_REMOTE_CONFIG_DIR=str(folder))
        )

        async def ask() -> Seen:
            with anyio.fail_after(LIMIT_S):
                async with Client(start) as client:
                    offered = [tool.name for tool in (await client.list_tools()).tools]
                    answers: list[Any] = [await client.call_tool(name, arguments) for name, arguments in SCRIPT]
                    return Seen(offered, [answer.model_dump_json() for answer in answers])

        return anyio.run(ask)


HOSTS = {
    host.name: host
    for host in (
        Host("codex", ("npm:@openai/codex@0.171.0",), asks_models(codex)),
        Host("gemini-cli", ("npm:@google/gemini-cli@0.61.0",), asks_models(gemini)),
        Host("openai-agents", ("openai-agents==0.24.0",), asks_models(python("openai-agents"))),
        Host("pydantic-ai", ("pydantic-ai-slim[openai,mcp]==2.68.0",), asks_models(python("pydantic-ai"))),
        Host(
            "langchain",
            ("langchain-mcp-adapters==0.3.2", "langchain", "langchain-openai"),
            asks_models(python("langchain")),
        ),
        Host("fastmcp", ("fastmcp==4.2.3",), fastmcp),
        Host("mcp-remote", ("npm:mcp-remote@0.15.1",), mcp_remote),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help=f"{', '.join(HOSTS)}; all where none is named")
    only = parser.parse_args().only
    sys.stdout.write(
        "| host | tools | a call | null for an optional argument | a chart |\n| --- | --- | --- | --- | --- |\n"
    )
    for name in only or HOSTS:
        sys.stdout.write(HOSTS[name].row() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
