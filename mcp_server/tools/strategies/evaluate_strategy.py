from __future__ import annotations

from typing import Annotated, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.evaluation import Evaluation, evaluate
from mcp_server.toolkit import AsOf, Call, StrategyName, tool


@tool(title="Evaluate a strategy's rules", example={"strategy_name": "rsi-reversion"})
async def evaluate_strategy(
    call: Call,
    strategy_name: StrategyName,
    as_of: AsOf = None,
    rule: Annotated[Literal["signal", "wake"], Field(description="wake: only that condition")] = "signal",
    version: Annotated[str | None, Field(max_length=30, description="An earlier one")] = None,
) -> Evaluation:
    """Evaluate a strategy's rules on the last closed candle: the signal, which condition decided, the values it saw.

    Nothing is recorded.
    """
    folders = call.kit.strategies
    strategy = await anyio.to_thread.run_sync(
        lambda: folders.read(strategy_name) if version is None else folders.read_version(strategy_name, version)
    )
    return await evaluate(call, strategy, call.moment(as_of), rule)
