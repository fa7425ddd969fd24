"""Runners that share a journal in Postgres: each slot runs once, a killed runner's are ended, no budget is exceeded."""

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from mcp_server.errors import Retryable
from mcp_server.storage.journal.interrupted import KILLED
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES
from tests.scheduler.slot_homes import Machine, at, hourly
from tests.storage.postgres.rounds import NAMES, START

pytestmark = IN_POSTGRES
LIMIT_S = 60.0
RUNNERS = 3
RUNNER = "from tests.storage.postgres.rounds import main; main()"


class Running:
    """One runner, the key of its slots, and what it said that it ran."""

    def __init__(self, home: Path, ends: ExitStack, ran: "Counter[str]") -> None:
        self.script = ends.enter_context(ForkedScript(RUNNER, str(home)))
        self.key = self.script.stdout.readline().strip()
        self._ran = ran

    def tell(self, number: int) -> None:
        self.script.stdin.write(f"{number}\n")
        self.script.stdin.flush()

    def hear(self, lines: int | None = None) -> None:
        """Read so many lines, or until the round ends, or the runner does."""
        while lines is None or lines > 0:
            line = self.script.stdout.readline()
            if line.startswith("ran "):
                self._ran[line] += 1
            if not line or line == "ended\n":
                return
            lines = None if lines is None else lines - 1

    def kill(self) -> None:
        self.script.kill()
        self.script.wait(10)
        self.hear()


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.long)])
def test_of_many_runners_each_slot_is_run_by_one_and_those_of_a_killed_one_end_as_interrupted(
    home: Path, kills: int
) -> None:
    random, ran, dead = Random(kills), Counter[str](), set[str]()  # noqa: S311 (where a test strikes)
    watcher = Machine(home)
    with ExitStack() as ends:
        runners = [Running(home, ends, ran) for _ in range(RUNNERS)]
        for number in range(1, kills + 1):
            for runner in runners:
                runner.tell(number)
            place = random.randrange(RUNNERS)
            runners[place].hear(random.randrange(len(NAMES) + 1))
            runners[place].kill()
            dead.add(runners[place].key)
            for runner in runners[:place] + runners[place + 1 :]:
                runner.hear()
            runners[place] = Running(home, ends, ran)
        deadline = monotonic() + LIMIT_S
        while watcher.ask("SELECT 1 FROM executions WHERE status = 'running'") and monotonic() < deadline:
            watcher.journal.settle()
        for runner in runners:
            runner.script.communicate()
    assert set(ran.values()) <= {1}, "no slot runs twice"
    rows = watcher.ask("SELECT s.name, e.scheduled_at, e.status, e.error_message, e.run_key FROM executions e "
                       "JOIN strategies s ON s.id = e.strategy_id ORDER BY 1, 2")  # fmt: skip
    slots = [(START + timedelta(minutes=number)).replace(tzinfo=None) for number in range(1, kills + 1)]
    assert [row[:2] for row in rows] == [(name, slot) for name in NAMES for slot in slots], "each has one row"
    assert {row[2] for row in rows} <= {"success", "error", "skipped_overlap"}
    ended = [row for row in rows if row[2] == "error"]
    assert {row[3] for row in ended} <= {KILLED}
    assert {row[4].partition(".")[0] for row in ended} <= dead, "nobody who lived was interrupted"


ADMITS = """
import sys
from decimal import Decimal
from pathlib import Path
from mcp_server.storage.journal.budget import SpendingLimits, admit
from mcp_server.storage.journal.rows import Run
from tests.scheduler.slot_homes import Machine, at, strategy
machine = Machine(Path(sys.argv[1]))
what, limits = strategy(sys.argv[2], interval="1m"), SpendingLimits(Decimal("0.05"), None, Decimal("1.00"))
runs = [machine.journal.claim(Run(what, "manual", at("12:00"), "claude", at("12:00"))) for _ in range(8)]
print("ready", flush=True)
sys.stdin.readline()
for run in runs:
    print(admit(machine.database, run.execution_id, what.name, limits, at("12:00")).answer, flush=True)
sys.stdin.readline()
"""


def test_the_budget_of_a_day_holds_across_runners(home: Path) -> None:
    machine = Machine(home)
    with ExitStack() as ends:
        runners = [ends.enter_context(ForkedScript(ADMITS, str(home), name)) for name in NAMES[:RUNNERS]]
        for runner in runners:
            assert runner.stdout.readline() == "ready\n"
        for runner in runners:
            runner.stdin.write("\n")
            runner.stdin.flush()
        answers = Counter(runner.stdout.readline() for runner in runners for _ in range(8))
        assert answers == {"yes\n": 10, "wait\n": 14}  # 2 * 9 * 0.05 + 0.05 is below 1.00, and with one more above
        assert machine.ask("SELECT sum(reserved_usd), count(reserved_usd) FROM executions")[0][1] == 10


def test_a_slot_gets_no_second_row_whoever_writes_it(home: Path) -> None:
    machine = Machine(home)
    machine.slot_store.open()
    machine.adopt(hourly(), at("11:00"))
    insert = (
        'INSERT INTO executions (strategy_id, strategy_version, "trigger", scheduled_at, as_of, engine, started_at, '
        "status, run_key) VALUES (1, 'v', 'schedule', ?, ?, 'rules', ?, 'missed', ?)"
    )
    noon = at("12:00").replace(tzinfo=None)
    machine.database.write(lambda c: c.execute(insert, [noon, noon, noon, "one"]))
    with pytest.raises(Retryable, match="executions_slot"):
        machine.database.write(lambda c: c.execute(insert, [noon, noon, noon, "two"]))
    assert len(machine.ask("SELECT 1 FROM executions")) == 1
