"""Replays a strategy without a sub-agent, from what was recorded with it: only what depends on its report is asked.

The other sub-agents ask the same as before, so their replies are on the cassette. The orchestrator's first reply only
starts them all. Without the start of the one that is left out it says what the orchestrator would say again, so it is
derived from the recorded one. What is asked anew is the turn that weighs the reports: one a moment.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput
from runner.claude.cassette.asked_request import AskedRequest, differences, gone
from runner.claude.cassette.cassettes import Cassette, Recorded
from runner.claude.cassette.derived_reply import started, without_starts
from runner.claude.cassette.wire import canonical


def without_agents(strategy: Strategy, names: Collection[str]) -> Strategy:
    """Return a strategy without some of its sub-agents.

    Raises:
        BadInput: there is no such sub-agent, or none would be left.
    """
    for name in names:
        if name not in strategy.agents:
            raise BadInput(f"Strategy {strategy.name!r} has no sub-agent {name!r}.", nearest(name, strategy.agents))
    kept = {name: agent for name, agent in strategy.agents.items() if name not in names}
    if names and not kept:
        raise BadInput(
            f"No sub-agent of {strategy.name!r} would be left, and nobody could be asked.",
            f"Leave out fewer of them: it has {', '.join(strategy.agents)}.",
        )
    return strategy.model_copy(update={"agents": kept})


@dataclass(frozen=True, slots=True)
class MomentReuse:
    """How many replies of one moment are on a cassette, are derived, and are to be asked.

    `to_ask` is None where nothing can be used again: then a whole run is asked. `like` are the recorded replies in
    whose place others are asked: those will cost about the same.
    """

    on_cassette: int
    derived: int
    to_ask: int | None
    like: tuple[Recorded, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Ablation:
    """What the cassette of a strategy has for the same strategy without some of its sub-agents.

    Args:
        base: the cassette of the strategy with all of its sub-agents.
        names: the sub-agents that are left out.
    """

    base: Cassette
    names: frozenset[str]

    def reply(self, as_of: datetime, key: str, request: Mapping[str, Any]) -> Recorded | None:
        """Return the reply to a request without asking it; None: it has to be asked."""
        if (recorded := self.base.find(as_of, key)) is not None:
            return recorded
        asked = AskedRequest(canonical(request))
        if not _opens(asked):
            return None
        for recorded in reversed(self.base.at(as_of)):
            before = AskedRequest(canonical(recorded.request))
            same = [*differences(before, asked)] == [gone(name) for name in before.declared if name in self.names]
            if same and self._can_derive(recorded, before):
                reply = without_starts(recorded, self.names)
                return replace(recorded, key=key, request=request, reply=reply, derived_from=recorded.key)
        return None

    def reuse(self, as_of: datetime, own: Cassette, prompts: Collection[str]) -> MomentReuse:
        """Tell beforehand how many replies of a moment there are.

        Args:
            as_of: the moment.
            own: the cassette of the strategy without those sub-agents.
            prompts: how the system prompts of the other sub-agents begin.
        """
        there = own.at(as_of)
        if any(_weighs(AskedRequest(one.request)) for one in there):
            derived = sum(one.derived_from is not None for one in there)
            return MomentReuse(len(there) - derived, derived, 0)
        recorded = [(one, AskedRequest(one.request)) for one in self.base.at(as_of)]
        if not any(self._can_derive(one, asked) for one, asked in recorded):
            return MomentReuse(0, 0, None)
        kept = sum(asked.instructions.startswith(tuple(prompts)) for _, asked in recorded)
        weighing = tuple(one for one, asked in recorded if _weighs(asked))
        return MomentReuse(kept, 1, max(1, len(weighing)), weighing)

    def _can_derive(self, recorded: Recorded, asked: AskedRequest) -> bool:
        """Return whether a reply starts each sub-agent once and all of them together: else it depends on reports."""
        names = started(recorded) if _opens(asked) else None
        return names is not None and sorted(names) == sorted(asked.declared)


def _opens(asked: AskedRequest) -> bool:
    return asked.by_orchestrator and asked.turn == 0


def _weighs(asked: AskedRequest) -> bool:
    return asked.by_orchestrator and asked.turn > 0
