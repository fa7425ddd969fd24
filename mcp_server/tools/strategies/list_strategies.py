from typing import Annotated, Any, ClassVar

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import cleaned
from mcp_server.toolkit import Call, tool

Row = tuple[str, str, str | None, str | None, str | None, str | None, str]


class Strategies(Table):
    """By name. An example is read-only until copied into the home."""

    rows: Annotated[list[Row], ROWS]
    note: str | None = None

    large: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the next ones."""
        return f"The next ones: after={kept[-1][0]!r}."


@tool(title="Strategies", open_world=False)
async def list_strategies(call: Call, after: Annotated[str | None, Field(max_length=64)] = None) -> Strategies:
    """List the home's strategies and the examples: engine, market, schedule, status, and what is broken."""
    rows: list[Row] = []
    for entry in await anyio.to_thread.run_sync(call.kit.strategies.all, after or ""):
        origin = "example" if entry.example else "home"
        if entry.strategy is None:
            rows.append((entry.name, origin, None, None, None, None, cleaned(f"broken: {entry.problem}", 400)))
            continue
        config = entry.strategy.config
        schedule, engine = entry.strategy.schedule, entry.strategy.engine
        status = None if entry.example else config.status  # an example is never scheduled
        about = cleaned(config.description, 200)
        rows.append((entry.name, origin, engine, config.trading_pair, schedule, status, about))
    columns = ["name", "origin", "engine", "trading_pair", "schedule", "status", "description"]
    return Strategies(columns=columns, rows=rows)
