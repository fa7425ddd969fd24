"""The tool read_strategy."""

from typing import Any, Literal

import anyio.to_thread

from mcp_server.toolkit import Answer, Call, StrategyName, tool


class StrategyFiles(Answer):
    """Both files of a strategy, in the shape that write_strategy takes."""

    name: str
    version: str
    origin: Literal["home", "example"]
    config: dict[str, Any]
    agents: dict[str, Any]


@tool(title="Read a strategy", open_world=False)
async def read_strategy(call: Call, strategy_name: StrategyName) -> StrategyFiles:
    """Read a strategy's config and sub-agents. Read before you change one: write_strategy replaces both files."""
    folders = call.kit.strategies
    strategy = await anyio.to_thread.run_sync(folders.read, strategy_name)
    return StrategyFiles(
        name=strategy.name,
        version=strategy.version,
        origin="example" if folders.is_example(strategy_name) else "home",
        config=strategy.config_json(),
        agents=strategy.agents_json(),
    )
