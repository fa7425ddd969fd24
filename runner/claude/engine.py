"""Runs a strategy's sub-agents and orchestrator on claude-agent-sdk.

The orchestrator is an agent too (`--agent`): it can only start the declared sub-agents and answer. Each sub-agent can
only call its declared tools. The server's other tools are denied by name.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from pydantic import SecretStr

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.evidence import Subject
from mcp_server.domain.strategy.format import MAX_TIMEOUT_S
from mcp_server.domain.strategy.run_prompts import orchestrator_prompt, sub_agent_prompt
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from runner.claude.cli_folder import INHERITED, LAUNCHER, CliFolder, cli_folder
from runner.claude.preflight import CREDENTIALS, require_tools, without_claude
from runner.claude.prompt import INSTRUCTIONS
from runner.claude.recorder import ModelRecorder
from runner.claude.session import (
    BUILT_IN_AGENTS,
    CLI_SETTINGS,
    SEALED,
    SERVER,
    START_TOOL,
    bundled_cli,
    converse,
    qualified,
    require_claude,
    server_access,
)
from runner.claude.transcript import ANSWER_TOOL, Ending, Transcript
from runner.claude.verdict import CONNECTED, conclude

if TYPE_CHECKING:
    from claude_agent_sdk import AgentDefinition, AssistantMessage, ClaudeAgentOptions, Message, ResultMessage

    from runner.claude.proxy.session import Session

BASE_URL = "ANTHROPIC_BASE_URL"
ORCHESTRATOR = "_orchestrator"  # no sub-agent's name begins with an underscore


@dataclass(frozen=True, slots=True)
class ClaudeTask:
    """One run by Claude, as its caller describes it.

    `names` returns the names of its market, as the strategy and as the server write it, or None where the server does
    not answer. It is awaited while the agent CLI starts: no model is asked before, nor without names. `tools` is every
    tool of the server, name → whether it only looks; `market_tools` are those that look at a market. `environment`
    holds the credentials and, where there is one, ANTHROPIC_BASE_URL. `on_event` is called with one line for a person
    at each step. `recorder` is there where the run goes through the recording proxy, and `run_key` names its row.
    """

    strategy: Strategy
    exchange: str
    names: Callable[[], Awaitable[frozenset[str] | None]]
    as_of: datetime
    server_url: str
    server_token: SecretStr | None
    tools: Mapping[str, bool]
    market_tools: frozenset[str]
    environment: Mapping[str, str]
    on_event: Callable[[str], None]
    recorder: ModelRecorder | None = None
    run_key: str = ""

    @property
    def is_rerun(self) -> bool:
        """Whether everything comes from a cassette, so that no credential is needed."""
        return self.recorder is not None and self.recorder.mode == "rerun"

    @property
    def limit_s(self) -> int:
        """How long the run may take, in seconds. How busy this machine is decides nothing in a rerun."""
        return MAX_TIMEOUT_S if self.is_rerun else self.strategy.config.timeout_s

    @property
    def most_usd(self) -> Decimal:
        """The most that the run may cost, in US dollars."""
        limit = self.recorder.most_usd if self.recorder is not None else None
        return usd_per_run(self.strategy) if limit is None else limit

    @property
    def secrets(self) -> frozenset[str]:
        """The values that no text of the run may contain."""
        values = [value for name, value in self.environment.items() if name != BASE_URL]
        if self.server_token is not None:
            values.append(self.server_token.get_secret_value())
        addresses = [self.environment.get(BASE_URL, ""), *(os.environ.get(name, "") for name in INHERITED)]
        values += [urlsplit(address).password or "" for address in addresses if "@" in address]
        return frozenset(value for value in values if value)


async def run_claude(task: ClaudeTask) -> Outcome:
    """Run a strategy once. Whatever goes wrong becomes an outcome that says so; only a cancellation is raised."""
    strategy = task.strategy
    transcript = Transcript(strategy, Subject(frozenset(), task.exchange, task.as_of, task.market_tools), task.on_event)
    try:
        if not task.is_rerun:
            require_claude(task.environment, without_claude(strategy))
        require_tools(strategy, task.tools)
        with anyio.CancelScope() as limit:
            await _converse(task, transcript, limit)
    except TraderError as error:  # raised before the CLI started, so nothing was spent
        return Outcome(Status.ERROR, error=str(error), model=strategy.config.model, **NOTHING_SPENT)
    except OSError as error:
        transcript.cli_started = False
        transcript.failure = f"its folder could not be made: {error.strerror}. Check the disk and TMPDIR."
    drift = await anyio.to_thread.run_sync(_drift, task, transcript)
    outcome = conclude(
        transcript, strategy, task.secrets, in_time=not limit.cancelled_caught, limit_s=task.limit_s, drift=drift
    )
    if task.recorder is None or transcript.session is None:
        return outcome
    return task.recorder.accounted(outcome, transcript.ending, transcript.session, task.as_of)


def _drift(task: ClaudeTask, transcript: Transcript) -> str | None:
    """Return what a rerun needed that is not on its cassette, in a few lines; None where it came to an end without.

    A CLI whose budget is spent ends while sub-agents still ask: what they would have been told decides nothing.
    """
    session = transcript.session
    if session is None or session.drift is None or session.cassette is None or transcript.ending is not None:
        return None
    from runner.claude.cassette.drift import explained

    cassettes = [session.cassette, *session.cassette.others()]
    return explained(session.drift, cassettes, task.strategy, task.exchange, task.as_of, task.secrets)


async def _converse(task: ClaudeTask, transcript: Transcript, limit: anyio.CancelScope) -> None:
    """Let the CLI start while the market's names are asked for; the run's time begins when both are there."""
    prompt = orchestrator_prompt(task.strategy, task.exchange, task.as_of)
    with cli_folder() as folder, _proxied(task, folder) as transcript.session:

        def note(message: "Message") -> None:
            _note(message, transcript)
            if transcript.server_status not in (None, CONNECTED):
                folder.end_cli()  # without tools there is nothing to wait and pay for

        def failed(why: str) -> None:
            transcript.failure = why

        async def ready() -> bool:
            names = await task.names()
            if names is not None:
                transcript.subject = replace(transcript.subject, symbols=names)
                limit.deadline = anyio.current_time() + task.limit_s
            return names is not None

        try:
            await converse(folder, prompt, lambda: _options(task, transcript, folder), note, failed, ready)
        finally:
            transcript.cli_started = folder.cli_started
            transcript.recount(folder.session_lines())


def _proxied(task: ClaudeTask, folder: CliFolder) -> "AbstractContextManager[Session | None]":
    return nullcontext() if task.recorder is None else task.recorder.session(task.as_of, task.run_key, folder)


def _options(task: ClaudeTask, transcript: Transcript, folder: CliFolder) -> "ClaudeAgentOptions":
    from claude_agent_sdk import ClaudeAgentOptions

    config = task.strategy.config
    declared = {tool for agent in task.strategy.agents.values() for tool in agent.tools}
    environment = {**_reaching(task, transcript.session), **CLI_SETTINGS, **folder.environment}
    headers = {"X-Trader-As-Of": task.as_of.astimezone(UTC).isoformat(), "X-Trader-Exchange": task.exchange}
    servers: dict[str, Any] = {SERVER: server_access(task.server_url, task.server_token, headers, environment)}
    environment |= folder.launch(bundled_cli(without_claude(task.strategy)), environment)
    built_in = [f"{START_TOOL}({name})" for name in BUILT_IN_AGENTS if name not in task.strategy.agents]
    return ClaudeAgentOptions(
        agents=_agents(task),
        extra_args={"agent": ORCHESTRATOR},
        tools=[START_TOOL],
        mcp_servers=servers,
        allowed_tools=qualified(sorted(declared)),
        disallowed_tools=[*qualified(sorted(set(task.tools) - declared)), *built_in],
        **SEALED,
        output_format={"type": "json_schema", "schema": ClaudeAnswer.model_json_schema()},
        model=config.model,
        max_turns=config.max_turns,
        max_budget_usd=float(task.most_usd),
        forward_subagent_text=True,
        env=environment,
        cwd=folder.cwd,
        cli_path=LAUNCHER,
        stderr=transcript.stderr.append,
    )


def _reaching(task: ClaudeTask, session: "Session | None") -> dict[str, str]:
    """Return the variables by which the CLI reaches Claude; a rerun sees no credential of the runner's."""
    kept = {name: value for name, value in task.environment.items() if not (task.is_rerun and name in CREDENTIALS)}
    return kept if session is None else {**kept, **session.environment}


def _agents(task: ClaudeTask) -> "dict[str, AgentDefinition]":
    from claude_agent_sdk import AgentDefinition

    strategy = task.strategy
    agents = {
        name: AgentDefinition(
            description=agent.description,
            prompt=sub_agent_prompt(strategy, name, task.exchange, task.as_of),
            tools=qualified(agent.tools),
            model=agent.model or "inherit",
            maxTurns=strategy.config.max_turns,
        )
        for name, agent in strategy.agents.items()
    }
    starts = f"{START_TOOL}({','.join(strategy.agents)})"
    agents[ORCHESTRATOR] = AgentDefinition(
        description="Turns the sub-agents' reports into one signal.", prompt=INSTRUCTIONS, tools=[starts, ANSWER_TOOL]
    )
    return agents


def _note(message: "Message", transcript: Transcript) -> None:
    """Hand a message of the SDK to the transcript as plain values."""
    import claude_agent_sdk as sdk

    if isinstance(message, sdk.SystemMessage) and message.subtype == "init":
        servers = {server["name"]: str(server["status"]) for server in message.data.get("mcp_servers", [])}
        transcript.opened(message.data.get("model"), servers.get(SERVER, "missing"))
    elif isinstance(message, sdk.AssistantMessage) and message.model != "<synthetic>":
        _note_reply(message, transcript)
    elif isinstance(message, sdk.UserMessage) and isinstance(message.content, list):
        details: Any = message.tool_use_result
        status = details.get("status") if isinstance(details, dict) else None
        for block in message.content:
            if isinstance(block, sdk.ToolResultBlock):
                transcript.returned(block.tool_use_id, block.content, is_error=bool(block.is_error), status=status)
    elif isinstance(message, sdk.ResultMessage):
        transcript.ending = _ending(message)


def _note_reply(message: "AssistantMessage", transcript: Transcript) -> None:
    import claude_agent_sdk as sdk

    agent = message.parent_tool_use_id
    if message.message_id and message.usage:
        transcript.spent(agent, message.message_id, message.model, message.usage)
    for block in message.content:
        if isinstance(block, sdk.TextBlock):
            transcript.said(agent, block.text)
        elif isinstance(block, sdk.ToolUseBlock):
            transcript.called(agent, block.id, block.name, block.input)


def _ending(message: "ResultMessage") -> Ending:
    return Ending(
        subtype=message.subtype,
        is_error=message.is_error,
        api_error_status=message.api_error_status,
        text=message.result,
        answer=message.structured_output,
        errors=tuple(message.errors or ()),
        turns=message.num_turns,
        duration_ms=message.duration_ms,
        cost_usd=message.total_cost_usd,
        model_usage={name: dict(usage) for name, usage in (message.model_usage or {}).items()},
        permission_denials=tuple(message.permission_denials or ()),
    )
