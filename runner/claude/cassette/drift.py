"""Explains why a rerun drifted: a request is not on the cassette, and what differs from what was recorded."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from mcp_server.domain.strategy.run_prompts import sub_agent_prompt
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned, counted
from runner.claude.cassette.asked_request import AskedRequest, changed_agents, changed_tools, differences
from runner.claude.cassette.cassettes import Cassette
from runner.claude.cassette.differences import in_text
from runner.claude.cassette.wire import canonical
from runner.claude.trace import without

MOST_LINES, MOST_CHARACTERS = 6, 300
"""So many differences are named, and each by so many characters."""

NOT_RECORDED = "Nothing was asked. Without --rerun, the replay asks what is missing and records it."
RECORDED_OTHERWISE = (
    "Nothing was asked, and what is recorded stays as it is. To ask anew, leave out --rerun and give another --to."
)


def explained(
    request: Mapping[str, Any],
    cassettes: Sequence[Cassette],
    strategy: Strategy,
    exchange: str,
    as_of: datetime,
    secrets: Iterable[str],
) -> str:
    """Return why a rerun drifted, in a few lines.

    Args:
        request: what is not on the cassette, as it would have been forwarded.
        cassettes: that of the run, then those of the strategy's other versions, newest first.
        strategy: the strategy that runs.
        exchange: the exchange that it asks.
        as_of: the run's moment.
        secrets: what no line may contain.
    """
    prompts = {name: sub_agent_prompt(strategy, name, exchange, as_of) for name in strategy.agents}
    asked = _known(AskedRequest(canonical(request)), prompts)
    remedy = NOT_RECORDED
    lines = [f"No reply to turn {asked.turn + 1} of {asked.who} is on the cassette."]
    if (nearest := _nearest(cassettes, strategy, as_of)) is not None:
        cassette, recorded = nearest
        changes = list(_compared(asked, recorded))
        if cassette is cassettes[0]:
            remedy = RECORDED_OTHERWISE
        else:
            lines.append(f"Another version of the strategy ({cassette.decision_version}) is recorded for that moment.")
            changes += [change for change in _agents(asked, recorded, strategy, prompts) if change not in changes]
            changes = changes or ["It has asked the same so far: what changed is told to Claude later, or never."]
        lines += changes[:MOST_LINES]
        if len(changes) > MOST_LINES:
            lines.append(f"And {counted(len(changes) - MOST_LINES, 'more difference')}.")
    else:
        lines.append("Nothing is recorded for that moment, in this version of the strategy or another.")
    secrets = tuple(secrets)
    return "\n".join(cleaned(without(line, secrets), MOST_CHARACTERS) for line in (*lines, remedy))


def _nearest(
    cassettes: Sequence[Cassette], strategy: Strategy, as_of: datetime
) -> tuple[Cassette, list[AskedRequest]] | None:
    """Return the run's own cassette, else the newest one of a version with the same sub-agents, else the newest one.

    A replay without a sub-agent is a version, too: beside it nothing that was edited would stand out.
    """
    newest = None
    for cassette in cassettes:
        recorded = [AskedRequest(canonical(one.request)) for one in cassette.at(as_of)]
        declared = next((one.declared.keys() for one in recorded if one.declared), None)
        if recorded and (cassette is cassettes[0] or declared == strategy.agents.keys()):
            return cassette, recorded
        if recorded and newest is None:
            newest = cassette, recorded
    return newest


def _known(asked: AskedRequest, prompts: Mapping[str, str]) -> AskedRequest:
    """Return a request with the sub-agent that it is of, by its prompt."""
    names = (name for name, prompt in prompts.items() if asked.instructions.startswith(prompt))
    return asked if asked.by_orchestrator else replace(asked, agent=next(names, None))


def _compared(asked: AskedRequest, recorded: Sequence[AskedRequest]) -> Iterator[str]:
    """Yield what differs from the recorded request of the same turn that is most like this one."""
    same = [one for one in recorded if (one.by_orchestrator, one.turn) == (asked.by_orchestrator, asked.turn)]
    if not same:
        yield f"What is recorded of that moment ends before that turn of {asked.who}."
        return
    yield from differences(_likest(asked, same), asked)


def _likest(asked: AskedRequest, recorded: Sequence[AskedRequest]) -> AskedRequest:
    """Return the request that is most like another one, the last of equals."""
    own = _lines(asked)
    shares = [SequenceMatcher(None, own, _lines(one), autojunk=False).ratio() for one in recorded]
    best = [one for one, share in zip(recorded, shares, strict=True) if share == max(shares)]
    if len(best) == 1:
        return best[0]
    return max(reversed(best), key=lambda one: SequenceMatcher(None, asked.instructions, one.instructions).ratio())


def _lines(asked: AskedRequest) -> list[str]:
    return json.dumps(asked.body, indent=1, sort_keys=True).splitlines()


def _agents(
    asked: AskedRequest, recorded: Sequence[AskedRequest], strategy: Strategy, prompts: Mapping[str, str]
) -> Iterator[str]:
    """Yield how the sub-agents differ from those that another version of the strategy has started."""
    declared = next((one.declared for one in recorded if one.declared), {})
    yield from changed_agents(declared, {name: agent.description for name, agent in strategy.agents.items()})
    starts = {name: task for one in recorded for name, task in one.starts.items()}
    first = [one for one in recorded if not one.by_orchestrator and one.turn == 0]
    for name, agent in strategy.agents.items():
        if name not in declared or not first:
            continue
        before = max(first, key=lambda one: _likeness(one, prompts[name], starts.get(name), agent.tools))
        first.remove(before)
        who = f"sub-agent {name!r}"
        model = agent.model or asked.model
        if model not in before.model:  # `haiku` is a name of `claude-haiku-4-5`
            yield f"The model of {who}: {before.model} → {model}."
        if change := in_text(before.instructions, prompts[name], begins=True):
            yield f"The prompt of {who} changed: {change}."
        yield from changed_tools(before, agent.tools, who)


def _likeness(one: AskedRequest, prompt: str, task: str | None, tools: Sequence[str]) -> tuple[bool, bool, float]:
    begins = one.instructions[: len(prompt)]
    return task == one.task, {*tools} == one.tools.keys(), SequenceMatcher(None, prompt, begins).ratio()
