"""From an idea to a strategy: the server's own prompt, the builder agent, and the result."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anyio

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.text import dollars
from mcp_server.errors import NotFound, Retryable, TraderError
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.claude.builder import INSTEAD, Ask, BuildTask, run_builder
from runner.claude.building import Building
from runner.claude.session import require_claude
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import tool_server

ELSEWHERE = "the tool server, which is not the one here"
PREPARE_S = 60
"""How long the tool server may take before a design begins, in seconds."""


async def build(
    settings: RunnerSettings,
    idea: str,
    building: Building,
    *,
    budget_usd: Decimal,
    model: str | None,
    ask: Ask | None,
    tell: Callable[[str, str], None],
) -> None:
    """Let the agent design a strategy from an idea, and keep `building` up to date.

    Raises:
        Misconfigured: there is no agent or no credential.
        Retryable: the tool server does not answer; nothing was spent.
    """
    environment = settings.claude_environment
    require_claude(environment, INSTEAD)
    tell("did", f"designing, for {dollars(budget_usd)} USD at most; Ctrl-C stops it")
    async with tool_server(settings) as address:
        try:
            with anyio.fail_after(PREPARE_S):
                async with connected(address) as tools:
                    offered = await tools.offered()
                    prompt = await tools.prompt("design_strategy", {"idea": idea})
        except TimeoutError:
            raise Retryable(f"The tool server did not answer within {PREPARE_S} s.", "Try again.") from None
        task = BuildTask(
            prompt=prompt,
            server_url=address.url,
            server_token=address.token,
            exchange=settings.exchange,
            tools=offered,
            environment=environment,
            budget_usd=budget_usd,
            model=model,
            ask=ask,
            tell=tell,
        )
        await run_builder(task, building)


def settle(building: Building, folders: StrategyFolders) -> None:
    """Find out, by the strategy's version, whether a write was done whose answer never came: the agent was stopped."""
    for arguments in building.checks.values():
        name = str(arguments.get("strategy_name"))
        try:
            strategy = parse_strategy(name, arguments.get("config"), arguments.get("agents"))
            there = not folders.is_example(name) and folders.read(name).version == strategy.version
        except TraderError:
            continue
        if there and arguments.get("dry_run") is not True:
            facts = {"name": name, "version": strategy.version, "engine": strategy.engine}
            building.written = {**facts, "schedule": strategy.schedule}
            building.written_with = [
                "warning: Its findings are not known. `claude-trader strategies check` shows them."
            ]


def outcome(building: Building, folders: StrategyFolders) -> dict[str, Any]:
    """Return the result of a design as JSON values: the strategy as it lies in the home, or why there is none."""
    settle(building, folders)
    written = building.written
    cost = None if building.cost_usd is None else float(building.cost_usd)
    findings = building.written_with if written else building.findings
    result: dict[str, Any] = {"status": "written" if written else "nothing_written", "findings": findings}
    if written is None:
        return {**result, "why": building.why or "The agent ended without writing a strategy.", "cost_usd": cost}
    name = str(written["name"])
    result |= {key: written.get(key) for key in ("name", "version", "replaced", "engine", "schedule", "held", "basis")}
    result |= {"description": None, "why": building.why, "cost_usd": cost}
    result |= {"run": f"claude-trader run {name}", "backtest": None}
    try:
        strategy = folders.read(name)
        if strategy.version != written.get("version"):
            raise NotFound(f"This home has another {name!r}.")
        agents = {key: list(agent.tools) for key, agent in strategy.agents.items()}
        result |= {"description": strategy.config.description, "trading_pair": strategy.config.trading_pair}
        result |= {"rules": strategy.config_json().get("rules"), "agents": agents}
        result["backtest"] = f"claude-trader backtest {name}" if strategy.config.rules else None
    except TraderError:
        result |= {"why": building.why or f"It lies in the home of {ELSEWHERE}.", "run": None}
    return result
