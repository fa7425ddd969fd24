"""Looks which moments of a replay are not worth asking Claude about, before anything is paid for."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.strategy.strategy import Strategy
from runner.clock import SystemClock
from runner.gate import CandlePatience, kept_out
from runner.tool_server.client import Tools
from runner.tool_server.several import for_each

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
    looked_at, patience = 0, CandlePatience(SystemClock())

    async def look(moment: datetime) -> Outcome | None:
        return await kept_out(tools, strategy, default_exchange, moment, patience)

    def looked(_: datetime) -> None:
        nonlocal looked_at
        looked_at += 1
        tell(looked_at, len(moments))

    outcomes = await for_each(moments, look, looked)
    return {moment: outcome for moment, outcome in zip(moments, outcomes, strict=True) if outcome is not None}
