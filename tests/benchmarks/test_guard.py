"""A small form of the benchmarks that fails when something has become slow: `make guard`, which takes seconds.

Processor time of programs and their floors in turn, which a busy machine changes little. Each has three tries to stay
below one and a half times what is wanted; a start, of which nearly all is its floor, below one and a quarter.
"""

import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcp_server.app import tool_files
from mcp_server.storage.database import Database
from tests.benchmarks.programs import FLOOR, OURS, Arguments, environment, exchange_program, host_of, say, told
from tests.benchmarks.test_indicators import TEN
from tests.benchmarks.test_market import this_hour
from tests.benchmarks.test_start import BARE, LIST, Host

CLI = str(Path(sys.executable).with_name("claude-trader"))
PRINTING = [sys.executable, "-c", "import typer, rich"]
READING = [sys.executable, "-c", "import typer, rich, duckdb; duckdb.connect()"]
TRIES, PAIRS, CALLS = 3, 3, 150
SLACK = 1.5
OF_A_START = 1.25
"""To import pandas, too, would make a start 1.45 times as long as its floor, and be missed with the usual slack."""

Measured = Callable[[], float]


def holds(what: str, wanted: float, ours: Measured, floor: Measured, *, slack: float = SLACK) -> None:
    """Raise AssertionError if the ratio of ours to its floor, in processor seconds, is too high each time."""
    ratios: list[float] = []
    most = slack * wanted
    while len(ratios) < TRIES and (not ratios or ratios[-1] > most):
        ratios.append(statistics.median(ours() / floor() for _ in range(PAIRS)))
    figures = " ".join(f"{ratio:.2f}" for ratio in ratios)
    say(f"{what}: {figures} times its floor (wanted {wanted:g}, fails above {most:g})")
    assert ratios[-1] <= most, f"{what}: {figures}"


def spent(pid: int) -> float:
    """Return the processor seconds of a program and its children until now."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)])


def of_start(command: list[str], env: dict[str, str], *, listing: bool) -> float:
    with host_of(command, env) as host:
        assert not listing or len(host.ask(LIST)["tools"]) == len(tool_files())
        return spent(host.process.pid)


def of_program(command: list[str]) -> float:
    """Return the processor seconds of a program and of what it waits for; it may end with 1: what it tells is bad."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode <= 1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_calls(host: Host, name: str, arguments: Arguments) -> float:
    before = spent(host.process.pid)
    for _ in range(CALLS):
        told(host, name, arguments)
    return spent(host.process.pid) - before


@pytest.mark.parametrize(("listing", "wanted"), [(False, 1.1), (True, 1.15)])
def test_the_server_starts_and_lists_its_tools_nearly_as_soon_as_a_bare_one(
    home: Path, tmp_path: Path, wanted: float, *, listing: bool
) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    bare, env = [sys.executable, str(script), str(len(tool_files()))], environment(home)
    what = "start and list" if listing else "start"
    ours, floor = (partial(of_start, *program, listing=listing) for program in [(OURS, env), (bare, {})])
    holds(what, wanted, ours, floor, slack=OF_A_START)


@pytest.mark.parametrize(("command", "floor", "wanted"), [("--help", PRINTING, 2.0), ("signals", READING, 1.2)])
def test_a_command_takes_little_longer_than_the_libraries_it_needs(
    home: Path, command: str, floor: list[str], wanted: float
) -> None:
    Database(home / "claude_trader.duckdb").write(lambda connection: None)
    holds(command, wanted, lambda: of_program([CLI, command]), lambda: of_program(floor))


PRICE = {"symbol": "BTC/USDT", "exchange": "binance"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    home = tmp_path_factory.mktemp("home")
    with exchange_program() as exchange, host_of(OURS, environment(home, exchange)) as host:
        yield host


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [("get_price", PRICE, 2.0), ("calculate_indicators", PRICE | {"indicators": TEN, "as_of": this_hour()}, 9.0)],
)
def test_what_is_known_is_answered_in_little_more_than_it_takes_to_send(
    host: Host, tmp_path: Path, name: str, arguments: Any, wanted: float
) -> None:
    answer = told(host, name, arguments)
    file = tmp_path / "answer.json"
    sent = {"text": answer["content"][0]["text"], "structured": answer["structuredContent"], "schema": None}
    file.write_text(json.dumps(sent))
    with ExitStack() as stack:
        bare = stack.enter_context(host_of([*FLOOR, str(file)]))
        anything = {"symbol": "", "limit": 1, "exchange": "", "as_of": ""}
        holds(name, wanted, lambda: of_calls(host, name, arguments), lambda: of_calls(bare, "get_ohlcv", anything))
