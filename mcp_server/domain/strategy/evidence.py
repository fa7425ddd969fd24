"""The evidence behind an agent's answer: which sub-agents reported, and from which tool calls. No proof, no signal."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ToolCall:
    """One call of a tool; `is_error` is None while it has no result."""

    tool: str
    arguments: Mapping[str, Any]
    result: str | None = None
    is_error: bool | None = None


@dataclass(slots=True)
class SubAgent:
    """One start of a sub-agent, which has declared `tools`.

    `completed` is None while it runs, `report` is its text after its last call, `heard` is True when the orchestrator
    had that report before it answered.
    """

    name: str
    tools: frozenset[str]
    model: str | None = None
    completed: bool | None = None
    report: str | None = None
    calls: list[ToolCall] = field(default_factory=list)
    heard: bool = False

    @property
    def missing(self) -> str | None:
        """Why it has not reported; None when it has."""
        if self.completed is None:
            return "did not finish"
        if not self.completed:
            return "failed"
        if not self.calls:
            return "called no tool, so its report is invented"
        if not any(call.is_error is False and call.tool in self.tools for call in self.calls):
            return "had no tool call that succeeded, so its report is invented"
        if not self.report:
            return "was stopped before it reported ('max_turns' holds for each sub-agent too)"
        return None


def unreported(names: Iterable[str], started: Collection[SubAgent]) -> list[str]:
    """Return a sentence part for each sub-agent of `names` that has not reported: its name, and why."""
    missing = []
    for name in names:
        starts = [agent for agent in started if agent.name == name]
        if not starts:
            missing.append(f"{name!r} was never started")
        elif all(agent.missing for agent in starts):
            missing.append(f"{name!r} {starts[-1].missing}")
    return missing


def unheard(names: Iterable[str], started: Iterable[SubAgent]) -> list[str]:
    """Return the sub-agents of `names` whose report came after the answer, which therefore does not rest on it."""
    heard = {agent.name for agent in started if agent.heard}
    return [name for name in names if name not in heard]
