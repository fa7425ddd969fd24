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
MOST_LISTED, MOST_CALLED = 1.35, 1.5
"""Until the list of tools, and a first call, are answered, to a bare server, which has nothing to import for them."""

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
CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call"}
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


def _answered_s(command: list[str], call: dict[str, Any]) -> list[float]:
    """Return the seconds from the start until `initialize`, then the list of tools, then a first call is answered."""
    began = time.perf_counter()
    answered = []
    with _started(command) as host:
        for message in (INITIALIZE, LIST, {**CALL, "params": call}):
            host.ask(message)
            answered.append(time.perf_counter() - began)
            if message is INITIALIZE:
                host.tell(INITIALIZED)
    return answered


def _memory_mb(command: list[str]) -> float:
    with _started(command) as host:
        host.ask(INITIALIZE)
        host.tell(INITIALIZED)
        assert len(host.ask(LIST)["tools"]) == len(tool_files())
        return float(psutil.Process(host.process.pid).memory_info().rss) / 2**20


def test_the_server_answers_nearly_as_soon_as_a_bare_one(tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    bare = ([sys.executable, str(script), str(len(tool_files()))], {"name": "tool_0", "arguments": {"symbol": "BTC"}})
    ours = ([str(Path(sys.executable).with_name("claude-trader-mcp"))], {"name": "list_strategies", "arguments": {}})
    took = [(_answered_s(*ours), _answered_s(*bare)) for _ in range(WARM_UPS + RUNS)][WARM_UPS:]
    memory = _memory_mb(ours[0]), _memory_mb(bare[0])
    lines = [f"memory after tools/list: ours {memory[0]:.0f} MB, bare {memory[1]:.0f} MB"]
    ratios = [[ours[step] / bare[step] for ours, bare in took] for step in range(3)]
    for what, of_turns in zip(("initialize", "tools/list", "a first call"), ratios, strict=True):
        lines.append(f"start to {what}: {statistics.median(of_turns):.2f} x a bare server, median of {RUNS}")
    print("", *lines, sep="\n")  # noqa: T201 (a benchmark is read)
    report("start", ratios[0])
    assert statistics.median(ratios[1]) <= MOST_LISTED
    assert statistics.median(ratios[2]) <= MOST_CALLED
