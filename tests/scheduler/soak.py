"""A soak of the scheduler: `python -m tests.scheduler.soak MINUTES`, as `make soak` runs it.

The real `up` and tool server, 45 strategies by rules on two exchanges and 5 by Claude on a scripted Messages API, on a
clock that is six times as fast. Every minute something fails: the exchange, the API, or the tool server is killed. It
prints what memory, open files and file sizes did, and whether every slot is accounted for; it ends with 1 if not.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mcp_server.domain.strategy.format import Config
from mcp_server.storage.home import Home
from tests.rigs.scripted_messages_api import (
    ORCHESTRATOR,
    Fail,
    Reply,
    ScriptedMessagesApi,
    Step,
    answer,
    say,
    start,
    use,
)
from tests.rigs.stand_in_exchange import Faults, StandInExchange
from tests.scheduler.accounts import Accounts, account, of_file

SPEED = 6
RULES, AGENTS = 45, 5
SAMPLE_S, FAULT_EVERY_S, FAULT_S = 15, 60, 10
WATCHER = "You watch the price"
SAID = {"signal": "HOLD", "confidence": 50, "reasoning": "It stands.", "sub_agent_results": {"watcher": {"price": 1}}}


def good() -> list[Step]:
    return [Reply(calls=[start("watcher", "BTC/USDT")]), answer(SAID)]


def write(home: Home) -> dict[str, Config]:
    """Write the strategies; give their configs by name."""
    configs: dict[str, dict[str, Any]] = {}
    for number in range(RULES):
        exchange = "kraken" if number % 3 == 0 else "simulated"
        rules = {"timeframe": "1m", "indicators": ["rsi(14)"], "buy": "rsi_14 < 35", "sell": "rsi_14 > 65"}
        pair = "BTC/USD" if exchange == "kraken" else "BTC/USDT"
        configs[f"rules-{number:02}"] = {"trading_pair": pair, "exchange": exchange, "interval": "1m", "rules": rules}
    for number in range(AGENTS):
        cron = f"{number}-59/5 * * * *"
        configs[f"agent-{number}"] = {
            "trading_pair": "BTC/USDT",
            "exchange": "simulated",
            "cron": cron,
            "timeout_s": 60,
        }
    for name, config in configs.items():
        config["max_failures"] = 1000
        folder = home.strategies / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        if name.startswith("agent"):
            agent = {"description": "Watches.", "prompt": WATCHER, "tools": ["get_price"]}
            (folder / "agents.json").write_text(json.dumps({"watcher": agent}))
    return {name: Config.model_validate(config) for name, config in configs.items()}


class Samples:
    """What was measured, a line for each time."""

    def __init__(self, runner: psutil.Process, home: Home) -> None:
        self._runner = runner
        self._home = home
        self.rows: list[tuple[float, ...]] = []

    def take(self, seconds: float) -> None:
        try:
            server = next(child for child in self._runner.children() if "mcp_server" in " ".join(child.cmdline()))
            server_mb, server_files = server.memory_info().rss / 1e6, float(server.num_fds())
        except (psutil.Error, StopIteration):  # it was killed a moment ago
            server_mb = server_files = float("nan")
        database = self._home.database.stat().st_size / 1e6 if self._home.database.exists() else 0
        waiting = sum(1 for _ in self._home.outbox.iterdir()) + sum(1 for _ in self._home.running.iterdir())
        own = self._runner.memory_info().rss / 1e6, self._runner.num_fds()
        self.rows.append((seconds, *own, server_mb, server_files, database, waiting))
        line = "{:6.0f} s  runner {:4.0f} MB {:3.0f} files  server {:4.0f} MB {:3.0f} files  "
        line += "database {:5.1f} MB  {:2.0f} aside"
        sys.stdout.write(line.format(*self.rows[-1]) + "\n")
        sys.stdout.flush()


@contextmanager
def running(home: Home, exchange: str, api: str) -> Iterator[subprocess.Popen[bytes]]:
    begins = datetime.now(UTC) - timedelta(hours=6)
    settings = {
        "TRADER_HOME": str(home.root),
        "TRADER_EXCHANGE_URLS": json.dumps({"kraken": exchange}),
        "TRADER_BUDGET_USD_PER_DAY": "1000",
        "TRADER_NEWS": "off",
        "ANTHROPIC_BASE_URL": api,
        "ANTHROPIC_API_KEY": "dummy",
    }
    command = [sys.executable, "-m", "tests.rigs.fast_runner", str(SPEED), begins.isoformat(), str(time.time()), "5"]
    with (home.root / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def spoil(
    dice: random.Random, kind: str, exchange: StandInExchange, script: dict[str, Any], runner: psutil.Process
) -> None:
    """Let one thing fail."""
    if kind == "exchange":
        exchange.faults = dice.choice(
            [Faults(status=503), Faults(dropped=True), Faults(latency_s=3), Faults(truncated=True)]
        )
    elif kind == "api":
        script[ORCHESTRATOR] = [Fail(dice.choice([529, 500]))]
    else:
        for child in runner.children():
            if "mcp_server" in " ".join(child.cmdline()):
                child.kill()


def soak(minutes: float, seed: int = 7) -> bool:
    """Soak for so long; True where everything is accounted for, and nothing grew."""
    dice = random.Random(seed)  # noqa: S311 (the same faults each time)
    script: dict[str, Any] = {
        ORCHESTRATOR: good(),
        WATCHER: [use("mcp__trader__get_price", {"symbol": "BTC/USDT"}), say("1")],
    }
    faults: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        StandInExchange() as exchange,
        ScriptedMessagesApi(script) as api,
    ):
        home = Home(Path(folder))
        home.prepare()
        configs = write(home)
        began = time.monotonic()
        with running(home, exchange.url, api.url) as process:
            runner = psutil.Process(process.pid)
            samples = Samples(runner, home)
            next_sample, next_fault, healed_at = 10.0, 30.0, float("inf")
            while (now := time.monotonic() - began) < minutes * 60:
                exchange.now_ms = time.time_ns() // 1_000_000
                if now >= next_sample:
                    samples.take(now)
                    next_sample += SAMPLE_S
                if now >= next_fault:
                    kind = dice.choice(["exchange", "api", "server"])
                    faults[kind] = faults.get(kind, 0) + 1
                    spoil(dice, kind, exchange, script, runner)
                    next_fault, healed_at = next_fault + FAULT_EVERY_S, now + FAULT_S
                if now >= healed_at:
                    exchange.heal()
                    script[ORCHESTRATOR] = good()
                    healed_at = float("inf")
                time.sleep(0.25)
            children = runner.children(recursive=True)
        left = [child for child in children if child.is_running()]
        found = accounts(home, configs)
        api.unforeseen.clear()
        if found.wrong:
            sys.stdout.write((home.root / "log.txt").read_text()[-5000:])
        return tell(samples, found, faults, left, minutes)


def accounts(home: Home, configs: dict[str, Config]) -> Accounts:
    """Look whether every slot of every strategy has its row."""
    whole = Accounts()
    for name, config in configs.items():
        found = account(of_file(home.database), name, config, datetime(2000, 1, 1, tzinfo=UTC))
        whole.due += found.due
        whole.outcomes += found.outcomes
        whole.lost += found.lost
        whole.doubled += found.doubled
        whole.torn += found.torn
    return whole


def tell(samples: Samples, found: Accounts, faults: dict[str, int], left: list[psutil.Process], minutes: float) -> bool:
    """Print the table; True where all is well."""
    rows = samples.rows[len(samples.rows) // 4 :]  # what starts is not yet what stays
    third = max(1, len(rows) // 3)
    lines = [f"{minutes:g} minutes, {SPEED} times as fast; faults {faults}"]
    names = ["runner MB", "runner files", "server MB", "server files", "database MB", "files aside"]
    for place, name in enumerate(names, 1):
        early, late = (np.nanmedian([row[place] for row in part]) for part in (rows[:third], rows[-third:]))
        lines.append(f"{name:13} early {early:7.1f}  late {late:7.1f}")
    lines.append(f"slots due {found.due}: {dict(found.outcomes)}")
    lines.append(
        f"lost {len(found.lost)}, doubled {len(found.doubled)}, torn {len(found.torn)}, processes left {len(left)}"
    )
    lines += [*found.lost[:5], *found.doubled[:5], *found.torn[:5]]
    sys.stdout.write("\n".join(lines) + "\n")
    return not found.wrong and not left


if __name__ == "__main__":
    sys.exit(0 if soak(float(sys.argv[1])) else 1)
