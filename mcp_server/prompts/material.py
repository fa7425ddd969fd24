"""What the prompts say about the program: its tools, indicators and keys, each from where it is defined."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import to_json

from mcp_server.domain.strategy.checks.agents import MODEL_ALIASES
from mcp_server.domain.strategy.format import PROMPT_LIMIT, Agent, Config, Interval, nested_keys
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned_values
from mcp_server.domain.timeframes import Timeframe
from mcp_server.toolkit import ToolFile

MOST_FILES_BYTES = 80_000
"""Of both files in a prompt or a resource."""

_EXAMPLES = 8
"""How many indicators of each group are named; find_indicators lists the rest."""


def tools(files: Mapping[str, ToolFile]) -> str:
    """List the tools that a sub-agent may have, each with the first sentence of its description."""
    looking = {name: file for name, file in files.items() if file.looks}
    return "\n".join(f"- `{name}`: {file.summary}" for name, file in looking.items())


def indicators() -> str:
    """List the groups of the catalogue, with the best known of each as specs."""
    from mcp_server.domain.indicators.search import search

    groups: dict[str, list[str]] = {}
    for entry in search(""):
        groups.setdefault(entry.group, []).append(entry.name)
    lines = [f"- {group} ({len(names)}): {_some(names)}" for group, names in groups.items()]
    return f"{sum(map(len, groups.values()))} that rules may use, by group:\n" + "\n".join(lines)


def files(strategy: Strategy) -> dict[str, Any]:
    """Return both files of a strategy as a stranger may have written them, cleaned; and a note if texts are cut."""
    whole = {"config": strategy.config_json(), "agents": strategy.agents_json()}
    size = 0
    for most in (PROMPT_LIMIT, 4_000, 1_000, 200):
        content: dict[str, Any] = cleaned_values(whole, most)
        size = size or len(to_json(content))
        if len(to_json(content, indent=2)) < MOST_FILES_BYTES:
            break
    if most < PROMPT_LIMIT:
        content["note"] = f"Texts are cut to {most:,} characters: do not write this back. It has {size:,} bytes."
    return content


def config_keys() -> str:
    """List the keys of config.json and of its parts, each with what it means."""
    return "\n".join([
        *_keys(Config),
        *(line for name, model in nested_keys().items() for line in _keys(model, f"{name}.")),
        f"- intervals: {' '.join(get_args(Interval))}; timeframes of rules: {' '.join(get_args(Timeframe))}",
        f"- models: {', '.join(MODEL_ALIASES)}, for a sub-agent also inherit, or an id like claude-…",
    ])  # fmt: skip


def agent_keys() -> str:
    """List the keys of a sub-agent, each with what it means."""
    return "\n".join(_keys(Agent))


def functions() -> str:
    """List the functions of rules, as they are called."""
    from mcp_server.domain.rules.tree import FUNCTIONS

    return ", ".join(f"`{call}`" for call in FUNCTIONS.values())


def _keys(model: type[BaseModel], before: str = "") -> list[str]:
    return [f"- `{before}{name}`: {field.description}" for name, field in model.model_fields.items()]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_EXAMPLES])
    return f"{shown}, …" if len(names) > _EXAMPLES else shown
