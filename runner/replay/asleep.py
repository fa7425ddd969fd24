"""Looks which moments of a replay are not worth asking Claude about, before anything is paid for."""

from collections.abc import Callable, Sequence
from datetime import datetime

import anyio

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import root
from runner.clock import SystemClock
from runner.gate import CandlePatience, kept_out
from runner.tool_server.client import Tools

AT_A_TIME = 4

Counting = Callable[[int, int], None]
"""Called with how many moments were looked at, and how many there are."""


async def kept_out_moments(
    tools: Tools, strategy: Strategy, default_exchange: str, moments: Sequence[datetime], tell: Counting
) -> dict[datetime, Outcome]:
    """Return the moments at which Claude is not asked, each with the outcome that the scheduler would have recorded.

    Those are the moments at which `wake` does not hold or cannot be decided, or whose candle there is not.

    Raises:
        TraderError: the tool server could not tell for a moment; the same call may work later where it is `Retryable`.
    """
    outcomes: dict[datetime, Outcome] = {}
    waiting = list(reversed(moments))
    looked_at = 0

    async def look() -> None:
        nonlocal looked_at
        while waiting:
            moment = waiting.pop()
            outcome = await kept_out(tools, strategy, default_exchange, moment, CandlePatience(SystemClock()))
            if outcome is not None:
                outcomes[moment] = outcome
            looked_at += 1
            tell(looked_at, len(moments))

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(AT_A_TIME, len(moments))):
                tasks.start_soon(look)
    except BaseExceptionGroup as group:
        raise root(group) from None
    return outcomes
