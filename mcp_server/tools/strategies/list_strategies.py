from typing import Annotated

import anyio.to_thread

from mcp_server.answers import LIST, Table
from mcp_server.domain.text import cleaned
from mcp_server.toolkit import Call, tool

Row = tuple[str, str, str | None, str | None, str | None, str | None, str]


class Strategies(Table):
    """By name. An example is read-only until it is copied into the home."""

    rows: Annotated[list[Row], LIST]


@tool(title="Strategies", open_world=False)
async def list_strategies(call: Call) -> Strategies:
    """List the home's strategies and the examples: engine, market, schedule, status, and what is broken."""
    rows: list[Row] = []
    for entry in await anyio.to_thread.run_sync(call.kit.strategies.all):
        origin = "example" if entry.example else "home"
        if entry.strategy is None:
            rows.append((entry.name, origin, None, None, None, None, cleaned(f"broken: {entry.problem}", 400)))
            continue
        config = entry.strategy.config
        schedule, engine = entry.strategy.schedule, entry.strategy.engine
        rows.append(
            (entry.name, origin, engine, config.trading_pair, schedule, config.status, cleaned(config.description, 200))
        )
    columns = ["name", "origin", "engine", "trading_pair", "schedule", "status", "description"]
    return Strategies(columns=columns, rows=rows)
