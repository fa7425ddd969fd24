"""Kills `claude-trader up` at random moments of its life, again and again, and accounts for every slot afterwards.

    python -m tests.scheduler.crash_harness --cycles 200 --seed 1

Each life is the real program under a clock on which a minute takes a second; the next one begins where it was killed.
In one life of five, on a home of their own, strategies ask Claude: the real agent CLI against a scripted Messages API.
Of the others each second one meets a tool server that goes on through all lives, and so is at work at once. It ends
with 1 where anything is lost, doubled, torn or left behind.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mcp_server.domain.schedule.slots import overdue
from mcp_server.domain.strategy.format import Config
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.slots import SlotStore
from tests.rigs.fast_clock import FastClock
from tests.rigs.processes import command_line
from tests.rigs.running_up import RunningUp, write_strategy
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY, script, strategy
from tests.scheduler.accounts import Accounts, account, midway, of_file

SPEED = 60.0
LEFT_S = 2.0
LEFT_WHERE_BUSY_S = 20.0
"""So long after a kill, nothing of it may run any more; the second is for a test, which others run beside."""

RULES: Mapping[str, Mapping[str, object]] = {
    "minute": {"interval": "1m"},
    "late": {"interval": "1m", "offset_s": 20, "misfire": {"grace_s": 600}},
    "five": {"interval": "5m", "misfire": {"grace_s": 3600}},
    "quarter": {"interval": "15m", "misfire": {"policy": "skip"}},
    "cron": {
        "interval": None,
        "cron": "*/7 * * * *",
        "timezone": "America/New_York",
        "rules": {"timeframe": "1m", "buy": "close > open", "sell": "close <= open"},
    },
}
ASKING: Mapping[str, Mapping[str, object]] = {
    "asks": {"interval": "1m", "misfire": {"grace_s": 3600}},
    "wakes": {
        "interval": "1m",
        "wake": "close > open",
        "rules": {"timeframe": "1m", "buy": "close > open", "sell": "close <= open"},
    },
}
AIMS = {"starting": 2, "writing": 3, "serving": 3, "stopping": 2}
AIMS_AT_AGENTS = {"starting": 1, "writing": 1, "agent": 5, "stopping": 3}
"""When to kill, and how often."""

MEANING = {
    "starting": "before it schedules",
    "writing": "while it has the journal open to claim, to admit or to finish",
    "serving": "at any other moment",
    "agent": "while an agent CLI is at work",
    "stopping": "after SIGTERM",
}


@dataclass(slots=True)
class Table:
    """What came of all lives."""

    kills: Counter[str] = field(default_factory=Counter)
    accounts: list[Accounts] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    slowest_end_s: float = 0.0
    took_s: float = 0.0

    def __str__(self) -> str:
        """Give it as Markdown."""
        outcomes = sum((account.outcomes for account in self.accounts), Counter[str]())
        found = {kind: sum(problem.startswith(kind) for problem in self.wrong) for kind in ("lost", "doubled", "torn")}
        lines = [
            f"{self.kills.total()} lives, each ended with SIGKILL, {self.took_s:.0f} s",
            "",
            "| killed | times |",
            "| --- | ---: |",
            *(f"| {MEANING[phase]} | {self.kills[phase]} |" for phase in MEANING),
            "",
            "| slots | |",
            "| --- | ---: |",
            f"| due | {sum(account.due for account in self.accounts)} |",
            *(f"| {status} | {count} |" for status, count in outcomes.most_common()),
            *(f"| **{kind}** | **{count}** |" for kind, count in found.items()),
            f"| **processes left after {LEFT_S:.0f} s** | **{len(self.orphans)}** |",
            f"| slowest end of what it had started | {self.slowest_end_s:.2f} s |",
        ]
        return "\n".join(lines)

    @property
    def good(self) -> bool:
        """True where nothing is lost, doubled, torn or left behind, and there was something that could have been."""
        return not self.wrong and not self.orphans and any(account.due for account in self.accounts)


@dataclass(slots=True)
class Lives:
    """The lives of one home, one after another, by one clock."""

    home: Path
    chance: random.Random
    table: Table
    aims: Mapping[str, int]
    environment: Mapping[str, str]
    warm: bool = False
    clock: FastClock = field(default_factory=lambda: FastClock(SPEED))

    def live(self, server_url: str | None = None) -> None:
        """Start it and kill it."""
        (aim,) = self.chance.choices([*self.aims], [*self.aims.values()])
        with self._up(server_url, warm=self.warm and aim != "starting") as up:
            phase = self._wait(up, aim, server_url)
            up.process.kill()
            killed_at = time.monotonic()
            up.process.wait(10)
            self.table.kills[phase] += 1
            until = killed_at + (LEFT_WHERE_BUSY_S if self.warm else LEFT_S)
            while (remaining := up.children()) and time.monotonic() < until:
                time.sleep(0.02)
            self.table.orphans += [f"{phase}: {command_line(process)}" for process in remaining]
            self.table.slowest_end_s = max(self.table.slowest_end_s, time.monotonic() - killed_at)
        self.table.wrong += [f"{problem} (killed {phase})" for problem in self._midway()]
        time.sleep(self.chance.uniform(0, 0.2))

    def settle(self, configs: Mapping[str, Config]) -> None:
        """Start it once more, let it account for everything, stop it in good order, and compare."""
        until = self.clock.now()
        with self._up(None, warm=self.warm) as up:
            up.until(lambda: self._settled(up))
            up.until(lambda: self._accounted(configs, until))
            if code := up.stop():
                self.table.wrong.append(f"torn: an orderly stop ended with {code}")
        file = Home(self.home).database
        for name, config in configs.items():
            found = account(of_file(file), name, config, until)
            self.table.accounts.append(found)
            self.table.wrong += found.wrong

    def _up(self, server_url: str | None, *, warm: bool) -> RunningUp:
        server = {} if server_url is None else {"TRADER_SERVER_URL": server_url}
        return RunningUp(
            self.home,
            speed=SPEED,
            epoch_s=self.clock.epoch_s,
            grace_s=0.5,
            environment={**self.environment, **server},
            warm=warm,
            warm_server=warm,
        )

    def _wait(self, up: RunningUp, aim: str, server_url: str | None) -> str:
        """Wait for the moment to kill; give what it is at."""
        if aim == "starting":
            time.sleep(self.chance.uniform(0, 1.2))
            return "serving" if self._schedules(up) else "starting"
        up.until(lambda: self._schedules(up))
        if self.chance.random() < 0.5:
            up.says("it answers" if server_url is None else "slot ended")
        if aim == "agent":
            up.until(up.agents, within_s=20)
            time.sleep(self.chance.uniform(0, 0.8))
            return "agent" if up.agents() else "serving"
        time.sleep(self.chance.uniform(0, 1.2))
        if aim == "writing":
            _until_open(up.process.pid, Home(self.home).database)
            time.sleep(self.chance.uniform(0, 0.02))
        if aim == "stopping":
            up.process.terminate()
            time.sleep(self.chance.uniform(0, 0.6))
        return aim

    def _schedules(self, up: RunningUp) -> bool:
        return "strategy" in up.log or f'"pid": {up.process.pid},' in _text(Home(self.home).heartbeat)

    def _midway(self) -> list[str]:
        """Look at the journal as the killed one left it, without touching it."""
        home = Home(self.home)
        if not home.database.exists():
            return []
        with tempfile.TemporaryDirectory() as folder:
            for file in home.root.glob(f"{home.database.name}*"):
                shutil.copy(file, folder)
            copy = Path(folder, home.database.name)
            if not Database(copy).read(lambda c: c.execute("SELECT 1").fetchall()):
                return ["torn: the journal cannot be read"]
            return list(midway(copy, frozenset(file.name for file in home.running.iterdir())))

    def _settled(self, up: RunningUp) -> bool:
        """True once it schedules, and has ended what the killed ones left: only its own presence is there."""
        return self._schedules(up) and len(list(Home(self.home).running.iterdir())) == 1

    def _accounted(self, configs: Mapping[str, Config], until: datetime) -> bool:
        home = Home(self.home)
        known = SlotStore(Database(home.database), home).stored_schedules()
        return known.keys() >= configs.keys() and all(
            overdue(config, known[name].accounted_until, until) is None for name, config in configs.items()
        )


def _until_open(pid: int, file: Path, within_s: float = 2.0) -> None:
    """Wait until a process has a file open: it works in a transaction."""
    deadline = time.monotonic() + within_s
    folder = f"/proc/{pid}/fd"
    while time.monotonic() < deadline:
        for name in os.listdir(folder):
            try:
                if os.readlink(f"{folder}/{name}") == str(file):
                    return
            except OSError:
                continue
        time.sleep(0.0005)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def crash(cycles: int, seed: int, folder: Path, *, warm: bool = False) -> Table:
    """Let so many lives end, and account for them; one of five asks Claude, one at least.

    `warm` is for a test on a machine that may be busy: it forks those that are killed once they have started, instead
    of starting Python anew, and gives longer to what they leave.
    """
    chance, table, began = random.Random(seed), Table(), time.monotonic()  # noqa: S311 (when to kill is no secret)
    asking = max(1, cycles // 5)
    with ExitStack() as leaving:
        api = leaving.enter_context(ScriptedMessagesApi(script()))
        credentials = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "TRADER_BUDGET_USD_PER_DAY": "100000"}
        home, configs = _home(folder / "asking", ["minute"], ASKING)
        lives = Lives(home, chance, table, AIMS_AT_AGENTS, credentials, warm)
        for _ in range(asking):
            lives.live()
        lives.settle(configs)
        api.unforeseen.clear()  # an agent that is killed in the middle may ask out of turn
    home, configs = _home(folder / "rules", RULES, {})
    with _standing(home) as url:
        lives = Lives(home, chance, table, AIMS, {}, warm)
        for number in range(cycles - asking):
            lives.live(url if number % 2 else None)
        lives.settle(configs)
    table.took_s = time.monotonic() - began
    return table


@contextmanager
def _standing(home: Path) -> Iterator[str]:
    """Give the address of a tool server that goes on until the block ends."""
    command = [sys.executable, "-m", "mcp_server", "--http", "--port", "0", "--with-parent"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={**os.environ, "TRADER_HOME": str(home)}) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().decode().strip()
            assert server.poll() is None, "it went on through all lives"
        finally:
            server.kill()


def _home(
    folder: Path, rules: Iterable[str], asking: Mapping[str, Mapping[str, object]]
) -> tuple[Path, dict[str, Config]]:
    """Make a home with these strategies; give their configs too."""
    home = folder / "home"
    home.mkdir(parents=True)
    agents = strategy().agents_json()
    for name in rules:
        write_strategy(home, name, **RULES[name])
    for name, config in asking.items():
        write_strategy(home, name, agents, model="claude-sonnet-4-5", timeout_s=30, max_failures=1000, **config)
    names = [*rules, *asking]
    return home, {
        name: Config.model_validate_json((home / "strategies" / name / "config.json").read_text()) for name in names
    }


def main() -> None:
    """Read the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        table = crash(arguments.cycles, arguments.seed, Path(folder))
    sys.stdout.write(f"seed {arguments.seed}: {table}\n")
    for each in [*table.wrong, *table.orphans]:
        sys.stdout.write(f"- {each}\n")
    sys.exit(0 if table.good else 1)


if __name__ == "__main__":
    main()
