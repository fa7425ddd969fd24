"""A stand-in for the tool `get_performance`: a test says what it answers, when it hangs and how it fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from mcp_server.domain.strategy.strategy import Strategy
from runner.tool_server.client import Tools


def record(strategy: Strategy, **figures: Any) -> dict[str, Any]:
    """Give a record of what a strategy decides now, with the keys that the runner reads."""
    return {
        "strategy_name": strategy.name,
        "decision_version": strategy.decision_version("simulated"),
        "runs": 20,
        "signals": 20,
        "judged": 12,
        "right": 7,
        "hit_rate": 7 / 12,
        "base_rate": 0.48,
        "mean_net_pct": 0.12,
        "cost_usd": 1.2,
        "evidence": "too_few",
        "stop": None,
        **figures,
    }


@dataclass
class Performance:
    """Lends itself as the tools of a server. `hang` holds up each call until it is set."""

    records: list[dict[str, Any]] = field(default_factory=list)
    one: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What it answers when it is asked for one strategy."""
    error: Exception | None = None
    hang: anyio.Event | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    asked: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    """A call has ended, or was cancelled."""
    under_way: int = 0
    most_at_once: int = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Tools]:
        yield cast(Tools, self)

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert name == "get_performance"
        self.calls.append(arguments)
        self.asked.set()
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            if self.hang is not None:
                await self.hang.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.under_way -= 1
            self.over.set()
        if "strategy_name" in arguments:
            return self.one[arguments["strategy_name"]]
        columns = list(self.records[0]) if self.records else []
        return {"columns": columns, "rows": [list(record.values()) for record in self.records]}
