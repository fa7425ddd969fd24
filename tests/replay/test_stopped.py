"""A replay that is stopped ends its agents at once, and goes on later; nobody else works on it meanwhile."""

import signal
import threading
from pathlib import Path

import psutil
import pytest

from mcp_server.domain.outcome import Status
from runner.tool_server.server import Address
from tests.rigs.processes import left
from tests.rigs.replay_command import LIMIT_S, arguments, errors_of, output_of, replaying, variables, write
from tests.rigs.replays import SCRIPT, parts_of, replay_of, watching
from tests.rigs.scripted_messages_api import Held, Reply, Request, ScriptedMessagesApi, Step
from tests.runner.conftest import trader_in


class HoldingApi:
    """Holds every reply until it is let go; says when so many requests have come."""

    def __init__(self, requests: int) -> None:
        self.count, self.requests, self.come, self.go = 0, requests, threading.Event(), threading.Event()

    def __call__(self, _: Request, step: Step) -> Step:
        assert isinstance(step, Reply)
        self.count += 1
        if self.count >= self.requests:
            self.come.set()
        return Held(step, self.go)


def clis_of(pid: int) -> list[psutil.Process]:
    """Return the agent CLIs that a process has started."""
    return [child for child in psutil.Process(pid).children(recursive=True) if Path(child.exe()).name == "claude"]


@pytest.mark.parametrize(
    ("number", "count"),
    [
        (signal.SIGTERM, 1),
        *(pytest.param(number, 2, marks=pytest.mark.long) for number in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_stop_ends_every_agent_and_its_rows_are_taken_up_again(
    home: Path, address: Address, number: signal.Signals, count: int
) -> None:
    """`test_outages.py` takes up in `make test` the row of a run that is open."""
    write(home, watching())
    holding = HoldingApi(count)
    replay_id = replay_of(count, contaminated=True).terms("simulated").id
    with ScriptedMessagesApi(SCRIPT, holding) as api:
        with replaying(home, api.url, address, count) as program:
            assert holding.come.wait(LIMIT_S), errors_of(home)
            agents = clis_of(program.pid)
            second = trader_in(home)(*arguments(count), **variables(home, api.url, address))
            program.send_signal(number)
            code = program.wait(LIMIT_S)
        assert (code, len(agents), left(agents, within_s=60)) == (130, count, [])
        assert (second.code, second.json["status"]) == (1, "error")
        assert f"{replay_id} is under way in process {program.pid}" in second.json["error"]
        assert "To go on: " in output_of(home)["error"]
        stopped = parts_of(home).journal.replays.rows(replay_id)
        assert len(stopped) == count
        assert all(row.is_open and "interrupted" in (row.error or "") for row in stopped.values())
        holding.go.set()
        if count == 1:
            return
        with replaying(home, api.url, address, count) as program:
            assert program.wait(LIMIT_S) == 0, errors_of(home)
    rows = parts_of(home).journal.replays.rows(replay_id)
    assert [row.status for row in rows.values()] == [Status.SUCCESS] * count
    assert {row.execution_id for row in rows.values()} == {row.execution_id for row in stopped.values()}
