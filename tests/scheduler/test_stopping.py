"""How `up` stops: no new slots, a grace for what runs, every end recorded, and nothing left behind."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from tests.rigs.journal_databases import LIMIT_S, away, journal_database
from tests.rigs.processes import left
from tests.rigs.running_up import RunningUp, rows_of, write_strategy
from tests.rigs.scripted_messages_api import Hang, ScriptedMessagesApi
from tests.rigs.stand_in_exchange import StandInExchange
from tests.runner.claude_runs import KEY, script, strategy

pytestmark = pytest.mark.usefixtures("kept_in")
LONG = pytest.mark.long
SPEED = 60.0
CLOSING_S = 10.0
"""So long after the grace, at most, everything has ended."""


@pytest.fixture
def exchange() -> Iterator[StandInExchange]:
    """Answers nothing, unless a test lets it."""
    with StandInExchange() as rig:
        rig.faults.latency_s = 60
        yield rig


@pytest.fixture
def api() -> Iterator[ScriptedMessagesApi]:
    with ScriptedMessagesApi(script(orchestrator=[Hang()])) as running:
        yield running


def starting(
    home: Path, exchange: StandInExchange, api_url: str = "", *, grace_s: float, warm_server: bool = True
) -> RunningUp:
    environment = {
        "TRADER_EXCHANGE_URLS": json.dumps({"kraken": exchange.url}),
        "ANTHROPIC_BASE_URL": api_url,
        "ANTHROPIC_API_KEY": KEY,
        "TRADER_MAX_CLAUDE_RUNS": "2",
    }
    return RunningUp(home, speed=SPEED, grace_s=grace_s, environment=environment, warm_server=warm_server)


def hangs(home: Path, **config: Any) -> None:
    write_strategy(home, "hangs", exchange="kraken", trading_pair="BTC/USD", timeout_s=300, **config)


def asks(home: Path) -> None:
    write_strategy(home, "asks", strategy().agents_json(), model="claude-sonnet-4-5", misfire={"grace_s": 3600})


def statuses(rows: list[dict[str, Any]]) -> set[str]:
    return {row["status"] for row in rows}


def nobody_seems_alive(home: Path) -> bool:
    """Return whether no sign of life is left, as soon as Postgres has missed what has ended."""
    database, deadline = journal_database(home), time.monotonic() + LIMIT_S
    if database.path is not None:
        return not [*Home(home).running.glob("*")]
    while database.alive():
        if time.monotonic() > deadline:
            return False
    return True


def is_asked(exchange: StandInExchange) -> bool:
    return bool(exchange.log)


@pytest.mark.parametrize("by_claude", [False, pytest.param(True, marks=LONG)])
def test_sigterm_ends_what_runs_after_its_grace_records_it_and_leaves_nothing(
    home: Path, exchange: StandInExchange, api: ScriptedMessagesApi, *, by_claude: bool
) -> None:
    """In `make test`, `tests/runner/test_claude_processes.py` has the agent CLI that a stop ends."""
    hangs(home)
    if by_claude:
        asks(home)
    with starting(home, exchange, api.url, grace_s=1) as up:
        up.until(lambda: is_asked(exchange) and (api.arrived.is_set() or not by_claude))
        children = up.children()
        assert bool(up.agents()) == by_claude
        began, stopped_at = time.monotonic(), up.clock.now().replace(tzinfo=None)
        assert up.stop(within_s=1 + CLOSING_S) == 0
        assert time.monotonic() - began >= 1, "what runs had its grace"
        assert left(children, within_s=0.1) == []
        rows = up.rows()
    assert {row["status"] for row in up.rows(ended=False)} == statuses(rows), "no row is open"
    for name, cost in (("hangs", 0), ("asks", None))[: 1 + by_claude]:
        interrupted = [row for row in rows if row["strategy"] == name and row["status"] == "error"]
        assert [row["cost_usd"] for row in interrupted] == [cost]
        assert "the runner was stopped before the run could end" in interrupted[0]["error_message"]
    assert max(row["started_at"] for row in rows) <= stopped_at, "no slot began after the stop"
    assert not Home(home).heartbeat.exists()
    assert nobody_seems_alive(home)


@pytest.mark.long
@pytest.mark.parametrize("by_claude", [False, True])
def test_ctrl_c_reaches_the_runner_alone_and_what_runs_ends_in_its_grace(
    home: Path, exchange: StandInExchange, *, by_claude: bool
) -> None:
    """In `make test`, the next test has whom it reaches, and `test_records.py` a run that ends in its grace."""
    hangs(home)
    if by_claude:
        asks(home)
    exchange.faults.latency_s = 1
    exchange.now_ms = 1_775_000_000_000
    with ScriptedMessagesApi(script()) as api, starting(home, exchange, api.url, grace_s=50) as up:
        up.until(api.arrived.is_set if by_claude else lambda: is_asked(exchange))
        children = up.children()
        os.killpg(up.process.pid, signal.SIGINT)  # as a terminal does: to everything that it has started
        assert up.ended(within_s=60) == 0
        assert left(children, within_s=0.1) == []
        rows = up.rows("asks" if by_claude else "hangs", ended=False)
    assert statuses(rows), rows
    assert not statuses(rows) & {"error", "running"}, rows
    assert not by_claude or "success" in statuses(rows), rows


def test_ctrl_c_reaches_the_runner_alone_and_a_second_one_ends_at_once_and_still_records(
    home: Path, exchange: StandInExchange
) -> None:
    hangs(home)
    with starting(home, exchange, grace_s=600) as up:
        up.until(lambda: is_asked(exchange))
        children = up.children()
        os.killpg(up.process.pid, signal.SIGINT)  # as a terminal does: to everything that it has started
        up.says("stopping: 1 run may go on for 600 s")
        assert left(children, within_s=0) == children
        up.signal(signal.SIGINT)
        assert up.ended(within_s=CLOSING_S) == 0
        assert left(children, within_s=0.1) == []
        rows = up.rows(ended=False)
    assert "error" in statuses(rows)
    assert "running" not in statuses(rows)


@pytest.mark.parametrize("after_s", [pytest.param(0.4, marks=LONG), 0.9, pytest.param(1.4, marks=LONG)])
def test_a_stop_while_it_starts_leaves_nothing(home: Path, exchange: StandInExchange, after_s: float) -> None:
    write_strategy(home, "minute")
    with starting(home, exchange, grace_s=1, warm_server=False) as up:
        time.sleep(after_s)
        ready = "ready" in up.log
        up.signal(signal.SIGTERM)
        code = up.ended(within_s=1 + CLOSING_S)
        assert up.children() == []
    assert code == 0 if ready else code in {0, -signal.SIGTERM}
    assert nobody_seems_alive(home)


@pytest.mark.long
def test_an_outcome_waits_in_the_outbox_where_the_journal_is_away_and_the_server_hangs_at_a_stop(
    home: Path, exchange: StandInExchange
) -> None:
    hangs(home)
    database = journal_database(home)
    with starting(home, exchange, grace_s=1) as up:
        up.until(lambda: is_asked(exchange))
        with away(home):
            server = up.server()
            server.suspend()
            assert up.stop(within_s=1 + CLOSING_S) == 0
            assert left([server], within_s=0.1) == []
            (waiting,) = Home(home).outbox.glob("*.json")
            assert "stopped before the run could end" in json.loads(waiting.read_text())["error"]
        assert "is not in the journal yet" in up.log
        Journal(database, Home(home)).settle()
    assert "running" not in statuses(rows_of(database, ended=False))
    assert "error" in statuses(rows_of(database))
    assert list(Home(home).outbox.glob("*.json")) == []
