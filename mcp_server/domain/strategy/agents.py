"""Brings the shapes of `agents.json` into one: a mapping or an array, tool names plain or with a host's prefix."""

import re
from collections.abc import Mapping
from typing import Any

from mcp_server.domain.strategy.finding import Finding, error
from mcp_server.domain.text import escaped

NOT_FOR_AGENTS = "claude-trader/not-for-agents"
"""True in the `_meta` of a listed tool that no scheduled agent may have though it reads: it adds to the journal."""


def plain_tool_name(name: str) -> str:
    """Return a tool's name without the prefix that a host gives it: `mcp__market__get_price` → `get_price`."""
    return name.rsplit("__", 1)[-1] if name.startswith("mcp__") else name


def named_agents(agents: Any, findings: list[Finding]) -> dict[str, Any]:
    """Return each sub-agent by its name, with plain tool names, and append to `findings` what is wrong."""
    if agents is None:
        return {}
    if isinstance(agents, list):
        return _names_for_list(agents, findings)
    if not isinstance(agents, dict):
        remedy = "Write an object of name → sub-agent, or an array of sub-agents."
        findings.append(error("agents.json", "It is neither an object nor an array.", remedy))
        return {}
    for key in agents:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", key):
            remedy = "Use 1 to 64 letters, digits, '_' and '-'."
            findings.append(error(f"agents.json {escaped(key, 64)}", "It is not a valid name for a sub-agent.", remedy))
    return {escaped(key, 64): _with_plain_tools(value) for key, value in agents.items()}


def _names_for_list(agents: list[Any], findings: list[Finding]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for position, agent in enumerate(agents):
        if not isinstance(agent, dict):
            remedy = "Write an object with description, prompt and tools."
            findings.append(error(f"agents.json [{position}]", "It is not an object.", remedy))
            continue
        rest = {key: value for key, value in agent.items() if key != "name"}
        base = _slug(str(agent.get("name") or agent.get("description") or "")) or "agent"
        if "name" in agent and base in named:
            remedy = "Give each sub-agent its own name."
            findings.append(error(f"agents.json [{position}] name", f"{base!r} names two sub-agents.", remedy))
        named[_unused(base, named)] = _with_plain_tools(rest)
    return named


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text[:1000].lower()).strip("-_")[:60]


def _unused(base: str, taken: Mapping[str, Any]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _with_plain_tools(agent: Any) -> Any:
    if not isinstance(agent, dict) or not isinstance(agent.get("tools"), list):
        return agent
    plain = [plain_tool_name(tool) if isinstance(tool, str) else tool for tool in agent["tools"]]
    return {**agent, "tools": plain}
