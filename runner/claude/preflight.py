"""What must hold before a claude run is worth starting: a credential, and tools that exist and only look."""

from collections.abc import Mapping

from mcp_server.domain.strategy.checks.agents import tool_findings
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput, Misconfigured

CREDENTIALS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")


def require_credential(environment: Mapping[str, str], instead: str) -> None:
    """Check that the agent CLI will have something to sign in with; `instead` ends the sentence with the other way.

    Raises:
        Misconfigured: with the two ways on.
    """
    if not any(environment.get(name, "").strip() for name in CREDENTIALS):
        raise Misconfigured(
            "No credential for Claude. Set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token`; or "
            + instead
        )


def require_tools(strategy: Strategy, tools: Mapping[str, bool]) -> None:
    """Check that each sub-agent declares tools, and only such as the server offers and that look without changing.

    Args:
        strategy: whose sub-agents are checked.
        tools: every tool of the server, name → whether it only reads.

    Raises:
        BadInput: with every finding, and the nearest names.
    """
    if not strategy.agents:
        instead = without_claude(has_rules=strategy.config.rules is not None)
        raise BadInput(f"Strategy {strategy.name!r} has no sub-agents: add agents.json, or {instead}")
    if findings := tool_findings({name: agent.tools for name, agent in strategy.agents.items()}, tools):
        raise InvalidStrategy(strategy.name, findings)


def without_claude(*, has_rules: bool) -> str:
    """Say how to go on without Claude, as the end of a sentence."""
    if has_rules:
        return "run this strategy's rules with --engine rules."
    return "give the strategy 'rules' and run it with --engine rules."
