"""The check of sub-agents: tools that do not exist or that change things, and names that no model has."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.finding import Finding, error, warning
from mcp_server.domain.strategy.strategy import Strategy

MODEL_ALIASES = ("best", "fable", "haiku", "opus", "opusplan", "sonnet")
"""The names that the agent's CLI takes besides ids; a test asks it."""

_WITH_LONG = {"fable", "opus", "sonnet"}
_LONG = re.compile(r"([a-z]+)\[1m\]")
"""An alias with the longer context."""

_MODEL_ID = re.compile(r"claude-[a-z0-9][a-z0-9.@-]{0,80}(\[1m\])?")
_SHOWS_TWIN = "evaluate_strategy"
"""The tool that says what a strategy's rules say."""

_REACHED = "Runs use Anthropic's API, or the address in ANTHROPIC_BASE_URL; the name there is"


def tool_findings(tools: Mapping[str, Sequence[str]], offered: Mapping[str, bool]) -> list[Finding]:
    """Find what is wrong with the tools of sub-agents.

    Args:
        tools: each sub-agent's tools by its name.
        offered: every tool that the server offers, name → whether it only looks.
    """
    looking = sorted(name for name, only_looks in offered.items() if only_looks)
    findings = []
    for name, declared in tools.items():
        place = f"agents.json {name}.tools"
        if not declared:
            findings.append(
                error(place, "no tools, so it could only invent its data.", f"Known: {', '.join(looking)}.")
            )
        for tool in dict.fromkeys(declared):
            if tool not in offered:
                problem = f"the server offers no tool {tool[:60]!r}."
                findings.append(error(place, problem, nearest(tool, looking)))
            elif not offered[tool]:
                problem = f"{tool!r} changes things or adds to the journal, and a run may only look."
                findings.append(error(place, problem, "Remove it."))
    return findings


def twin_findings(strategy: Strategy) -> list[Finding]:
    """Find sub-agents that could see what the strategy's own rules say: then these are no control of their signal."""
    if strategy.config.rules is None or strategy.engine != "claude":
        return []
    problem = f"with {_SHOWS_TWIN!r} it can see what the strategy's own rules say, which Claude is compared with."
    remedy = "Give it the tools that compute the indicators instead."
    seeing = [name for name, agent in strategy.agents.items() if _SHOWS_TWIN in agent.tools]
    return [warning(f"agents.json {name}.tools", problem, remedy) for name in seeing]


def record_findings(strategy: Strategy) -> list[Finding]:
    """Find a `record` that would record nothing."""
    if not strategy.config.record or strategy.engine == "claude":
        return []
    problem = "it keeps what Claude is asked and replies, but this strategy decides by its rules."
    return [warning("config.json record", problem, 'Remove it, or let Claude decide: "engine": "claude".')]


def model_findings(models: Mapping[str, str]) -> list[Finding]:
    """Find names that no model has; `models` has them by their place."""
    return [finding for place, model in models.items() if (finding := model_finding(place, model))]


def model_finding(place: str, model: str) -> Finding | None:
    """Find what is wrong with the name of a model.

    Args:
        place: where it stands; a sub-agent may also use `inherit`, the strategy's model.
        model: the name.
    """
    known = {*MODEL_ALIASES, "inherit" if place.startswith("agents.json") else "default"}
    long = _LONG.fullmatch(model)
    if model in known or (long and long[1] in _WITH_LONG) or _MODEL_ID.fullmatch(model):
        return _of_vertex(place, model)
    remedy = f"Use one of {', '.join(sorted(known))}, or an id like claude-…."
    if model == "default":
        remedy = "Leave it out to use the strategy's model."
    elif (plain := _plain_id(model)) is not None:
        remedy = f"{_REACHED} {plain!r}."
    elif close := get_close_matches(model.lower(), known, n=1):
        remedy = f"Did you mean {close[0]!r}?"
    return error(place, f"{model!r} is neither a known alias nor an id like claude-….", remedy)


def _of_vertex(place: str, model: str) -> Finding | None:
    """Warn of an id that Vertex AI understands and Anthropic's API does not. A gateway may, so it is no error."""
    if "@" not in model:
        return None
    return warning(place, f"{model!r} is an id of Vertex AI.", f"{_REACHED} {_plain_id(model)!r}.")


def _plain_id(model: str) -> str | None:
    """Return the id of Anthropic's API for one that a cloud writes otherwise, like `us.anthropic.claude-…-v1:0`."""
    plain = re.search(r"claude-[a-z0-9.@-]*[a-z0-9]", model.lower())
    return re.sub(r"-v[0-9]+$", "", plain[0]).replace("@", "-") if plain else None
