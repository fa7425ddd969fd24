"""What the container's processes take: `python -m tests.benchmarks.container_memory`, as `make memory` does.

With `--write` it writes the figures into the guide to deploying; what `up` takes at rest is kept for `make figures`.
The real `up` with a rules strategy, then with one and with two Claude runs under way, against a Messages API that does
not answer. It is counted as if nothing else ran on the machine; see `memory_pages`.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from mcp_server.storage.database_file import REST_S
from mcp_server.storage.home import Home
from tests.benchmarks.memory_pages import MemoryTaken, memory_taken
from tests.benchmarks.programs import say
from tests.benchmarks.touches import report
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Hang, ScriptedMessagesApi

MOST_S = 180.0
LOOKS = 5
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "deploy.md"


def write(home: Home, name: str, config: dict[str, object], agents: object = None) -> None:
    folder = home.strategies / name
    folder.mkdir(parents=True)
    base = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1m"}
    (folder / "config.json").write_text(json.dumps(base | config))
    if agents is not None:
        (folder / "agents.json").write_text(json.dumps(agents))


def tree(runner: psutil.Process) -> list[psutil.Process]:
    return [runner, *runner.children(recursive=True)]


def agents(runner: psutil.Process) -> int:
    return sum(1 for each in tree(runner) if Path(each.exe()).name == "claude")


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MOST_S
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError("it took too long")
        time.sleep(0.2)


def taken(runner: psutil.Process) -> MemoryTaken:
    """Return what its processes take now, itself first, then the tool server."""
    return memory_taken(each.pid for each in tree(runner))


def settled(runner: psutil.Process) -> MemoryTaken:
    time.sleep(5)  # what has just started is not yet what stays
    return taken(runner)


@contextmanager
def up_after_a_run(home: Home, settings: Mapping[str, str]) -> Iterator[psutil.Process]:
    """Start `up` with one strategy by rules, and give its runner once a first signal was told."""
    home.prepare()
    write(home, "rules", {"rules": {"timeframe": "1m", "indicators": ["rsi(14)"], "buy": "rsi_14 < 30"}})
    command = [sys.executable, "-m", "runner", "up", "--port", "0", "--grace", "1"]
    environment = {**os.environ, "TRADER_HOME": str(home.root), "TRADER_NEWS": "off", **settings}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "HOLD" in line or "BUY" in line:
                    break
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def rest(runner: psutil.Process) -> None:
    """Wait until nothing is under way: the process that drew the first chart has ended, and what the last run used.

    Runs begin with each minute, and a database ends `REST_S` after its last use.
    """
    wait(lambda: len(tree(runner)) > 2)  # runner and server
    wait(lambda: len(tree(runner)) == 2)
    time.sleep((3 * REST_S - time.time()) % 60)


def at_rest(runner: psutil.Process) -> list[MemoryTaken]:
    """Look at `up` between two runs, some times; the least is first."""
    rest(runner)
    looks = []
    for _ in range(LOOKS):
        time.sleep(3)
        looks.append(taken(runner))
    return sorted(looks, key=lambda look: look.total)


def report_rest(looks: Sequence[MemoryTaken]) -> None:
    """Report the line of the table.

    Raises:
        AssertionError: `up` takes more than wanted.
    """
    say(f"up at rest, runner and server: {looks[LOOKS // 2]}")
    report("memory of up", [look.total for look in looks])


def write_figures(figures: Sequence[float]) -> None:
    """Write what is taken at rest, and with one and with two Claude runs, into the guide."""
    at_rest, one, two = (f"{mb:.0f} MB" for mb in figures)
    sentence = f"{at_rest} at rest, {one} with one Claude run, {two} with two."
    text, replaced = re.subn(r"\d+ MB at rest, [^.]*\.", sentence, GUIDE.read_text("utf-8"))
    if replaced != 1:
        raise SystemExit(f"{GUIDE} has {replaced} sentences with these figures, and not one.")
    GUIDE.write_text(text, "utf-8")


def main() -> None:
    watcher = {"watcher": {"description": "Watches.", "prompt": "You watch.", "tools": ["get_price"]}}
    with tempfile.TemporaryDirectory() as folder, ScriptedMessagesApi({ORCHESTRATOR: [Hang()]}) as api:
        home = Home(Path(folder))
        with up_after_a_run(home, {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "dummy"}) as runner:
            sys.stdout.write(f"after a run by rules, its chart just drawn   {settled(runner)}\n")
            looks = at_rest(runner)
            with suppress(AssertionError):  # the table says so
                report_rest(looks)
            figures = [looks[LOOKS // 2].total]
            sys.stdout.write("\n")
            for number in (1, 2):
                write(home, f"agent-{number}", {"timeout_s": 600}, watcher)
                wait(lambda number=number: agents(runner) == number)  # type: ignore[misc]
                figures.append((now := settled(runner)).total)
                sys.stdout.write(f"with {number} Claude run(s) under way  {now}\n")
    if "--write" in sys.argv:
        write_figures(figures)


if __name__ == "__main__":
    main()
