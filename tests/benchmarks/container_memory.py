"""What the container's processes take: `python -m tests.benchmarks.container_memory`, as `make memory` does.

The real `up` with a rules strategy, then with one and with two Claude runs under way, against a Messages API that does
not answer. Memory shared between processes is counted once (PSS).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from mcp_server.storage.database_file import REST_S
from mcp_server.storage.home import Home
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Hang, ScriptedMessagesApi

MOST_S = 180.0


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


def taken_mb(runner: psutil.Process) -> dict[str, float]:
    """Return what each process takes now, in MB, by its name and number."""
    return {f"{each.name()[:20]} {each.pid}": each.memory_full_info().pss / 1e6 for each in tree(runner)}


def taken(runner: psutil.Process) -> str:
    time.sleep(5)  # what has just started is not yet what stays
    parts = taken_mb(runner)
    listed = ", ".join(f"{name.split()[0]} {mb:.0f}" for name, mb in parts.items())
    return f"{sum(parts.values()):5.0f} MB  ({listed})"


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


def main() -> None:
    watcher = {"watcher": {"description": "Watches.", "prompt": "You watch.", "tools": ["get_price"]}}
    with tempfile.TemporaryDirectory() as folder, ScriptedMessagesApi({ORCHESTRATOR: [Hang()]}) as api:
        home = Home(Path(folder))
        with up_after_a_run(home, {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "dummy"}) as runner:
            sys.stdout.write(f"after a run by rules, its chart just drawn   {taken(runner)}\n")
            rest(runner)
            sys.stdout.write(f"at rest, a minute later   {taken(runner)}\n")
            for number in (1, 2):
                write(home, f"agent-{number}", {"timeout_s": 600}, watcher)
                wait(lambda number=number: agents(runner) == number)  # type: ignore[misc]
                sys.stdout.write(f"with {number} Claude run(s) under way  {taken(runner)}\n")


if __name__ == "__main__":
    main()
