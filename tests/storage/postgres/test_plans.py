"""What a runner asks Postgres again and again is found by an index, however long the journal is."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.journal.rows import RunEnd
from mcp_server.storage.journal.slots import Claim
from mcp_server.storage.postgres.connection import PostgresConnection, numbered
from tests.rigs.journal_databases import IN_POSTGRES, kept_in
from tests.scheduler.slot_homes import HELD, Machine, at, strategy

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES

STRATEGIES = 20
LARGE = ("executions", "analysis_results", "outcomes")
MOST_READ = 10
"""How many rows of them a tick reads for each slot, on its way from the claim to the end."""

FILLED = (
    'INSERT INTO executions (strategy_id, strategy_version, "trigger", scheduled_at, scheduled_until, as_of, engine, '
    "started_at, completed_at, status, run_key, tokens_used, cost_usd) "
    "SELECT 1 + number % 500, 'v', 'schedule', at, at, at, 'rules', at, at, 'success', "
    "md5(CAST(number AS VARCHAR)), 0, 0 "
    "FROM (SELECT number, TIMESTAMP '2024-01-01' + number / 500 * INTERVAL '1 minute' AS at "
    "FROM generate_series(0, CAST(? AS INTEGER) - 1) AS number) AS numbers"
)
SIGNALS = (
    "INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, reasoning, data, execution_time_ms) "
    "SELECT id, strategy_id, as_of, 'HOLD', 'still', '{}', 1 FROM executions"
)


READ = "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"


@dataclass
class Sent:
    """What was sent to Postgres: statements and their last parameters, and how many rows were read of each table."""

    statements: dict[str, Any] = field(default_factory=dict)
    read: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """What is sent to Postgres from now on."""
    everything = Sent()
    execute = PostgresConnection.execute

    def noted(self: PostgresConnection, query: str, parameters: Any = None, /) -> Any:
        if query == "COMMIT":
            everything.read.update(dict(execute(self, READ).fetchall()))
        elif query.startswith("BEGIN"):
            begun = execute(self, query, parameters)
            everything.read.subtract(dict(execute(self, READ).fetchall()))  # of earlier ones, not reported yet
            return begun
        elif query.split(maxsplit=1)[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            everything.statements[query] = parameters
        return execute(self, query, parameters)

    monkeypatch.setattr(PostgresConnection, "execute", noted)
    yield everything
    monkeypatch.undo()


def explain(query: str, parameters: Any, connection: Any) -> dict[str, Any]:
    """Return the plan of a statement."""
    ((told,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {numbered(query)}", parameters).fetchall()
    plan: dict[str, Any] = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return plan


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads whole."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_no_statement_of_a_tick_reads_the_whole_journal(home: Path, sent: Sent, rows: int) -> None:
    machine, noon = Machine(home), at("12:00")
    strategies = [strategy(f"s{number}", interval="1m") for number in range(STRATEGIES)]
    for what in strategies:
        machine.adopt(what, noon)

    def fill(connection: Any) -> None:
        connection.execute(FILLED, [rows])
        connection.execute(SIGNALS)
        connection.execute("ANALYZE")

    machine.database.write(fill)
    machine.slot_store.open()
    sent.statements.clear()
    sent.read.clear()
    slot = noon + timedelta(minutes=1)
    machine.slot_store.accounted(noon, slot)
    started = machine.slot_store.claim([Claim(what, noon, slot, ()) for what in strategies], slot).started
    machine.journal.end_dead()
    machine.journal.finish_all([RunEnd(run, HELD, slot) for run in started])
    machine.journal.settle(slot)
    read, statements = sum(sent.read[table] for table in LARGE), dict(sent.statements)
    assert len(started) == STRATEGIES
    assert read <= MOST_READ * STRATEGIES, sent.read
    assert sum("executions" in query for query in statements) >= 6, "claims, their looks before, and ends"
    for query, parameters in statements.items():
        explained = partial(explain, query, parameters)
        assert not {*scanned(machine.database.read(explained))} & {*LARGE}, query


def test_what_has_ended_is_cleared_away_before_it_makes_looks_for_killed_runners_slow(home: Path) -> None:
    ((options,),) = Machine(home).ask("SELECT reloptions FROM pg_class WHERE oid = CAST('executions' AS regclass)")
    asked = dict(option.split("=") for option in options)
    dead = int(asked["autovacuum_vacuum_threshold"]) + float(asked["autovacuum_vacuum_scale_factor"]) * 1_000_000
    assert dead <= 20_000, "in a journal of a million runs"
