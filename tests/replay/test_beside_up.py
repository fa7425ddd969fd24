"""A replay beside a running `up` of the same home: both work, and neither waits for the other's agents."""

from functools import partial
from pathlib import Path

from mcp_server.domain.outcome import Status
from runner.tool_server.server import Address
from tests.replay.test_stopped import HoldingApi
from tests.rigs.replay_command import LIMIT_S, errors_of, output_of, replaying, write
from tests.rigs.replays import AGENT, SCRIPT, watching
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY


def test_slots_run_while_every_agent_of_a_replay_is_busy(home: Path, address: Address) -> None:
    write(home, watching(status="paused"))
    write_strategy(home, "minute")
    write_strategy(home, "asks", AGENT, model="claude-sonnet-4-5")
    holding = HoldingApi()
    with ScriptedMessagesApi(SCRIPT, holding) as replays, ScriptedMessagesApi(SCRIPT) as slots:
        environment = {"ANTHROPIC_BASE_URL": slots.url, "ANTHROPIC_API_KEY": KEY, "TRADER_MAX_CLAUDE_RUNS": "1"}
        with (
            replaying(home, replays.url, address, 2) as program,
            RunningUp(home, speed=12, environment=environment, warm_server=True) as up,
        ):
            assert holding.two.wait(LIMIT_S), errors_of(home)
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
