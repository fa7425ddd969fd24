"""Failures do not spread: of an exchange, of one strategy, of Claude's API, of the tool server.

This is the program whole. In `make test`, each of its parts is driven in the test's process, as each test says.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.rigs.journal_databases import kept_for_file
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.rigs.scripted_messages_api import ORCHESTRATOR, Fail, ScriptedMessagesApi, Step
from tests.rigs.stand_in_exchange import Faults, StandInExchange
from tests.runner.claude_runs import KEY, script, strategy

__all__ = ["kept_for_file"]
pytestmark = [pytest.mark.usefixtures("kept_in"), pytest.mark.long]

OPERATOR = "a-token-of-the-operator"


@dataclass(frozen=True)
class Rig:
    """One program, on a home where strategies come and go, and what it depends on."""

    up: RunningUp
    api: ScriptedMessagesApi
    steps: dict[str, Sequence[Step]]
    exchange: StandInExchange

    def rows(self, name: str, status: str | None = None) -> list[dict[str, Any]]:
        return [row for row in self.up.rows(name) if status in (None, row["status"])]

    def until(self, name: str, status: str, times: int = 1, *, after: int = 0) -> list[dict[str, Any]]:
        """Wait until a strategy has so many rows of a status with an id greater than `after`; give them."""

        def found() -> list[dict[str, Any]]:
            rows = [row for row in self.rows(name, status) if row["id"] > after]
            return rows if len(rows) >= times else []

        return self.up.until(found)

    def config(self, name: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.up.home / "strategies" / name / "config.json").read_text())
        return said


@pytest.fixture(scope="module")
def rig(kept_in: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    home = tmp_path_factory.mktemp("failures") / "home"
    home.mkdir()
    steps = script()
    with StandInExchange() as exchange, ScriptedMessagesApi(steps) as api:
        environment = {
            "TRADER_EXCHANGE_URLS": json.dumps({"kraken": exchange.url}),
            "TRADER_TOKEN": OPERATOR,
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": KEY,
        }
        write_strategy(home, "healthy")
        with RunningUp(home, speed=60, grace_s=0.5, environment=environment, warm_server=True) as up:
            up.until(lambda: up.rows("healthy"))
            yield Rig(up, api, steps, exchange)
            assert up.stop() == 0
            for secret in (KEY, OPERATOR):
                assert secret not in up.log
                assert secret not in json.dumps(up.rows(ended=False), default=str)


def test_an_exchange_that_hangs_delays_nobody_elses_runs(rig: Rig) -> None:
    """In `make test`, `test_concurrency.py` has the exchange, `test_slots.py` the slots that are skipped."""
    rig.exchange.faults.latency_s = 300
    write_strategy(rig.up.home, "hangs", exchange="kraken", trading_pair="BTC/USD", timeout_s=300)
    (overlap, *_) = rig.until("hangs", "skipped_overlap")
    rig.until("healthy", "success", 3, after=overlap["id"])
    assert rig.rows("hangs", "success") == rig.rows("hangs", "timeout") == []
    assert rig.up.beat()["running"] >= 1
    for name in ("hangs", "healthy"):
        edit(rig.up.home, name, status="stopped")


def test_a_strategy_is_paused_after_failures_in_a_row_and_counts_from_zero_when_resumed(rig: Rig) -> None:
    """In `make test`, `test_up.py` has it, and `test_after_run.py` that it counts from zero."""
    write_strategy(rig.up.home, "fails", exchange="nowhere", max_failures=2)
    before = rig.config("fails")
    rig.up.until(lambda: rig.config("fails").get("status") == "paused")
    assert rig.config("fails") == {**before, "name": "fails", "status": "paused"}, "the rest is as it was"
    failed = rig.until("fails", "error", 2)
    assert len({row["version"] for row in failed}) == 1
    kept = rig.up.home / "strategies" / ".versions" / "fails" / failed[0]["version"]
    assert kept.is_dir(), "the version that failed can be read"
    (last,) = failed[-1:]

    rig.up.until(lambda: "fails" not in rig.up.beat()["due"])  # a pause that ends before the next look is none
    edit(rig.up.home, "fails", status="active")
    rig.until("fails", "error", 1, after=last["id"])
    rig.until("fails", "error", 2, after=last["id"])
    rig.up.until(lambda: rig.config("fails")["status"] == "paused")
    assert len([row for row in rig.rows("fails", "error") if row["id"] > last["id"]]) >= 2
    rig.up.until(lambda: rig.up.log.count("strategy fails is paused after 2 failures in a row") == 2)


def test_an_exchange_that_is_down_pauses_no_strategy_and_is_told_of(rig: Rig) -> None:
    """In `make test`, `test_after_run.py` and `test_blame.py` have it."""
    rig.exchange.faults = Faults(status=503)
    write_strategy(rig.up.home, "waits", exchange="kraken", trading_pair="BTC/USD", max_failures=2)
    failed = rig.until("waits", "error", 3)
    assert {row["own_failure"] for row in failed} == {None}
    assert rig.config("waits").get("status", "active") == "active"
    rig.up.until(lambda: "runs on kraken have failed since" in rig.up.log)
    rig.exchange.heal()
    rig.up.until(lambda: [row for row in rig.rows("waits") if row["own_failure"] is False])
    edit(rig.up.home, "waits", status="stopped")


def test_an_outage_of_claude_backs_off_pauses_nobody_and_ends_by_itself(rig: Rig) -> None:
    """In `make test`, `test_outage.py` has the pauses, `test_slot_run.py` the refusal, `test_blame.py` whose it is."""
    rig.steps[ORCHESTRATOR] = [Fail(529)]
    agents = strategy().agents_json()
    late = {"misfire": {"grace_s": 3600}}
    write_strategy(rig.up.home, "asks", agents, model="claude-sonnet-4-5", max_failures=1, timeout_s=60, **late)
    down = rig.up.until(lambda: [row for row in rig.rows("asks", "error") if "529" in row["error_message"]])
    left_alone = rig.up.until(
        lambda: [row for row in rig.rows("asks", "error") if "is left alone until" in row["error_message"]]
    )
    assert left_alone[0]["cost_usd"] == 0
    assert {row["own_failure"] for row in [*down, *left_alone]} == {None}
    assert rig.config("asks").get("status", "active") == "active"
    rig.steps.update(script())
    assert rig.until("asks", "success")
    edit(rig.up.home, "asks", status="stopped")


def test_a_tool_server_that_is_killed_is_started_again_and_runs_wait_for_it(rig: Rig) -> None:
    """In `make test`, `test_supervisor.py` has it."""
    last = rig.up.rows("healthy")[-1]["id"]
    edit(rig.up.home, "healthy", status="active")
    (again, *_) = rig.until("healthy", "success", after=last)
    server, last = rig.up.server(), again["id"]
    server.kill()
    rig.until("healthy", "success", 2, after=last)
    assert rig.up.server().pid != server.pid
    assert "It is started again in 0.5 s" in rig.up.log
    lost = [row for row in rig.rows("healthy", "error") if row["id"] > last]
    assert {row["own_failure"] for row in lost} <= {None}, "what the server's end did to a run is not the strategy's"
