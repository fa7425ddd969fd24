"""What happened in a run by Claude: who was started, who called what with which result, and how it ended."""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.domain.strategy.agents import plain_tool_name
from mcp_server.domain.strategy.evidence import SubAgent, Subject, ToolCall, whole_json
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import cleaned
from runner.claude.session import START_TOOL

if TYPE_CHECKING:
    from runner.claude.proxy.session import Session

ANSWER_TOOL = "StructuredOutput"
STDERR_LINES = 20

Content = str | list[dict[str, Any]] | None
"""A tool result as the Messages API writes it."""

_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """The agent CLI's last word on a run, as reported."""

    subtype: str
    is_error: bool
    api_error_status: int | None
    text: str | None
    answer: Any
    errors: tuple[str, ...]
    turns: int
    duration_ms: int
    cost_usd: float | None
    model_usage: Mapping[str, Mapping[str, Any]]
    permission_denials: tuple[Any, ...]


class Transcript:
    """Collects a run as it goes; `tell` is called with one line for a person at each step.

    `session` is the run's way through the recording proxy, where it goes through it. `subject` holds for the sub-agents
    that are started from then on.
    """

    def __init__(self, strategy: Strategy, subject: Subject, tell: Callable[[str], None]) -> None:
        self.model: str | None = None
        self.server_status: str | None = None
        self.raw_answer: Any = None
        self.ending: Ending | None = None
        self.failure: str | None = None
        self.cli_started = True
        self.session: Session | None = None
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.starts: dict[str, SubAgent] = {}
        self._strategy = strategy
        self.subject = subject
        self._tell = tell
        self._calls: dict[str, ToolCall] = {}
        self._usage: dict[str, tuple[str | None, dict[str, int]]] = {}

    def opened(self, model: str | None, server_status: str) -> None:
        """Note how the session begins."""
        if self.server_status is None:
            self.model, self.server_status = model, server_status

    def said(self, agent: str | None, text: str) -> None:
        """Note text; `agent` is the id of the call that started the sub-agent, None for the orchestrator."""
        if agent is None:
            self.raw_answer = text
        elif agent in self.starts:
            self.starts[agent].report = text

    def called(self, agent: str | None, call_id: str, tool: str, arguments: Mapping[str, Any]) -> None:
        """Note a tool call, before its result is known."""
        if agent is None and tool == START_TOOL:
            name = str(arguments.get("subagent_type", "unnamed"))
            declared = self._strategy.agents.get(name)
            tools, markets = (declared.tools, declared.markets) if declared else ((), ())
            self.starts[call_id] = SubAgent(name, frozenset(tools), self.subject, frozenset(markets))
            self._say(f"{name} started")
        elif agent is None and tool == ANSWER_TOOL:
            self.raw_answer = arguments
            for started in self.starts.values():
                started.heard = started.missing is None
        elif agent in self.starts:
            call = ToolCall(plain_tool_name(tool), arguments)
            self._calls[call_id] = call
            self.starts[agent].calls.append(call)
            self.starts[agent].report = None
            self._say(f"{self.starts[agent].name}: {call.tool}({_shown(arguments)})")

    def returned(self, call_id: str, content: Content, *, is_error: bool, status: str | None) -> None:
        """Note a tool's result; for a start of a sub-agent `status` says how that ended."""
        result = _text(content)
        if call := self._calls.get(call_id):
            call.result, call.is_error, call.whole = result, is_error, _is_whole(content)
        elif agent := self.starts.get(call_id):
            agent.completed = status == "completed" and not is_error
            agent.passed_on = len(result) >= len(agent.report or "")
            agent.report = agent.report if agent.completed else result
            why = agent.missing
            self._say(f"{agent.name} {why}" if why else f"{agent.name} reported")

    def spent(self, agent: str | None, message_id: str, model: str, usage: Mapping[str, Any]) -> None:
        """Note the tokens of one message; it may come several times, and its tokens grow."""
        if agent in self.starts:
            self.starts[agent].model = model
        self._grow(message_id, agent, usage)

    def recount(self, session_lines: Iterable[str]) -> None:
        """Take the final tokens of known messages from the CLI's own record: in the stream they come before the end."""
        for line in session_lines:
            try:
                message = json.loads(line).get("message") or {}
                message_id, usage = message.get("id"), message.get("usage")
            except (ValueError, AttributeError):
                continue
            if message_id in self._usage and isinstance(usage, dict):
                self._grow(message_id, self._usage[message_id][0], usage)

    def tokens(self, agent: str | None) -> dict[str, int] | None:
        """Return the tokens of one sub-agent's start, or of the orchestrator; None where they are unknown."""
        usages = [usage for owner, usage in self._usage.values() if owner == agent]
        return {name: sum(usage[name] for usage in usages) for name in _TOKENS} if usages else None

    def _say(self, line: str) -> None:
        with contextlib.suppress(Exception):  # a closed terminal does not end a run
            self._tell(line)

    def _grow(self, message_id: str, agent: str | None, usage: Mapping[str, Any]) -> None:
        known = self._usage.setdefault(message_id, (agent, dict.fromkeys(_TOKENS, 0)))[1]
        for name, key in _TOKENS.items():
            known[name] = max(known[name], usage.get(key) or 0)


def _shown(arguments: Mapping[str, Any]) -> str:
    return cleaned(", ".join(str(value) for value in arguments.values()), 60)


def _text(content: Content) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", f"[{block.get('type')}]")) for block in content)
    return content or ""


def _is_whole(content: Content) -> bool:
    """Return whether a model saw all of a tool's answer: JSON that ends, or a picture.

    For what is too long the agent CLI writes instead how it begins, or that it is in a file; neither is an error.
    """
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    shown = [block for block in blocks if block.get("type") == "image"]
    return bool(shown) or all(whole_json(str(block.get("text"))) is not None for block in blocks)
