"""What differs between two requests of one turn: each difference is one sentence that names the part."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp_server.domain.strategy.run_prompts import SUB_AGENTS
from runner.claude.cassette.differences import in_text, in_values, parsed, text_of
from runner.claude.session import SERVER, START_TOOL
from runner.claude.transcript import ANSWER_TOOL

_CLI_VERSION = re.compile(r"\bcc_version=(\d+\.\d+\.\d+)")
_NAMED = ("model", "system", "tools", "messages")


@dataclass(frozen=True)
class AskedRequest:
    """A canonical request, taken apart. `agent` is the sub-agent that asked, as far as it is known."""

    body: Mapping[str, Any]
    agent: str | None = None

    @property
    def by_orchestrator(self) -> bool:
        """Whether the orchestrator asked: no sub-agent can start another one."""
        return START_TOOL in self.tools

    @property
    def who(self) -> str:
        """Whose request it is."""
        if self.by_orchestrator:
            return "the orchestrator"
        return f"sub-agent {self.agent!r}" if self.agent else "a sub-agent"

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body.get("model"))

    @cached_property
    def turn(self) -> int:
        """How many replies there were before it."""
        return sum(message.get("role") == "assistant" for message in self.body.get("messages", ()))

    @cached_property
    def tools(self) -> Mapping[str, Mapping[str, Any]]:
        """The tools that are offered, by the names that people know."""
        return {_plain_name(str(tool.get("name"))): tool for tool in self.body.get("tools") or ()}

    @cached_property
    def cli_version(self) -> str:
        """The version of the agent CLI, without what it adds for each conversation."""
        stated = _CLI_VERSION.search(text_of(self.body.get("system")))
        return stated[1] if stated else "unknown"

    @cached_property
    def instructions(self) -> str:
        """The system prompt as it was given to the CLI: what stands before it is the CLI's own."""
        return self._system[-1] if self._system else ""

    @cached_property
    def task(self) -> str:
        """The first message: what the agent is to do; without the list of sub-agents."""
        before, _, rest = self._first.partition(SUB_AGENTS)
        return f"{before}{rest[self._listed[1] :]}"

    @property
    def declared(self) -> Mapping[str, Any]:
        """The sub-agents that the orchestrator is to start, name → task."""
        return self._listed[0]

    @cached_property
    def starts(self) -> Mapping[str, str]:
        """The sub-agents that the orchestrator has started so far, name → what it told them."""
        started = (call["input"] for call in self.calls.values() if call.get("name") == START_TOOL)
        return {str(call.get("subagent_type")): str(call.get("prompt")) for call in started}

    @cached_property
    def calls(self) -> Mapping[str, Mapping[str, Any]]:
        """The tool calls of the replies so far, by their ids."""
        return {str(block.get("id")): block for block in self._blocks("assistant") if block.get("type") == "tool_use"}

    @cached_property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """What the tools answered, by the ids of the calls."""
        results = (block for block in self._blocks("user") if block.get("type") == "tool_result")
        return {str(block.get("tool_use_id")): block for block in results}

    @cached_property
    def words(self) -> str:
        """What the CLI says of its own, and what else is text after the first message."""
        first = (block for block in self._first_blocks if _is_own(block))
        later = (block for block in self._blocks("user", after_the_first=True) if block.get("type") == "text")
        own = [text for text in self._system[:-1] if not _CLI_VERSION.search(text)]
        return "\n".join([*own, *(text_of([block]) for block in (*first, *self._blocks("system"), *later))])

    @property
    def rest(self) -> Mapping[str, Any]:
        """All that is none of these parts."""
        return {name: value for name, value in self.body.items() if name not in _NAMED}

    @property
    def _system(self) -> list[str]:
        system = self.body.get("system") or []
        return [system] if isinstance(system, str) else [text_of([block]) for block in system]

    @cached_property
    def _first(self) -> str:
        return text_of([block for block in self._first_blocks if not _is_own(block)])

    @property
    def _first_blocks(self) -> Sequence[Mapping[str, Any]]:
        from_user = (message for message in self.body.get("messages", ()) if message.get("role") == "user")
        content = next((message.get("content") for message in from_user), None)
        return [{"type": "text", "text": content}] if isinstance(content, str) else content or []

    @cached_property
    def _listed(self) -> tuple[Mapping[str, Any], int]:
        try:
            listed, end = json.JSONDecoder().raw_decode(self._first.partition(SUB_AGENTS)[2])
        except ValueError:
            return {}, 0
        return (listed, end) if isinstance(listed, dict) else ({}, 0)

    def _blocks(self, role: str, *, after_the_first: bool = False) -> list[Mapping[str, Any]]:
        contents = [message.get("content") for message in self.body.get("messages", ()) if message.get("role") == role]
        listed = [[{"type": "text", "text": one}] if isinstance(one, str) else one or [] for one in contents]
        return [block for blocks in listed[after_the_first:] for block in blocks]


def _is_own(block: Mapping[str, Any]) -> bool:
    """Return whether a text is the CLI's own, which stands before what it was given for models of some versions."""
    return str(block.get("text", "")).startswith("<system-reminder>")


def differences(before: AskedRequest, after: AskedRequest) -> Iterator[str]:
    """Yield in what a request differs from one that was recorded, the likeliest cause first."""
    if before.model != after.model:
        yield f"The model of {after.who}: {before.model} → {after.model}."
    if before.cli_version != after.cli_version:
        yield f"The agent CLI is another version: {before.cli_version} → {after.cli_version}."
    yield from changed_agents(before.declared, after.declared)
    subject = "The instructions" if after.by_orchestrator else "The prompt"
    yield from _sentence(f"{subject} of {after.who} changed", in_text(before.instructions, after.instructions))
    yield from _tools(before, after)
    yield from _sentence(f"What {after.who} is asked changed", in_text(before.task, after.task))
    yield from _results(before, after)
    yield from _words(before, after)
    yield from _sentence("The agent CLI asks otherwise", in_values(before.rest, after.rest))


def gone(name: str) -> str:
    """Say that the orchestrator is no more to start a sub-agent."""
    return f"Sub-agent {name!r} is gone."


def changed_agents(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield which sub-agents are new, gone or described otherwise."""
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield gone(name)
        elif name not in before:
            yield f"Sub-agent {name!r} is new."
        else:
            yield from _sentence(f"The description of sub-agent {name!r} changed", in_values(before[name], after[name]))


def changed_tools(before: AskedRequest, names: Iterable[str], who: str) -> Iterator[str]:
    """Yield which tools an agent is offered that it was not before, and which no more."""
    for name in sorted({*names} ^ before.tools.keys()):
        yield f"The tool {name} of {who} is {'gone' if name in before.tools else 'new'}."


def _tools(before: AskedRequest, after: AskedRequest) -> Iterator[str]:
    yield from changed_tools(before, after.tools, after.who)
    for name, tool in after.tools.items():
        if (old := before.tools.get(name)) is None or old == tool:
            continue
        about = "The answer that is asked for" if name == ANSWER_TOOL else f"The tool {name}"
        if old.get("description") != tool.get("description"):
            change = in_text(str(old.get("description")), str(tool.get("description")))
            yield from _sentence(f"The description of the tool {name} changed", change)
        rest = [{key: value for key, value in one.items() if key != "description"} for one in (old, tool)]
        yield from _sentence(f"{about} takes other arguments", in_values(*rest))


def _results(before: AskedRequest, after: AskedRequest) -> Iterator[str]:
    for key, result in after.results.items():
        old, call = before.results.get(key), after.calls.get(key, {})
        if old is None or old == result:
            continue
        name, arguments = _plain_name(str(call.get("name"))), call.get("input") or {}
        about = f"{name} answered otherwise"
        if name == START_TOOL:
            about = f"The report of sub-agent {arguments.get('subagent_type')!r} changed"
        elif result.get("is_error") and not old.get("is_error"):
            about = f"{name} failed, and did not when it was recorded"
        elif old.get("is_error") and not result.get("is_error"):
            about = f"{name} answered, and failed when it was recorded"
        change = _changed_answer(parsed(old.get("content")), parsed(result.get("content")))
        yield from _sentence(about, change + _subject(arguments))


def _changed_answer(before: Any, after: Any) -> str:
    if isinstance(after, str):
        return in_text(before if isinstance(before, str) else "", after)
    return in_values(before, after)


def _subject(arguments: Mapping[str, Any]) -> str:
    """Return what a tool was asked about."""
    market, as_of = arguments.get("symbol"), arguments.get("as_of")
    parts = [str(market)] if market else []
    parts += [f"as of {as_of}"] if as_of else []
    return f" ({', '.join(parts)})" if parts else ""


def _words(before: AskedRequest, after: AskedRequest) -> Iterator[str]:
    """Yield changes of the CLI's own words that do not follow from another model or other sub-agents."""
    named = {"You are powered by the model"} if before.model != after.model else set()
    named |= {f"- {name}:" for name, _ in before.declared.items() ^ after.declared.items()}

    def unnamed(words: str) -> str:
        return "\n".join(line for line in words.splitlines() if not line.startswith(tuple(named)))

    yield from _sentence("What the agent CLI tells changed", in_text(unnamed(before.words), unnamed(after.words)))


def _sentence(subject: str, change: str) -> Iterator[str]:
    if change:
        yield f"{subject}: {change}."


def _plain_name(tool: str) -> str:
    return tool.removeprefix(f"mcp__{SERVER}__")
