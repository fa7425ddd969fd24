"""What the two processes of `up` have imported once a run by rules is over, its report and its chart included.

Memory at rest is what these imports make it, and `make memory` measures it. In `make test`, one process imports the
runner and writes a report, and then is a server that is asked for a chart; the two programs whole, as people start
them, take seconds.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.rigs.running_up import RunningUp

RULES = {"timeframe": "1m", "indicators": ["rsi(14)"], "buy": "rsi_14 < 101"}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1m", "rules": RULES}

TELLS = """
import os, signal, sys

def tell(*_):
    path = os.path.join(os.path.dirname(__file__), str(os.getpid()))
    with open(path + ".part", "w") as file:
        file.write("\\n".join(sys.modules))
    os.replace(path + ".part", path)

signal.signal(signal.SIGUSR1, tell)
"""

IN_NEITHER = {
    "PIL", "aiohttp", "apprise", "ccxt", "claude_agent_sdk", "cryptography", "kiwisolver", "matplotlib", "pandas",
    "pandas_ta_classic", "pygments", "rich",
}  # fmt: skip
NOT_IN_THE_RUNNER = {"numpy", "talib"}


IN_ONE = """
import sys
import mcp_server.app  # before anything else imports mcp, as in a server
import runner.cli.up, runner.up
from runner.logs import start_logging
start_logging((), human=False)

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from mcp_server.domain.outcome import Ended, Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.home import Home
from runner.report import write_report
strategy = parse_strategy("rules", {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
signal, at = Signal("BUY", Decimal(60), "It rose.", 42.5), datetime(2026, 5, 20, 12, tzinfo=UTC)
home, ended = Home(Path(os.environ["TRADER_HOME"])), Ended(1, "rules", at, Outcome(Status.SUCCESS, signal), at, at)
write_report(home, strategy, ended, b"")
print(*sys.modules)

import anyio
from mcp import Client
from mcp_server.app import build_server
from mcp_server.settings import ServerSettings

async def main():
    async with Client(build_server(ServerSettings.load())) as client:
        chart = await client.call_tool("draw_chart", {"symbol": "BTC/USDT"})
        assert any(block.type == "image" for block in chart.content), chart

anyio.run(main)
print(*sys.modules)
"""


def packages(modules: str) -> set[str]:
    return {name.partition(".")[0] for name in modules.split()}


def test_neither_program_imports_what_only_charts_exchanges_or_people_need(home: Path) -> None:
    environment = {**os.environ, "TRADER_EXCHANGE": "simulated"}
    done = subprocess.run([sys.executable, "-c", IN_ONE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    of_runner, of_server = done.stdout.splitlines()
    assert packages(of_runner) & (IN_NEITHER | NOT_IN_THE_RUNNER) == set()
    assert packages(of_server) & IN_NEITHER == set()


@pytest.mark.long
def test_neither_process_keeps_what_only_charts_exchanges_or_people_need(home: Path, tmp_path: Path) -> None:
    folder, tells = home / "strategies" / "rules", tmp_path / "tells"
    folder.mkdir(parents=True)
    tells.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (tells / "sitecustomize.py").write_text(TELLS)
    with RunningUp(home, warm=False, environment={"PYTHONPATH": str(tells)}) as up:
        up.until(lambda: list((home / "analysis" / "rules").glob("*.png")))
        up.until(lambda: list((home / "analysis" / "rules").glob("*.md")))

        def imported(process: psutil.Process) -> set[str]:
            process.send_signal(signal.SIGUSR1)
            file = tells / str(process.pid)
            up.until(file.exists)
            return packages(file.read_text())

        assert imported(up.server()) & IN_NEITHER == set()
        assert imported(psutil.Process(up.process.pid)) & (IN_NEITHER | NOT_IN_THE_RUNNER) == set()
