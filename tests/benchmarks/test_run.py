"""`claude-trader run` as a person types it, beside what it cannot do without."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from runner.settings import RunnerSettings
from runner.tool_server.server import local_server
from tests.benchmarks.programs import say
from tests.benchmarks.touches import report
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import GOOD_ANSWER, KEY, script, strategy

RUNS = int(os.environ.get("RUNS", "15"))
TRADER = str(Path(sys.executable).with_name("claude-trader"))
BY_RULES = [TRADER, "run", "rsi-reversion", "--as-of", "2026-04-28T20:00Z", "--json"]
BY_CLAUDE = [TRADER, "run", "dip", "--json"]


@dataclass(frozen=True)
class Took:
    """What one program took, in seconds: by the clock, and of the processors with all that it started and awaited."""

    wall_s: float
    processor_s: float


def ran(command: Sequence[str], environment: dict[str, str], *, to_its_end: bool = True) -> tuple[Took, str]:
    """Run a program to its end; return what it took and what it wrote.

    Where its end does not count, the clock stops at its answer: the SDK waits some seconds for the agent CLI to leave.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    pipe, joined = subprocess.PIPE, os.environ | environment
    with subprocess.Popen(command, env=joined, stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stdout is not None
        answer = program.stdout.readline()
        answered_s = time.perf_counter() - began
        out, err = program.communicate()
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert program.returncode == 0, answer + out + err
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall_s if to_its_end else answered_s, processor_s), answer + out


def ratios(ours: Sequence[Took], floor: Sequence[Took], what: str) -> list[float]:
    """Print what both took, and return the ratios of neighbours by the clock."""
    for name, took in (("ours", ours), (what, floor)):
        wall, processor = (statistics.median(getattr(t, key) for t in took) for key in ("wall_s", "processor_s"))
        say(f"{name}: {wall:.2f} s, of the processors {processor:.2f} s")
    return [one.wall_s / other.wall_s for one, other in zip(ours, floor, strict=True)]


@pytest.fixture
def api() -> Iterator[ScriptedMessagesApi]:
    with ScriptedMessagesApi(script()) as api:
        yield api


async def test_a_cold_run_by_rules_takes_hardly_longer_than_one_with_a_server_there(home: Path) -> None:
    cold, there = list[Took](), list[Took]()
    settings = RunnerSettings(home=home, exchange="simulated")
    async with local_server(settings, "127.0.0.1", 0, SecretStr("token")) as (address, _):
        known = {"TRADER_SERVER_URL": address.url, "TRADER_TOKEN": "token"}
        for number in range(RUNS + 1):
            for environment, took in ((({}), cold), (known, there))[:: -1 if number % 2 else 1]:
                seconds, out = ran(BY_RULES, environment)
                assert json.loads(out)["signal"] == "BUY"
                took.append(seconds)
    report("run by rules", ratios(cold[1:], there[1:], "with a server there"))


async def test_a_run_by_claude_takes_hardly_longer_than_the_agent_cli_alone(
    home: Path, api: ScriptedMessagesApi
) -> None:
    whole, bare = list[Took](), list[Took]()
    what = strategy(exchange="simulated", model="claude-sonnet-4-5")
    folder = home / "strategies" / what.name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(what.config_json()))
    (folder / "agents.json").write_text(json.dumps(what.agents_json()))
    reaching = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "HOME": str(home)}
    async with local_server(RunnerSettings(home=home), "127.0.0.1", 0, SecretStr("token")) as (address, _):
        alone = [sys.executable, "-m", "tests.benchmarks.claude_program", address.url, "token"]
        for number in range(RUNS + 1):
            for command, took in ((BY_CLAUDE, whole), (alone, bare))[:: -1 if number % 2 else 1]:
                before = len(api.requests)
                seconds, out = ran(command, reaching, to_its_end=command is BY_CLAUDE)
                assert len(api.requests) - before == 6
                assert json.loads(out)["signal"] == GOOD_ANSWER["signal"]
                took.append(seconds)
    report("run by Claude", ratios(whole[1:], bare[1:], "the agent CLI alone"))
