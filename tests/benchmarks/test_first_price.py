"""The first price that a new process gives, beside the quickest other server: ccxt in JavaScript, by npm.

Both ask the same stand-in exchange, and both load its list of markets first.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.programs import OURS, Arguments, environment, exchange_program, say, told
from tests.benchmarks.test_start import INITIALIZE, INITIALIZED, LIST, Host
from tests.benchmarks.touches import report

WARM_UPS = 2
RUNS = 15
LATENCY_S = 0.05
MARKETS = 400

_ROOT = Path(__file__).parents[2]
MODULES = _ROOT / ".venv" / "peer" / "node_modules"
PRELOAD = _ROOT / "tests" / "rigs" / "peer" / "stand_in.mjs"


class Took(NamedTuple):
    """What a process took, in seconds: from its start to the answered `initialize`, its list of tools, the price."""

    start_s: float
    list_s: float
    price_s: float


def test_the_first_price_comes_as_soon_as_from_the_quickest_other_server(tmp_path: Path) -> None:
    took: dict[str, list[Took]] = {"ours": [], "peer": []}
    peer_command = _peer()
    with exchange_program(extra_markets=MARKETS, latency_s=LATENCY_S) as exchange:
        moved = {"STAND_IN_URL": exchange.url, "PEER_CCXT": (MODULES / "ccxt" / "js" / "ccxt.js").as_uri()}
        question = {"symbol": "BTC/USDT", "exchange": "binance"}
        for turn in range(WARM_UPS + RUNS):
            ours = _first_price(OURS, environment(tmp_path / str(turn), exchange), "get_price", question)
            asked = exchange.requests()
            peer = _first_price(peer_command, moved, "get-ticker", question)
            assert asked == exchange.requests() > 1, "both load the markets of the same exchange"
            if turn >= WARM_UPS:
                took["ours"].append(ours)
                took["peer"].append(peer)
    for name, rows in took.items():
        start, listing, price = (statistics.median(values) * 1000 for values in zip(*rows, strict=True))
        say(f"first price, {name}: start {start:.0f} ms, list {listing:.0f} ms, price {price:.0f} ms")
    pairs = list(zip(took["ours"], took["peer"], strict=True))
    say(f"from the start to the price, ratio of neighbours {statistics.median(sum(a) / sum(b) for a, b in pairs):.2f}")
    report("first price", [ours.price_s / peer.price_s for ours, peer in pairs])


def _peer() -> list[str]:
    """Return how the peer is started: by Node itself, as the one in `.venv/bin` takes Python's start besides."""
    wrapper = str(Path(sys.executable).with_name("node"))
    asked = subprocess.run([wrapper, "-p", "process.execPath"], check=True, capture_output=True, text=True)
    node, program = asked.stdout.strip(), MODULES / "@mcpfun" / "mcp-server-ccxt" / "bin" / "cli.js"
    return [node, "--import", str(PRELOAD), str(program)]


def _first_price(command: list[str], env: dict[str, str], tool: str, question: Arguments) -> Took:
    pipe, nowhere, began = subprocess.PIPE, subprocess.DEVNULL, time.perf_counter()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=os.environ | env, cwd=_ROOT) as process:
        try:
            host = Host(process)
            host.ask(INITIALIZE)
            started = time.perf_counter()
            host.tell(INITIALIZED)
            host.ask(LIST)
            listed = time.perf_counter()
            told(host, tool, question)
            return Took(started - began, listed - started, time.perf_counter() - listed)
        finally:
            process.kill()
