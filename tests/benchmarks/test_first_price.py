"""The first price that a new process gives, beside the quickest other server: ccxt in JavaScript, by npm.

Both ask the same stand-in exchange, and both load its list of markets first.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.programs import OURS, Arguments, environment, exchange_program, say, told
from tests.benchmarks.test_start import INITIALIZE, INITIALIZED, LIST, Host
from tests.benchmarks.touches import report

WARM_UPS = 2
RUNS = 15
LATENCY_S = 0.05
MARKETS = 400

TURNS = 6
LIGHT_CALLS = 15
AHEAD_S = 0.06
"""The imports have begun by then."""
IMPORTED_S = 3.0
"""They are over by then."""
MOST_BESIDE_S = 0.02
"""So much longer may a call take that comes in the middle of a step; any other, and the end, twice as long."""

NOT_AHEAD = [
    sys.executable, "-c", "import mcp_server.once_listed as ahead; ahead.first_imports = lambda _: ()\n"
    "from mcp_server.__main__ import main; main()",
]  # fmt: skip

_ROOT = Path(__file__).parents[2]
MODULES = _ROOT / ".venv" / "peer" / "node_modules"
PRELOAD = _ROOT / "tests" / "rigs" / "peer" / "stand_in.mjs"


class Took(NamedTuple):
    """What a process took, in seconds: from its start to the answered `initialize`, its list of tools, the price."""

    start_s: float
    list_s: float
    price_s: float


def test_the_first_price_comes_as_soon_as_from_the_quickest_other_server(tmp_path: Path) -> None:
    took: dict[str, list[Took]] = {"ours": [], "peer": [], "ours, asked 3 s later": []}
    peer_command = _peer()
    with exchange_program(extra_markets=MARKETS, latency_s=LATENCY_S) as exchange:
        moved = {"STAND_IN_URL": exchange.url, "PEER_CCXT": (MODULES / "ccxt" / "js" / "ccxt.js").as_uri()}
        question = {"symbol": "BTC/USDT", "exchange": "binance"}
        for turn in range(WARM_UPS + RUNS):
            ours = _first_price(OURS, environment(tmp_path / str(turn), exchange), "get_price", question)
            asked = exchange.requests()
            peer = _first_price(peer_command, moved, "get-ticker", question)
            assert asked == exchange.requests() > 1, "both load the markets of the same exchange"
            env = environment(tmp_path / f"{turn} later", exchange)
            later = _first_price(OURS, env, "get_price", question, IMPORTED_S)
            exchange.requests()
            if turn >= WARM_UPS:
                for name, one in zip(took, (ours, peer, later), strict=True):
                    took[name].append(one)
    for name, rows in took.items():
        start, listing, price = (statistics.median(values) * 1000 for values in zip(*rows, strict=True))
        say(f"first price, {name}: start {start:.0f} ms, list {listing:.0f} ms, price {price:.0f} ms")
    pairs = list(zip(took["ours"], took["peer"], strict=True))
    say(f"from the start to the price, ratio of neighbours {statistics.median(sum(a) / sum(b) for a, b in pairs):.2f}")
    report("first price", [ours.price_s / peer.price_s for ours, peer in pairs])


def test_neither_an_answer_nor_the_end_waits_for_what_is_imported_ahead(tmp_path: Path) -> None:
    """The server is asked while it imports an exchange ahead, beside one that does not: a listing needs none."""
    took: dict[str, list[float]] = {}
    for turn in range(TURNS):
        for name, command in (("ahead", OURS), ("not ahead", NOT_AHEAD)):
            env = {"TRADER_HOME": str(tmp_path / f"{turn} {name}"), "TRADER_EXCHANGE": "kraken"}
            with _listed(command, env) as (host, _):
                _light(host, 0)  # what it needs itself is imported now
                took.setdefault(f"series {name}", []).extend(_light(host, 0.02) for _ in range(LIGHT_CALLS))
                took.setdefault(f"single {name}", []).extend(_light(host, 0.07) for _ in range(LIGHT_CALLS))
            with _listed(command, env) as (host, _):
                time.sleep(AHEAD_S)
                took.setdefault(f"end {name}", []).append(_timed(host.process.communicate))
    for what, words in (("series", "a light call in a series"), ("single", "a single one"), ("end", "the end")):
        ahead, bare = took[f"{what} ahead"], took[f"{what} not ahead"]
        say(f"{words}, beside imports ahead and without: {_figures(ahead)}, {_figures(bare)}")
        most = MOST_BESIDE_S if what == "single" else statistics.median(bare)
        assert statistics.median(ahead) <= statistics.median(bare) + most


def _figures(took: list[float]) -> str:
    return f"{statistics.median(took) * 1000:.0f} ms (95 % below {sorted(took)[int(len(took) * 0.95)] * 1000:.0f})"


def _light(host: Host, after_s: float) -> float:
    """Return what a light call takes, so long after the one before."""
    time.sleep(after_s)
    return _timed(lambda: told(host, "list_strategies", {}))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peer() -> list[str]:
    """Return how the peer is started: by Node itself, as the one in `.venv/bin` takes Python's start besides."""
    wrapper = str(Path(sys.executable).with_name("node"))
    asked = subprocess.run([wrapper, "-p", "process.execPath"], check=True, capture_output=True, text=True)
    node, program = asked.stdout.strip(), MODULES / "@mcpfun" / "mcp-server-ccxt" / "bin" / "cli.js"
    return [node, "--import", str(PRELOAD), str(program)]


def _first_price(command: list[str], env: dict[str, str], tool: str, question: Arguments, pause_s: float = 0) -> Took:
    with _listed(command, env) as (host, took):
        time.sleep(pause_s)
        return Took(*took, _timed(lambda: told(host, tool, question)))


@contextmanager
def _listed(command: list[str], env: dict[str, str]) -> Iterator[tuple[Host, tuple[float, float]]]:
    """Start a server and list its tools; yield a host, and what start and list took."""
    pipe, nowhere, began = subprocess.PIPE, subprocess.DEVNULL, time.perf_counter()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=os.environ | env, cwd=_ROOT) as process:
        try:
            host = Host(process)
            host.ask(INITIALIZE)
            started = time.perf_counter()
            host.tell(INITIALIZED)
            host.ask(LIST)
            yield host, (started - began, time.perf_counter() - started)
        finally:
            process.kill()
