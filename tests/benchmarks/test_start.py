"""Time from start to an answered `initialize` over stdio, beside a bare server with as many trivial tools."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from mcp_server.app import tool_files
from tests.benchmarks.touches import report

WARM_UPS = 2
RUNS = 15

BARE = """
import sys
from mcp.server import MCPServer
from pydantic import BaseModel

server = MCPServer("bare", log_level="WARNING")

def add(number):
    class Answer(BaseModel):
        symbol: str
        value: float | None
        rows: list[list[float]]

    def tool(symbol: str, limit: int = 10) -> Answer:
        return Answer(symbol=symbol, value=None, rows=[])

    server.add_tool(tool, name=f"tool_{number}", description="Answers.")

for number in range(int(sys.argv[1])):
    add(number)
server.run("stdio")
"""

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


class Host:
    """What an MCP host does with a server that it starts."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.tell(message)
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answer["id"] == message["id"]
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def _started(command: list[str]) -> Iterator[Host]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as process:
        try:
            yield Host(process)
        finally:
            process.kill()


def _start_s(command: list[str]) -> float:
    began = time.perf_counter()
    with _started(command) as host:
        host.ask(INITIALIZE)
        return time.perf_counter() - began


def _memory_mb(command: list[str]) -> float:
    with _started(command) as host:
        host.ask(INITIALIZE)
        host.tell(INITIALIZED)
        assert len(host.ask(LIST)["tools"]) == len(tool_files())
        return float(psutil.Process(host.process.pid).memory_info().rss) / 2**20


def test_the_server_answers_nearly_as_soon_as_a_bare_one(tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    commands = {
        "bare": [sys.executable, str(script), str(len(tool_files()))],
        "ours": [str(Path(sys.executable).with_name("claude-trader-mcp"))],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(WARM_UPS + RUNS):
        for name, command in commands.items():
            seconds = _start_s(command)
            if turn >= WARM_UPS:
                took[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in took.items()}
    memory = {name: _memory_mb(command) for name, command in commands.items()}
    print(  # noqa: T201 (a benchmark is read)
        f"\nstart to initialize, median of {RUNS}: ours {medians['ours']:.3f} s, bare {medians['bare']:.3f} s"
        f"\nmemory after tools/list: ours {memory['ours']:.0f} MB, bare {memory['bare']:.0f} MB, "
        f"ratio {memory['ours'] / memory['bare']:.2f}"
    )
    report("start", [ours / bare for ours, bare in zip(took["ours"], took["bare"], strict=True)])
