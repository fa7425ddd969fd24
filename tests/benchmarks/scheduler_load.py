"""How late runs begin, with many strategies at once: `python -m tests.benchmarks.scheduler_load STRATEGIES MINUTES`.

The real `up`, tool server and journal; rules strategies that come due every minute, on the simulated exchange. It ends
by itself and prints a table.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home

START = "2026-04-01T00:00:30+00:00"
WARM_UP_MINUTES = 1


@dataclass(frozen=True)
class Load:
    """What was measured: seconds that runs began late and that they took, and memory in MB, by minute."""

    late_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    statuses: dict[str, int]
    runner_mb: list[float]
    server_mb: list[float]


def measure(strategies: int, minutes: int) -> Load:
    """Run so many strategies for so many minutes, the first one not counted."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.prepare()
        for number in range(strategies):
            _write(home, number)
        return _run(home, minutes + WARM_UP_MINUTES)


def _write(home: Home, number: int) -> None:
    pairs = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    rules = {
        "timeframe": "1m",
        "indicators": [f"rsi({10 + number % 7})", f"ema({20 + number % 11})"],
        "buy": f"rsi_{10 + number % 7} < 30 AND close > ema_{20 + number % 11}",
        "sell": f"rsi_{10 + number % 7} > 70",
    }
    config = {
        "trading_pair": pairs[number % len(pairs)],
        "exchange": "simulated",
        "interval": "1m",
        "offset_s": 0,
        "rules": rules,
    }
    strategy = home.strategies / f"load-{number:04d}"
    strategy.mkdir()
    (strategy / "config.json").write_text(json.dumps(config))


def _run(home: Home, minutes: int) -> Load:
    command = [sys.executable, "-m", "tests.rigs.fast_runner", "1", START, str(time.time())]
    runner_mb, server_mb = list[float](), list[float]()
    with tempfile.TemporaryFile() as said:
        runner = subprocess.Popen(command, env={**os.environ, "TRADER_HOME": str(home.root)}, stdout=said, stderr=said)
        try:
            process = psutil.Process(runner.pid)
            for _ in range(minutes):
                time.sleep(60)
                runner_mb.append(process.memory_info().rss / 1e6)
                server_mb.append(sum(child.memory_info().rss for child in process.children()) / 1e6)
            time.sleep(5)
        finally:
            runner.terminate()
            runner.wait(60)
    rows = Database(home.database).read(
        lambda connection: connection.execute(
            "SELECT epoch(started_at) - epoch(scheduled_at), status FROM executions "
            "WHERE scheduled_at > (SELECT min(scheduled_at) FROM executions) ORDER BY id"
        ).fetchall()
    )
    statuses: dict[str, int] = {}
    for _, status in rows:
        statuses[status] = statuses.get(status, 0) + 1
    return Load(np.array([late for late, _ in rows]), statuses, runner_mb, server_mb)


def report(strategies: int, minutes: int) -> str:
    """Measure, and give the table."""
    load = measure(strategies, minutes)
    p50, p95, p99, most = (float(np.percentile(load.late_s, q)) for q in (50, 95, 99, 100))
    memory = " → ".join(
        f"{runner:.0f}+{server:.0f}" for runner, server in zip(load.runner_mb, load.server_mb, strict=True)
    )
    return (
        f"{strategies} strategies every minute, {minutes} minutes: {len(load.late_s)} slots {load.statuses}\n"
        f"began late by: p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s, most {most:.2f} s\n"
        f"memory in MB, runner+server, by minute: {memory}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(report(int(sys.argv[1]), int(sys.argv[2])))
