"""What is wrong with sub-agents and models: tools that don't exist or that change things, names that no model has."""

import re
from collections.abc import Mapping, Sequence

from mcp_server.domain.finding import Finding, error
from mcp_server.domain.strategy import Agent, Config
from mcp_server.domain.teaching import nearest

MODEL_ALIASES = ("default", "haiku", "opus", "opusplan", "sonnet")
_MODEL_ID = re.compile(r"claude-[a-z0-9][a-z0-9.@-]{0,80}(\[1m\])?")


def tool_findings(tools: Mapping[str, Sequence[str]], offered: Mapping[str, bool]) -> list[Finding]:
    """Find what is wrong with the tools of sub-agents.

    Args:
        tools: each sub-agent's tools by its name.
        offered: every tool that the server offers, name → whether it only reads.
    """
    reading = sorted(name for name, only_reads in offered.items() if only_reads)
    findings = []
    for name, declared in tools.items():
        place = f"agents.json {name}.tools"
        if not declared:
            findings.append(error(place, "none, so it could only invent.", f"Known: {', '.join(reading)}."))
        for tool in dict.fromkeys(declared):
            if tool not in offered:
                hint = nearest(tool, reading).strip()
                findings.append(error(place, f"the server offers no tool {tool[:60]!r}.", hint))
            elif not offered[tool]:
                findings.append(error(place, f"{tool!r} changes things, and a run may only look.", "Remove it."))
    return findings


def model_findings(config: Config | None, agents: Mapping[str, Agent]) -> list[Finding]:
    """Find names that no model has."""
    named = {"config.json model": config.model if config else None}
    named |= {f"agents.json {name}.model": agent.model for name, agent in agents.items()}
    return [finding for place, model in named.items() if model and (finding := _model_finding(place, model))]


def _model_finding(place: str, model: str) -> Finding | None:
    known = {*MODEL_ALIASES, "inherit"} if place.startswith("agents.json") else set(MODEL_ALIASES)
    if model.removesuffix("[1m]") in known or _MODEL_ID.fullmatch(model):
        return None
    remedy = f"Use one of {', '.join(sorted(known))}, or an id like claude-…"
    return error(place, f"{model!r} is no known alias and no id like claude-….", f"{remedy}.")
