"""A replay from end to end: the real runner, tool server, agent SDK and CLI, and a scripted model with prices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp_server.domain.outcome import Status
from runner.replay.replay import replay
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest
from runner.tool_server.server import Address
from tests.rigs.replays import REQUESTS_A_RUN, SCRIPT, Prices, flat, parts_of, replay_of
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY

Tell = Callable[[ReplayProgress], None]


async def replayed(
    home: Path, address: Address, request: ReplayRequest, prices: Prices, tell: Tell = lambda _: None, **settings: Any
) -> Replayed:
    with ScriptedMessagesApi(SCRIPT, prices) as api:
        parts = parts_of(
            home,
            server_url=address.url,
            token=address.token,
            ANTHROPIC_BASE_URL=api.url,
            ANTHROPIC_API_KEY=KEY,
            **{"max_claude_runs": 3, **settings},
        )
        return await replay(request, parts, tell)


async def test_each_moment_has_one_row_and_the_replay_adds_them_up(home: Path, address: Address) -> None:
    prices = Prices(flat)
    done = await replayed(home, address, replay_of(7), prices)
    assert (done.by_status, done.signals, done.stopped_by) == ({Status.SUCCESS: 7}, {"BUY": 7}, None)
    assert done.requests_asked == 7 * REQUESTS_A_RUN == sum(prices.asked.values())
    assert done.spent_usd == prices.spent_usd == done.recorded_usd
