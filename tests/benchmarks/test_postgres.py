"""What a journal in Postgres costs beside a bare loop of psycopg that sends the same statements, in the same run.

Processor time of the program and of its session's process in Postgres: how long it takes is up to the machine's load.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any

import psutil
import psycopg
import pytest

from mcp_server.storage.journal.slots import Claim
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.connection import PostgresConnection, numbered
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES, kept_in, postgres_url
from tests.scheduler.slot_homes import HELD, Machine, at, strategy

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES
SLOTS = 300
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


def processor_s(session: "psycopg.Connection[Any]") -> float:
    """Return the processor time of this program and of its session's process in Postgres."""
    times = psutil.Process(session.info.backend_pid).cpu_times()
    return process_time() + float(times.user + times.system)


def claim_and_end(machine: Machine) -> float:
    """Claim a slot and end it, `SLOTS` times in two transactions each; return the seconds of processor time."""
    what, start = strategy("s", interval="1m"), at("12:00")
    session = machine.database._connection.opened  # type: ignore[attr-defined]
    begun = processor_s(session)
    for number in range(SLOTS):
        before, slot = start + timedelta(minutes=number), start + timedelta(minutes=number + 1)
        (claimed,) = machine.slot_store.claim([Claim(what, before, slot, ())], slot).started
        machine.journal.finish(claimed, HELD, slot)
    return processor_s(session) - begun


def repeated(statements: list[tuple[str, Any]]) -> float:
    """Send statements to a database that is as empty; return the seconds of processor time."""
    texts = [(numbered(query).encode(), parameters) for query, parameters in statements]
    with psycopg.connect(postgres_url(), autocommit=True, cursor_factory=psycopg.RawCursor) as bare:
        begun = processor_s(bare)
        for text, parameters in texts:
            cursor = bare.execute(text, parameters)
            if cursor.description:
                cursor.fetchall()
        return processor_s(bare) - begun


def test_claims_and_outcomes_take_at_most_twice_what_their_statements_do(
    home: Path, sent: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(home)
    machine.slot_store.open()
    machine.ask("SELECT 1")
    sent.clear()
    claim_and_end(machine)
    statements = [*sent]
    own = Machine(home / "own")
    own.slot_store.open()
    own.ask("SELECT 1")
    own_s, bare_s = claim_and_end(own), repeated(statements)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{own_s / SLOTS * 1000:.2f} ms of processor time a slot, {bare_s / SLOTS * 1000:.2f} by psycopg alone: "
            f"{bare_s / own_s:.2f} x as many slots; {len(statements) / SLOTS:.0f} statements a slot"
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
