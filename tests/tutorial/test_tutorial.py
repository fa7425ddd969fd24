"""The tutorial as its reader works through it: every command in order, in a folder of its own, and what it prints.

Some are tried in another form. `make demo` installs, and then runs the demo of `tests/runner/test_demo.py`, where what
the page shows of it is compared. `. .venv/bin/activate` is a PATH here. `claude-trader up` runs an hour behind, at ten
times the speed, so that signals can be judged at once; when the reader comes back it runs by the machine's clock.
Backtests prove over few candles that nothing looks ahead, of which the page shows nothing.

What comes from the schedule on is `long`, and not typed in `make test`: those commands have tests of their own there.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import claude_agent_sdk
import httpx2
import pytest

from tests.rigs.hourly_candles import candle_lines
from tests.rigs.running_up import RunningUp
from tests.rigs.typed_page import Block, blocks, missing
from tests.runner.conftest import Done, trader_in

ROOT = Path(__file__).parents[2]
BLOCKS = blocks((ROOT / "docs" / "tutorial.md").read_text("utf-8"))
INSTALL, *REST = BLOCKS
SCHEDULE = next(place for place, block in enumerate(REST) if block.title.startswith("7."))
UP, BACK, LAST = "claude-trader up", "claude-trader status", "claude-trader strategies remove pulse --yes"
CLAUDE = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"


class Reader:
    """Types commands in a checkout, whose home is its folder `data`."""

    def __init__(self, checkout: Path, stack: ExitStack) -> None:
        self._home, self._checkout, self._stack = checkout / "data", checkout, stack
        self._trader = trader_in(self._home, checkout, "tests.rigs.quick_backtests")
        programs = checkout / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "claude").symlink_to(CLAUDE)
        (programs / "claude-trader-mcp").symlink_to(Path(sys.executable).with_name("claude-trader-mcp"))
        own = {"HOME": str(checkout), "CLAUDE_CONFIG_DIR": str(checkout / ".claude"), "TRADER_HOME": str(self._home)}
        own |= {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "PATH": f"{programs}:{os.environ['PATH']}"}
        self._environment = {**os.environ, **own}
        self._up: RunningUp | None = None

    def types(self, command: str) -> Done:
        if command == UP:
            return self._starts_up()
        if command == BACK:
            self._comes_back()
        if command == LAST:
            self._stops_up()
        if command.startswith("claude-trader "):
            return self._trader(*shlex.split(command)[1:], COLUMNS="80")
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False,
            cwd=self._checkout, env=self._environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def _starts_up(self) -> Done:
        start = datetime.now(UTC) - timedelta(hours=1)
        up = self._up = self._stack.enter_context(RunningUp(self._home, speed=10, start=start, warm_server=True))
        up.until(lambda: [row for row in up.rows("pulse") if row["signal"]])
        page = json.loads(next(line for line in up.log.splitlines() if "in a browser" in line))["event"].split()[1]
        assert "<title>Claude Trader</title>" in httpx2.get(page, timeout=30).text
        return Done(0, "", "")

    def _comes_back(self) -> None:
        self._stops_up()
        running = RunningUp(self._home, speed=1, start=datetime.now(UTC), warm_server=True)
        up = self._up = self._stack.enter_context(running)
        up.until(lambda: not up.beat()["problems"])
        assert up.beat()["pid"] == up.process.pid

    def _stops_up(self) -> None:
        assert self._up is not None
        assert self._up.stop() == 0


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], list[Done]]]:
    """What came of the commands of a block, by its place; those of all blocks before it are typed first."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "prices.csv").write_text("".join(candle_lines()))
    with ExitStack() as stack:
        reader = Reader(checkout, stack)
        came: list[list[Done]] = []

        def of(place: int) -> list[Done]:
            came.extend([reader.types(each) for each in block.commands] for block in REST[len(came) : place + 1])
            return came[place]

        yield of


def test_the_page_begins_with_the_demo() -> None:
    assert INSTALL.commands == ("make demo", ". .venv/bin/activate")
    assert "demo: $(VENV)/base.stamp" in (makefile := (ROOT / "Makefile").read_text())
    assert "\t@$(BIN)/claude-trader demo\n" in makefile


@pytest.mark.parametrize(
    ("place", "block"),
    [
        pytest.param(
            place, block,
            marks=[pytest.mark.long] * (place >= SCHEDULE), id=f"{block.title}: {block.commands[0].splitlines()[0]}",
        )
        for place, block in enumerate(REST)
    ],
)  # fmt: skip
def test_every_command_works_and_prints_what_the_page_shows(
    done: Callable[[int], list[Done]], place: int, block: Block
) -> None:
    came = done(place)
    output = "".join(command.out for command in came)
    assert [(command.code, command.err) for command in came] == [(0, "")] * len(block.commands), output
    assert missing(block.shown, output) == [], output
