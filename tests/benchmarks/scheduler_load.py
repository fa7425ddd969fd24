"""How late runs begin, with many strategies at once: `python -m tests.benchmarks.scheduler_load STRATEGIES MINUTES`.

The real `up`, tool server and journal; rules strategies that come due every minute, on the simulated exchange. It ends
by itself and prints a table. A run begins when it has its turn and is asked for, which is later than its claim.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import psutil

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.benchmarks.touches import TOUCHES, report

START = "2026-04-01T00:00:30+00:00"
WARM_UP_MINUTES = 1


Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """What was measured: seconds after they were due that runs began and ended, and memory in MB, each by minute.

    `cpu_ms` is the processor time of the runner and of its server for each run: of all that both do.
    """

    late_s: list[Seconds]
    ended_s: list[Seconds]
    statuses: dict[str, int]
    runner_mb: list[float]
    server_mb: list[float]
    cpu_ms: tuple[float, float]

    @property
    def runs_per_s(self) -> float:
        """How many runs ended in each second, from when they were due to when the last one ended."""
        return float(np.median([len(ended) / ended.max() for ended in self.ended_s]))


def measure(strategies: int, minutes: int) -> Load:
    """Run so many strategies for so many minutes, the first one not counted."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Home(Path(folder)), strategies, minutes + WARM_UP_MINUTES)


def started(home: Home, strategies: int, began: float, said: IO[bytes], **more: str) -> "subprocess.Popen[bytes]":
    """Start `up` on a new home with so many strategies, by a clock that shows `START` at the Unix time `began`.

    What it says goes to a file; `more` are variables of its environment.
    """
    home.prepare()
    for number in range(strategies):
        _write_strategy(home, number)
    command = [sys.executable, "-m", "tests.rigs.fast_runner", "1", START, str(began)]
    environment = {**os.environ, "TRADER_HOME": str(home.root), "TRADER_NEWS": "off", **more}
    return subprocess.Popen(command, env=environment, stdout=said, stderr=said)


def _write_strategy(home: Home, number: int) -> None:
    """Write a strategy by rules that is due every minute, on one of three symbols."""
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


def _run(home: Home, strategies: int, minutes: int) -> Load:
    runner_mb, server_mb, cpu_s = list[float](), list[float](), list[tuple[float, float]]()
    with tempfile.TemporaryFile() as said:
        runner = started(home, strategies, time.time(), said)
        try:
            process = psutil.Process(runner.pid)
            for _ in range(minutes):
                time.sleep(60)
                runner_mb.append(process.memory_info().rss / 1e6)
                server_mb.append(sum(child.memory_info().rss for child in process.children()) / 1e6)
                cpu_s.append((processor_s(process), sum(map(processor_s, process.children()))))
            time.sleep(5)
        finally:
            runner.terminate()
            runner.wait(60)
    rows = Database(home.database).read(
        lambda connection: connection.execute(
            "SELECT scheduled_at, epoch(started_at) - epoch(scheduled_at), epoch(completed_at) - epoch(scheduled_at), "
            "status FROM executions WHERE scheduled_at > (SELECT min(scheduled_at) FROM executions) ORDER BY id"
        ).fetchall()
    )
    slots = sorted({row[0] for row in rows})
    late_s, ended_s = (by_slot(rows, slots, at) for at in (1, 2))
    statuses = {status: sum(row[3] == status for row in rows) for status in sorted({row[3] for row in rows})}
    counted = sum(map(len, late_s[: len(cpu_s) - 1])) or 1
    cpu_ms = [1_000 * (last - first) / counted for first, last in zip(cpu_s[0], cpu_s[-1], strict=True)]
    return Load(late_s, ended_s, statuses, runner_mb, server_mb, (cpu_ms[0], cpu_ms[1]))


def by_slot(rows: Sequence[tuple[Any, ...]], slots: Sequence[Any], column: int) -> list[Seconds]:
    """Return one column of rows whose first one is their slot, by slot."""
    return [np.array([row[column] for row in rows if row[0] == slot], dtype=np.float64) for slot in slots]


def processor_s(process: psutil.Process) -> float:
    """Return the processor time of a process, without its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def table(strategies: int, minutes: int, load: Load) -> str:
    """Return what was measured, for people."""
    late_s = np.concatenate(load.late_s)
    p50, p95, p99, most = (float(np.percentile(late_s, q)) for q in (50, 95, 99, 100))
    memory = " → ".join(
        f"{runner:.0f}+{server:.0f}" for runner, server in zip(load.runner_mb, load.server_mb, strict=True)
    )
    return (
        f"{strategies} strategies every minute, {minutes} minutes: {len(late_s)} slots {load.statuses}\n"
        f"began late by: p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s, most {most:.2f} s\n"
        f"runs in a second: {load.runs_per_s:.0f}; processor time of a run: scheduler {load.cpu_ms[0]:.1f} ms, "
        f"tool server {load.cpu_ms[1]:.1f} ms\n"
        f"memory in MB, runner+server, by minute: {memory}\n"
    )


def main(strategies: int, minutes: int) -> None:
    """Measure, print the table, and report the line of this many strategies, if there is one."""
    load = measure(strategies, minutes)
    sys.stdout.write(table(strategies, minutes, load))
    if (line := f"{strategies:,} strategies") in TOUCHES:
        percentile = {100: 95, 2_000: 100}[strategies]
        report(line, [float(np.percentile(late, percentile)) for late in load.late_s])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
