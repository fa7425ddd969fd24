"""A replay beside a running `up` of the same home: both work, and neither waits for the other's agents."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.storage.journal.rows import Run
from runner.tool_server.server import Address
from tests.replay.test_stopped import HoldingApi
from tests.rigs.replay_command import LIMIT_S, errors_of, output_of, replaying, write
from tests.rigs.replays import AGENT, SCRIPT, parts_of, replay_of, watching
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY


def test_a_run_is_entered_while_a_replay_of_the_same_home_is_under_way(home: Path) -> None:
    parts, now = parts_of(home), datetime(2026, 4, 1, 12, tzinfo=UTC)
    request = replay_of(2)
    with parts.journal.replays.open(request.terms("simulated"), request.strategy, request.max_usd, now):
        other = parts_of(home).journal
        claimed = other.claim(Run(watching(), "manual", now, "claude", now))
        assert other.finish(claimed, Outcome(Status.ABSTAINED, error="why"), now).waiting is None
        assert [entry.status for entry in parts.journal.entries(outcomes="all")] == [Status.ABSTAINED]


@pytest.mark.long
def test_slots_run_while_every_agent_of_a_replay_is_busy(home: Path, address: Address) -> None:
    write(home, watching(status="paused"))
    write_strategy(home, "minute")
    write_strategy(home, "asks", AGENT, model="claude-sonnet-4-5")
    holding = HoldingApi(2)
    with ScriptedMessagesApi(SCRIPT, holding) as replays, ScriptedMessagesApi(SCRIPT) as slots:
        environment = {"ANTHROPIC_BASE_URL": slots.url, "ANTHROPIC_API_KEY": KEY, "TRADER_MAX_CLAUDE_RUNS": "1"}
        with (
            replaying(home, replays.url, address, 2) as program,
            RunningUp(home, speed=12, environment=environment, warm_server=True) as up,
        ):
            assert holding.come.wait(LIMIT_S), errors_of(home)
            for name in ("minute", "asks"):
                up.until(partial(_succeeded, up, name))
                edit(home, name, status="stopped")
            assert program.poll() is None
            holding.go.set()
            assert program.wait(LIMIT_S) == 0, errors_of(home)
            assert up.stop() == 0
    assert output_of(home)["by_status"] == {"success": 2}


def _succeeded(up: RunningUp, name: str) -> bool:
    return any(row["status"] == Status.SUCCESS for row in up.rows(name))
