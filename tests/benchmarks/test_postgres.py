"""What a journal in Postgres costs beside a bare loop of psycopg that sends the same statements, in the same run.

Processor time of the program and of its session's process in Postgres: how long it takes is up to the machine's load.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any, NamedTuple

import psutil
import psycopg
import pytest

from mcp_server.storage.journal.rows import RunEnd
from mcp_server.storage.journal.slots import Claim
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.connection import PostgresConnection, numbered
from runner.scheduler.share import AT_ONCE
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES, kept_in, postgres_url
from tests.scheduler.slot_homes import HELD, Machine, at, strategy

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES
SLOTS = 256
LEAST_RATIO = 0.5
LOOK_S, MISSED_S = 0.25, 2.0
GONE_AFTER_S = liveness.GONE_AFTER_S  # which the fixture sets to nothing


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to Postgres, in order."""
    statements: list[tuple[str, Any]] = []
    execute = PostgresConnection.execute

    def noted(self: PostgresConnection, query: str, parameters: Any = None, /) -> Any:
        statements.append((query, parameters))
        return execute(self, query, parameters)

    monkeypatch.setattr(PostgresConnection, "execute", noted)
    yield statements
    monkeypatch.undo()


class Used(NamedTuple):
    """Seconds of processor time: of this program, and of its session's process in Postgres."""

    program: float
    postgres: float

    def since(self, before: "Used") -> "Used":
        """Return what was used from then on."""
        return Used(self.program - before.program, self.postgres - before.postgres)


def used(session: "psycopg.Connection[Any]") -> Used:
    """Return what has been used by now."""
    times = psutil.Process(session.info.backend_pid).cpu_times()
    return Used(process_time(), float(times.user + times.system))


def machine_in(folder: Path) -> Machine:
    """Return a machine that is connected."""
    machine = Machine(folder)
    machine.slot_store.open()
    machine.ask("SELECT 1")
    return machine


def claim_and_end(machine: Machine, together: int, between: Callable[[], None] = lambda: None) -> Used:
    """Claim slots and end them, so many together in two transactions each; return what they used.

    The first ones are not counted, as their strategies get their rows: `between` is called after them.
    """
    what = [strategy(f"s{number}", interval="1m") for number in range(together)]
    session = machine.database._connection.opened  # type: ignore[attr-defined]
    begun = used(session)
    for number in range(SLOTS // together + 1):
        before, slot = at("12:00") + timedelta(minutes=number), at("12:00") + timedelta(minutes=number + 1)
        started = machine.slot_store.claim([Claim(one, before, slot, ()) for one in what], slot).started
        machine.journal.finish_all([RunEnd(claimed, HELD, slot) for claimed in started])
        if not number:
            between()
            begun = used(session)
    return used(session).since(begun)


def repeated(statements: list[tuple[str, Any]], first: int) -> Used:
    """Send statements to a database that is as empty; return what they used from the `first` one on."""
    texts = [(numbered(query).encode(), parameters) for query, parameters in statements]
    with psycopg.connect(postgres_url(), autocommit=True, cursor_factory=psycopg.RawCursor) as bare:
        begun = used(bare)
        for number, (text, parameters) in enumerate(texts):
            if number == first:
                begun = used(bare)
            cursor = bare.execute(text, parameters)
            if cursor.description:
                cursor.fetchall()
        return used(bare).since(begun)


@pytest.mark.parametrize("together", [1, AT_ONCE])
def test_claims_and_outcomes_take_at_most_twice_what_their_statements_do(
    home: Path, sent: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], together: int
) -> None:
    firsts: list[int] = []
    machine, again = machine_in(home), machine_in(home / "again")
    sent.clear()
    claim_and_end(machine, together, lambda: firsts.append(len(sent)))
    statements, (first,) = [*sent], firsts
    own, bare = claim_and_end(again, together), repeated(statements, first)
    own_s, bare_s, slots = sum(own), sum(bare), SLOTS // together * together
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{together} together: {own_s / slots * 1000:.2f} ms of processor time a slot, "
            f"{bare_s / slots * 1000:.2f} by psycopg alone: {bare_s / own_s:.2f} x as many slots; "
            f"{(len(statements) - first) / slots:.1f} statements a slot. "
            f"Postgres alone: {own.postgres / slots * 1000:.2f} ms, "
            f"so one core of it carries {60 * slots / own.postgres:,.0f} slots a minute, each a claim and an outcome"
        )
    assert bare_s / own_s >= LEAST_RATIO


CLAIMS = """
import sys
from pathlib import Path
from tests.scheduler.slot_homes import Machine, at, claim, strategy
machine = Machine(Path(sys.argv[1]))
machine.slot_store.open()
machine.slot_store.claim([claim(strategy(f"s{sys.argv[2]}", interval="1h"), "11:00", "12:00")], at("12:00"))
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_killed_runner_is_missed_within_two_seconds_by_who_looks_four_times_a_second(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(liveness, "GONE_AFTER_S", GONE_AFTER_S)
    machine, taken = Machine(home), list[float]()
    for number in range(3):
        with ForkedScript(CLAIMS, str(home), str(number)) as runner:
            assert runner.stdout.readline() == "claimed\n"
            machine.journal.settle()
            begun = monotonic()
            runner.kill()
            while machine.ask("SELECT 1 FROM executions WHERE status = 'running'"):
                sleep(LOOK_S)
                machine.journal.settle()
            taken.append(monotonic() - begun)
    with capsys.disabled():
        print(f"\nmissed after {', '.join(f'{seconds:.2f}' for seconds in taken)} s")  # noqa: T201
    assert sorted(taken)[1] <= MISSED_S
