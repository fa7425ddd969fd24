"""What must hold before a run by Claude is worth starting: a credential, and tools that exist and only look."""

from collections.abc import Mapping

from mcp_server.domain.strategy.checks.agents import tool_findings
from mcp_server.domain.strategy.parse import InvalidStrategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput, Misconfigured, NotSupported

CREDENTIALS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")

CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_VERTEX": "Google's Vertex AI",
    "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry",
}
"""Variables by which the agent CLI asks a cloud in place of Anthropic's API."""


def require_no_cloud(environment: Mapping[str, str]) -> None:
    """Check that nobody expects Claude to be asked through a cloud: the recording proxy speaks Anthropic's API only.

    Raises:
        NotSupported: a variable says so.
    """
    for name, cloud in CLOUDS.items():
        if environment.get(name, "").strip().lower() not in ("", "0", "false", "no", "off"):
            raise NotSupported(
                f"{name} is set, but a run that is recorded, or as of a past moment, cannot use {cloud}: it goes "
                "through a proxy that understands Anthropic's own API only.",
                f"Unset {name} and use ANTHROPIC_API_KEY; or run as of now, without 'record' in config.json.",
            )


def require_credential(environment: Mapping[str, str], instead: str) -> None:
    """Check that the agent CLI has a credential; `instead` ends the remedy: how to go on without one.

    Raises:
        Misconfigured: it has none.
    """
    if not any(environment.get(name, "").strip() for name in CREDENTIALS):
        raise Misconfigured(
            "No credential for Claude.",
            f"Set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token`; or {instead}",
        )


def require_tools(strategy: Strategy, tools: Mapping[str, bool]) -> None:
    """Check that each sub-agent declares tools, and only those that the server offers and that only look.

    Args:
        strategy: whose sub-agents are checked.
        tools: every tool of the server, name → whether it only looks.

    Raises:
        BadInput: there is no sub-agent, or its tools are wrong; every finding is in it.
    """
    if not strategy.agents:
        raise BadInput(
            f"Strategy {strategy.name!r} has no sub-agents.", f"Add agents.json, or {without_claude(strategy)}"
        )
    if findings := tool_findings({name: agent.tools for name, agent in strategy.agents.items()}, tools):
        raise InvalidStrategy(strategy.name, findings)


def without_claude(strategy: Strategy) -> str:
    """Say how to go on without Claude, as the end of a sentence."""
    if strategy.config.rules is not None:
        return "run this strategy's rules with --engine rules."
    return "give the strategy 'rules' and run it with --engine rules."
