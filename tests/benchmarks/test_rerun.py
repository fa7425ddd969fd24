"""A rerun of many moments, beside as many bare starts of the agent CLI: those are what it is bound by."""

import os
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from mcp_server.domain.outcome import Status
from runner.claude.probe import cutoffs_of
from runner.claude.recording import recording_proxy
from runner.replay.replay import replay
from runner.settings import RunnerSettings
from runner.tool_server.server import local_server
from tests.benchmarks.programs import say
from tests.rigs.replays import SCRIPT, Prices, flat, parts_of, replay_of, watching
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY

COUNT = int(os.environ.get("MOMENTS", "100"))
AT_ONCE = 4
MOST_OF_STARTS = 2.5
"""So many times of what the bare starts take: a run asks four times, and two agents call a tool between."""


async def test_a_rerun_is_bound_by_the_start_of_the_agent_cli(home: Path, tmp_path: Path) -> None:
    settings, request = RunnerSettings(home=tmp_path / "server", exchange="simulated"), replay_of(COUNT)
    async with local_server(settings, "127.0.0.1", 0, SecretStr("token")) as (address, _):
        server: dict[str, Any] = {"server_url": address.url, "token": address.token, "max_claude_runs": AT_ONCE}
        with ScriptedMessagesApi(SCRIPT, Prices(flat)) as api:
            credentials: dict[str, Any] = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
            await replay(request, parts_of(home, **server, **credentials), lambda _: None)
        began = time.monotonic()
        done = await replay(replace(request, rerun=True, max_usd=Decimal(0)), parts_of(home, **server), lambda _: None)
        rerun_s = time.monotonic() - began
    assert (done.by_status, done.spent_usd) == ({Status.SUCCESS: COUNT}, Decimal(0))
    starts_s = await _bare_starts()
    say(f"a rerun of {COUNT} moments, {AT_ONCE} at once: {60 * COUNT / rerun_s:.0f} a minute")
    say(f"as many bare starts of the agent CLI, {AT_ONCE} at once: {60 * COUNT / starts_s:.0f} a minute")
    say(f"the rerun took {rerun_s / starts_s:.2f} times as long. {done.notes[0]}")
    assert rerun_s <= MOST_OF_STARTS * starts_s


async def _bare_starts() -> float:
    """Return how many seconds it takes to start the agent CLI as often, until it asks for the first time."""
    environment, strategy, at_once = {"ANTHROPIC_API_KEY": KEY}, watching(), anyio.CapacityLimiter(AT_ONCE)
    async with recording_proxy(environment) as proxy:

        async def start() -> None:
            async with at_once:
                await cutoffs_of(strategy, environment, proxy)

        began = time.monotonic()
        async with anyio.create_task_group() as group:
            for _ in range(COUNT):
                group.start_soon(start)
        return time.monotonic() - began
