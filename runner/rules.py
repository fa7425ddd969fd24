"""A run by rules: the tool server evaluates them, and its answer becomes an outcome."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.rules_outcome import rules_outcome
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from runner.evaluations import SharedEvaluations, ask_alone
from runner.tool_server.client import Tools

CLOCKS_DIFFER_S = 60
"""A tool server on another machine may be so much behind; its now is then the earlier one."""


async def by_rules(
    tools: Tools, strategy: Strategy, as_of: datetime, shared: SharedEvaluations | None = None
) -> Outcome:
    """Let a strategy's rules decide, through the tool server; with others of its market, where requests are `shared`.

    Raises:
        UpstreamRejected: the tool server answered with an error.
    """
    arguments = {"strategy_name": strategy.name, "as_of": as_of.isoformat(), "version": strategy.version}
    if shared is None:
        answer: Mapping[str, Any] = await ask_alone(tools, arguments)
    else:
        config = strategy.config
        market = f"{config.exchange or ''} {config.trading_pair} {strategy.timeframe}"
        answer = await shared.ask(tools, market, arguments)
    if mismatch := _mismatch(answer, strategy, as_of):
        return Outcome(Status.ERROR, error=mismatch, **NOTHING_SPENT)
    return rules_outcome(answer)


def _mismatch(answer: Mapping[str, Any], strategy: Strategy, as_of: datetime) -> str | None:
    """Say why an answer is not for this strategy and moment; None where it is."""
    if answer["version"] != strategy.version:
        return (
            f"The tool server has version {answer['version']} of {strategy.name!r}, but this run began with "
            f"{strategy.version}: the strategy was edited meanwhile, or the server's TRADER_HOME is another one. "
            "Run it again."
        )
    if not 0 <= (as_of - parse_moment(answer["as_of"])).total_seconds() <= CLOCKS_DIFFER_S:
        return (
            f"The tool server answered as of {answer['as_of']}, but was asked as of {iso(to_ms(as_of))}. "
            "Check its TRADER_AS_OF and its clock."
        )
    return None
