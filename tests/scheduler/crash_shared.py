"""Kills the runners of three machines that share a journal in Postgres, lets all else fail, and accounts for it.

    python -m tests.scheduler.crash_shared --kills 200 --seed 1

30 strategies are due every minute, and a minute takes a second: 24 decide by rules, six ask Claude, by the real agent
CLI against a scripted Messages API, within a budget that is reached on each day of the schedule. The machines' clocks
are 5 s apart. Runners are killed at random moments and started again; Postgres is restarted and away; a machine is cut
off, so that no packet of it arrives; a runner stands still and goes on. All other times are real: Postgres' minute
after a start too. It ends with 1 where a slot is lost or run twice, where a budget is exceeded, where a run of a runner
that lives is ended as interrupted, or where a killed one is missed too late.
"""

import argparse
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.domain.strategy.format import Config
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.fast_clock import FastClock
from tests.rigs.lossy_proxy import LossyProxy
from tests.rigs.postgres import Postgres
from tests.rigs.running_up import write_strategy
from tests.rigs.scripted_messages_api import Reply, ScriptedMessagesApi
from tests.runner.claude_runs import KEY, script, strategy
from tests.scheduler.shared_audit import SETTINGS, Audit
from tests.scheduler.shared_machines import SPEED, Machine, Shared
from tests.scheduler.shared_storm import Planned, Storm
from tests.scheduler.shared_verdict import Lateness, Verdict, verdict

START = datetime(2026, 4, 1, 20, tzinfo=UTC)
"""The first day of the schedule ends after 4 minutes."""

OFFSETS_S = (-5.0, 0.0, 5.0)
RULES, ASKING = 24, 6
USD_PER_RUN, USD_PER_DAY = "0.05", "0.60"
RESTARTED_S = 60
CUT_S = 60.0

TURN = {"input_tokens": 900, "output_tokens": 50}
USD_A_REPLY = (900 * 3 + 50 * 15) / 1_000_000


def crash(
    kills: int,
    seed: int,
    folder: Path,
    plan: Sequence[Planned],
    *,
    rules: int = RULES,
    asking: int = ASKING,
    machines: int = len(OFFSETS_S),
    restarted_s: int = RESTARTED_S,
    cut_s: float = CUT_S,
) -> Verdict:
    """Let it happen, and judge."""
    chance = random.Random(seed)  # noqa: S311 (when to kill is no secret)
    with ExitStack() as ends:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        server = ends.enter_context(Postgres(listen_addresses="127.0.0.1", port=str(port), **SETTINGS))
        api = ends.enter_context(ScriptedMessagesApi(_script()))
        ends.callback(api.unforeseen.clear)  # an agent that is killed in the middle may ask out of turn
        url = server.new_database()
        audit = _audited(url)
        environment = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": KEY,
            "TRADER_BUDGET_USD_PER_DAY": USD_PER_DAY,
            "TRADER_MAX_CLAUDE_RUNS": "1",
        }
        name = PostgresAddress.of(url).parameters["dbname"]
        shared = Shared(name, START, time.time(), restarted_s, environment)
        all_machines = [
            Machine(_home(folder / str(at), rules, asking), offset_s, shared, ends.enter_context(LossyProxy(port)))
            for at, offset_s in enumerate(OFFSETS_S[:machines])
        ]
        for machine in all_machines:
            ends.callback(machine.close)
        storm = Storm(all_machines, server, audit, chance, cut_s)
        configs = _configs(all_machines[0].home)
        with Lateness() as lateness:
            storm.rage(kills, plan)
            until = FastClock(SPEED, START, shared.epoch_s).now()
            wrong = storm.settle(configs, until)
        took_s = time.time() - shared.epoch_s
        paid_usd = len(api.requests) * USD_A_REPLY
        made = verdict(audit, all_machines, configs, until, storm, lateness, USD_PER_DAY, paid_usd)
        made.wrong += wrong
        made.took_s = took_s
        return made


def _audited(url: str) -> Audit:
    """Make the tables of the journal, and note from now on what is committed."""
    database = PostgresDatabase(PostgresAddress.of(url))
    database.read(lambda connection: None)
    database.close()
    audit = Audit(url)
    audit.prepare()
    return audit


def whole(kills: int, away_s: float) -> list[Planned]:
    """Return all that can happen, spread over so many kills. Where Postgres comes back, others follow soon: a minute
    in which nobody is counted as gone begins each time."""
    shares: list[tuple[float, Callable[[Storm], None]]] = [
        (0.06, Storm.hang),
        (0.10, lambda storm: storm.restart(at_once=True)),
        (0.12, lambda storm: storm.restart(at_once=False)),
        (0.25, Storm.kill_all),
        (0.35, lambda storm: storm.restart(at_once=True)),
        (0.36, lambda storm: storm.away(3.0)),
        (0.37, lambda storm: storm.restart(at_once=False)),
        (0.50, Storm.crash),
        (0.52, lambda storm: storm.restart(at_once=True)),
        (0.62, Storm.cut),
        (0.85, Storm.hang),
        (0.88, Storm.kill_all),
        (0.92, lambda storm: storm.away(away_s)),
    ]
    return [(round(share * kills), event) for share, event in shares]


def _script() -> dict[str, list[Reply]]:
    return {role: [Reply(step.text, step.calls, TURN) for step in steps] for role, steps in script().items()}  # type: ignore[union-attr]


def _home(folder: Path, rules: int, asking: int) -> Path:
    home = folder / "home"
    home.mkdir(parents=True)
    same = {"buy": "close > 0", "sell": "close <= 0"}  # a signal that repeats gets no report
    for number in range(rules):
        write_strategy(home, f"rule-{number:02}", offset_s=number % 6 * 10, max_failures=1000, rules=same)
    common = {"model": "claude-sonnet-4-5", "timeout_s": 30, "max_failures": 1000, "misfire": {"grace_s": 1800}}
    for number in range(asking):
        own = {"offset_s": number % 6 * 10, "budget": {"usd_per_run": float(USD_PER_RUN)}}
        write_strategy(home, f"asks-{number}", strategy().agents_json(), **common, **own)
    return home


def _configs(home: Path) -> dict[str, Config]:
    folders = (home / "strategies").iterdir()
    return {folder.name: Config.model_validate_json((folder / "config.json").read_text()) for folder in folders}


def main() -> None:
    """Read the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--away", type=float, default=180.0, help="seconds without Postgres")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-shared-") as folder:
        result = crash(arguments.kills, arguments.seed, Path(folder), whole(arguments.kills, arguments.away))
    sys.stdout.write(f"seed {arguments.seed}: {result}\n")
    for problem in result.wrong:
        sys.stdout.write(f"- {problem}\n")
    sys.exit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
