"""`claude-trader up` put together as the command does it, in this process, under a fast clock."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.cli.context import Context
from runner.up import Up
from tests.rigs.fast_clock import START, FastClock
from tests.rigs.running_up import edit, write_strategy
from tests.runner.conftest import forked_servers

__all__ = ["forked_servers"]

SPEED = 120.0
LIMIT_S = 60


@pytest.mark.usefixtures("forked_servers")
async def test_a_strategy_that_fails_is_paused_and_runs_again_as_soon_as_it_is_mended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_NEWS", "off")
    write_strategy(home, "s", exchange="nowhere", max_failures=2, misfire={"grace_s": 3600})
    context, stop = Context(), anyio.Event()
    up = Up(context, clock=FastClock(SPEED, START, time.time()), grace_s=0.1)

    async def until(happened: Any) -> None:
        while not happened():  # noqa: ASYNC110 (folders and rows tell nobody)
            await anyio.sleep(0.02)

    def statuses() -> list[str]:
        return [str(entry.status) for entry in context.journal.entries(outcomes="all")]

    def scheduled() -> list[str]:
        return [*up._scheduler.schedules.by_name] if up._scheduler else []

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(up.serve, stop)
            await until(lambda: context.strategies.read("s").config.status == "paused")
            assert statuses().count("error") >= 2, "as many as max_failures, and what had begun meanwhile"
            await until(lambda: scheduled() == [])
            edit(home, "s", exchange="simulated", status="active")
            await until(lambda: "success" in statuses())
            stop.set()
