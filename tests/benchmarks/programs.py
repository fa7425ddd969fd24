"""The programs that benchmarks start, and how they are timed beside each other."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import ccxt.async_support
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, TextContent

from tests.benchmarks.test_start import INITIALIZE, INITIALIZED, Host

OURS = [str(Path(sys.executable).with_name("claude-trader-mcp"))]
FLOOR = [sys.executable, "-m", "tests.benchmarks.floor_program"]

_CHECKOUT = Path(__file__).parents[2]

Arguments = dict[str, Any]


class Exchange:
    """The stand-in exchange in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line().strip()

    def set(self, **switches: float) -> None:
        """Set the latency of each request (`latency_s`) or the number of `extra_markets`."""
        self._told(switches)

    def requests(self) -> int:
        """Give how many requests came since the last question or switch."""
        return sum(self._told({}).values())

    def _told(self, switches: dict[str, float]) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(switches) + "\n")
        self._process.stdin.flush()
        counted: dict[str, int] = json.loads(self._line())
        return counted

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def exchange_program(**switches: float) -> Iterator[Exchange]:
    command = [sys.executable, "-m", "tests.benchmarks.exchange_program"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_CHECKOUT) as process:
        try:
            exchange = Exchange(process)
            exchange.set(**switches)
            yield exchange
        finally:
            process.kill()


def environment(home: Path, exchange: Exchange | None = None) -> dict[str, str]:
    """Give the settings of a server: its home, and the stand-in in place of three exchanges."""
    urls = dict.fromkeys(("binance", "coinbase", "kraken"), exchange.url) if exchange else {}
    return {"TRADER_HOME": str(home), "TRADER_EXCHANGE_URLS": json.dumps(urls)}


@asynccontextmanager
async def client_of(command: list[str], env: dict[str, str] | None = None) -> AsyncIterator[Client]:
    """Start a server and speak to it as Python programs do."""
    async with Client(StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=_CHECKOUT)) as client:
        yield client


@contextmanager
def host_of(command: list[str], env: dict[str, str] | None = None) -> Iterator[Host]:
    """Start a server and speak to it in bare lines of JSON: what is timed then is nearly all the server's own."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | (env or {}), cwd=_CHECKOUT) as process:
        try:
            host = Host(process)
            host.ask(INITIALIZE)
            host.tell(INITIALIZED)
            yield host
        finally:
            process.kill()


def told(host: Host, name: str, arguments: Arguments) -> dict[str, Any]:
    """Call a tool; an error of its own fails the benchmark."""
    params = {"name": name, "arguments": arguments}
    result = host.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params})
    assert not result.get("isError"), result["content"]
    return result


async def answer_of(client: Client, name: str, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """Call a tool and give the answer's two forms; an error of its own fails the benchmark."""
    result = await client.call_tool(name, arguments)
    assert isinstance(result, CallToolResult)
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert not result.is_error, block.text
    assert result.structured_content is not None
    return block.text, result.structured_content


@asynccontextmanager
async def bare_ccxt(exchange_id: str, url: str) -> AsyncIterator[Any]:
    """Give ccxt's own object, its markets loaded, with the limiter that lets a burst pass as ours does."""
    limiter = {"enableRateLimit": True, "rateLimiterAlgorithm": "rollingWindow"}
    client = getattr(ccxt.async_support, exchange_id)(limiter)
    client.urls["api"] = json.loads(re.sub(r'https?://[^/"]+', url, json.dumps(client.urls["api"])))
    client.timeout_on_exit = 0
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


Ask = Callable[[int], Awaitable[object]]


async def timed(turns: range, **asks: Ask) -> dict[str, list[float]]:
    """Ask everyone once a turn, and give what each took in ms; turns below 0 warm up and do not count.

    Each turn has the opposite order of the last: what one leaves behind for the machine to do (ours writes to its
    database once it has answered) falls on either equally often.
    """
    took: dict[str, list[float]] = {name: [] for name in asks}
    order = list(asks.items())
    for turn in turns:
        for name, ask in order:
            began = time.perf_counter()
            await ask(turn)
            if turn >= 0:
                took[name].append((time.perf_counter() - began) * 1000)
        order.reverse()
    return took


def ratios(took: dict[str, list[float]], one: str, other: str) -> list[float]:
    """Give the ratio of what two took, for each turn."""
    return [a / b for a, b in zip(took[one], took[other], strict=True)]


def ratio(took: dict[str, list[float]], one: str, other: str) -> float:
    """Give the median ratio of what two took in the same turn."""
    return statistics.median(ratios(took, one, other))


def medians(took: dict[str, list[float]]) -> str:
    """Write what each took, in ms."""
    return ", ".join(f"{name} {statistics.median(values):.2f} ms" for name, values in took.items())


def say(line: str) -> None:
    """Print a figure."""
    print(f"\n{line}", end="")  # noqa: T201 (a benchmark is read)
