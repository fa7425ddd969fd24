from typing import Annotated

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import Answer
from mcp_server.domain.strategy.format import StatusName
from mcp_server.toolkit import Call, StrategyName, tool


class Changed(Answer):
    """Both statuses."""

    name: str
    status: str
    was: str
    version: str


@tool(
    title="Set a strategy's status",
    read_only=False,
    open_world=False,
    example={"strategy_name": "mine", "status": "paused"},
)
async def set_strategy_status(
    call: Call,
    strategy_name: StrategyName,
    status: Annotated[StatusName, Field(description="Only an active one is scheduled")],
) -> Changed:
    """Set a strategy of the home active, paused or stopped; nothing else of it changes."""
    strategy, was = await anyio.to_thread.run_sync(call.kit.strategies.set_status, strategy_name, status)
    return Changed(name=strategy.name, status=strategy.config.status, was=was, version=strategy.version)
