"""How a run ends that a host's own model has decided: by its answer, and by the calls that it rests on."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from pydantic_core import to_json

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.evidence import SubAgent, Subject, ToolCall, unreported
from mcp_server.domain.strategy.strategy import Strategy

GONE = (
    "This server did not see the run begin: it was restarted since, or another one began it. So it knows of no call "
    "that the answer could rest on."
)
"""Said where a process that does not know of a run is given its answer."""


def host_outcome(
    strategy: Strategy, subject: Subject, answer: ClaudeAnswer, calls: Sequence[ToolCall] | None
) -> Outcome:
    """Return the outcome: no proof, no signal, by the same rule as for sub-agents in a run of the runner.

    Args:
        strategy: as it was when the run began.
        subject: what the run is about.
        answer: what the host's model says.
        calls: those that succeeded since, of whoever answers; None: they are not known.
    """
    agents = {name: _sub_agent(strategy, name, subject, answer, calls or ()) for name in strategy.agents}
    trace = {
        "orchestrator": {"raw_answer": answer.model_dump(mode="json")},
        "sub_agents": [_traced(agent) for agent in agents.values()],
    }
    if missing := _missing(agents):
        why = f"Not every sub-agent reported: {'; '.join(missing)}."
        return Outcome(Status.ABSTAINED, error=why if calls is not None else f"{why} {GONE}", trace=trace)
    if not answer.decided:
        why = f"The reports did not suffice to decide: {answer.reasoning}"
        return Outcome(Status.ABSTAINED, error=why, trace=trace)
    return Outcome(Status.SUCCESS, answer.as_signal(), trace=trace)


def _sub_agent(
    strategy: Strategy, name: str, subject: Subject, answer: ClaudeAnswer, calls: Collection[ToolCall]
) -> SubAgent:
    """Return a sub-agent whose part the host's model played: its report is what the answer has of it."""
    agent, findings = strategy.agents[name], answer.sub_agent_results.get(name)
    tools = frozenset(agent.tools)
    return SubAgent(
        name=name,
        tools=tools,
        subject=subject,
        markets=frozenset(agent.markets),
        completed=True,
        report=to_json(findings).decode() if findings else None,
        calls=[call for call in calls if call.tool in tools],
        heard=True,
    )


def _missing(agents: dict[str, SubAgent]) -> list[str]:
    unsaid = [name for name, agent in agents.items() if agent.report is None]
    started = [agent for agent in agents.values() if agent.report is not None]
    lacking = [f"{name!r} has nothing in sub_agent_results" for name in unsaid]
    return lacking + unreported([agent.name for agent in started], started)


def _traced(agent: SubAgent) -> dict[str, Any]:
    """Return what a reader needs to follow it, as the trace of any run has it."""
    return {
        "name": agent.name,
        "started": True,
        "reported": agent.missing is None,
        "missing": agent.missing,
        "calls": [asdict(call) for call in agent.calls],
        "report": agent.report,
    }
