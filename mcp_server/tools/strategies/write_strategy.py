"""The tool write_strategy."""

from typing import Annotated, Any

import anyio.to_thread
from pydantic import Field

from mcp_server.domain.strategy import InvalidStrategy, Rules, Strategy, parse_strategy, tool_findings
from mcp_server.errors import BadInput
from mcp_server.toolkit import Answer, Call, StrategyName, tool


class Written(Answer):
    """What was written. `replaced` is the version before, which is kept; null for a new strategy."""

    name: str
    version: str
    replaced: str | None
    engine: str
    schedule: str
    note: str


@tool(title="Write a strategy", read_only=False, destructive=True, open_world=False)
async def write_strategy(
    call: Call,
    strategy_name: StrategyName,
    config: Annotated[dict[str, Any], Field(description="config.json")],
    agents: Annotated[
        dict[str, Any] | list[dict[str, Any]] | None, Field(description="agents.json; leave out for engine 'rules'")
    ] = None,
) -> Written:
    """Write a strategy into the home, replacing both of its files; the version before is kept.

    Checked first: with any problem nothing is written and each is listed.
    config: trading_pair, interval (1m 5m 15m 30m 1h 4h 1d) or cron, engine (claude|rules), exchange, description,
    synthesis_logic, rules {timeframe, indicators ["rsi(14)"], buy, sell}. agents: name -> {description, prompt, tools}.
    """
    strategy = parse_strategy(strategy_name, config, agents)
    findings = [
        *tool_findings(strategy, call.kit.tool_names),
        *await anyio.to_thread.run_sync(_rule_findings, strategy),
    ]
    if findings:
        raise InvalidStrategy(strategy_name, findings)
    replaced = await anyio.to_thread.run_sync(call.kit.strategies.write, strategy)
    return Written(
        name=strategy.name,
        version=strategy.version,
        replaced=replaced,
        engine=strategy.engine,
        schedule=strategy.schedule,
        note=f"Try it: claude-trader run {strategy.name}",
    )


def _rule_findings(strategy: Strategy) -> list[str]:
    from mcp_server.domain.rules.compiled import compile_rules

    rules, wake = strategy.config.rules, strategy.config.wake
    findings = []
    try:
        if rules is not None:
            compile_rules(rules)
    except BadInput as error:
        findings.append(f"config.json rules: {error}")
    try:
        if wake is not None:
            compile_rules(Rules(indicators=rules.indicators if rules else (), buy=wake))
    except BadInput as error:
        findings.append(f"config.json wake: {str(error).removeprefix('buy: ')}")
    return findings
