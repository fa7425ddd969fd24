"""kill -9 in the midst of writes: a strategy is at all times one whole valid version, and no version is lost."""

import contextlib
import json
import random
import threading
import time
from pathlib import Path

import psutil
import pytest

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.forked_script import ForkedScript

PROCESSES = 3
ONE_IN = 10
"""One in so many writes is killed."""
LONGEST_S = 0.02
"""Within this time from its beginning, so that kills hit the wait for its turn, the files and the exchange."""
LIMIT_S = 120

WRITER = """
import sys
from pathlib import Path
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.home import Home
from mcp_server.storage.strategies.folders import StrategyFolders

folders = StrategyFolders(Home(Path(sys.argv[1])), Path("/nowhere"))
who, first, last = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(first, last):
    said = f"{who} {number} " + "x" * 20_000
    config = {"trading_pair": "BTC/USD", "interval": "1h", "description": said[:19_000]}
    agents = {f"a{part}": {"description": said[:900], "prompt": said[:19_000], "tools": ["get_price"]} for part in "bc"}
    strategy = parse_strategy("shared", config, agents)
    print("begins", number, strategy.version, flush=True)
    folders.write(strategy)
    print("wrote", number, strategy.version, flush=True)
"""


class Writer(threading.Thread):
    """Has its share written by a process that is killed now and then in the midst of a write, and begun again."""

    def __init__(self, home: Path, who: str, seed: int, share: int) -> None:
        super().__init__(name=who)
        self.home = home
        self.share = share
        self.dice = random.Random(seed)  # noqa: S311 (moments to kill at, no secrets)
        self.kills = 0
        self.told: set[str] = set()
        self.begun: set[str] = set()

    def run(self) -> None:
        done = 0
        while done < self.share:
            with ForkedScript(WRITER, str(self.home), self.name, str(done), str(self.share)) as process:
                for line in process.stdout:
                    if not line.endswith("\n"):
                        break  # it was killed in the midst of it
                    word, number, version = line.split()
                    if word == "wrote":
                        self.told.add(version)
                        done = int(number) + 1
                        continue
                    self.begun.add(version)
                    if self.dice.random() < 1 / ONE_IN:
                        with contextlib.suppress(psutil.TimeoutExpired):
                            process.wait(self.dice.uniform(0, LONGEST_S))
                        process.kill()
                        self.kills += 1


def one_whole_version(home: Path) -> str | None:
    """Read the strategy as any reader does; None while it was never written."""
    folders = StrategyFolders(Home(home), Path("/nowhere"))
    if not folders.names():
        return None
    strategy = folders.read("shared")
    texts = [strategy.config.description, *(agent.prompt for agent in strategy.agents.values())]
    assert len({" ".join(text.split()[:2]) for text in texts}) == 1, "both files are of one version"
    return strategy.version


@pytest.mark.parametrize("writes", [30, pytest.param(300, marks=pytest.mark.long)])
def test_a_strategy_is_one_whole_valid_version_through_kills_and_none_that_was_told_is_lost(
    home: Path, writes: int
) -> None:
    writers = [Writer(home, who, seed, writes // PROCESSES) for seed, who in enumerate(("one", "two", "three"))]
    for writer in writers:
        writer.start()
    reads, deadline = 0, time.monotonic() + LIMIT_S
    while any(writer.is_alive() for writer in writers):
        assert time.monotonic() < deadline
        reads += one_whole_version(home) is not None
    kills = sum(writer.kills for writer in writers)
    assert kills >= writes / ONE_IN / 2
    assert reads > writes / 3
    last = one_whole_version(home)
    StrategyFolders(Home(home), Path("/nowhere")).write(
        parse_strategy("other", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    )
    kept = Home(home).strategies / ".versions" / "shared"
    versions = {folder.name for folder in kept.iterdir()}
    for folder in kept.iterdir():
        both = [json.loads((folder / file).read_text()) for file in ("config.json", "agents.json")]
        assert parse_strategy("shared", *both).version == folder.name
    told = set().union(*(writer.told for writer in writers))
    begun = set().union(*(writer.begun for writer in writers))
    assert told <= {*versions, last}
    assert versions <= begun
    assert len(told) >= writes - kills
    left = {entry.name for entry in Home(home).strategies.iterdir()}
    assert left == {"shared", "other", ".versions", ".lock"}, "the next write clears away what a killed one left"
