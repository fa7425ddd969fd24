"""Runs a strategy's sub-agents and orchestrator on claude-agent-sdk: the only file that imports it.

The orchestrator is an agent too (`--agent`), so that it is offered nothing but starting the declared sub-agents and
answering; each sub-agent is offered its declared tools. What else the server has is denied by name.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from mcp_server.domain.checks.budget import usd_per_run
from mcp_server.domain.outcome import Outcome, Status
from mcp_server.errors import Misconfigured, TraderError
from runner.claude.cli_folder import CliFolder, cli_folder
from runner.claude.preflight import require_credential, require_tools, without_claude
from runner.claude.prompt import INSTRUCTIONS, Answer, orchestrator_prompt, sub_agent_prompt
from runner.claude.task import ClaudeTask
from runner.claude.transcript import ANSWER_TOOL, START_TOOL, Ending, Transcript
from runner.claude.verdict import CONNECTED, conclude

if TYPE_CHECKING:
    from claude_agent_sdk import AgentDefinition, AssistantMessage, ClaudeAgentOptions, Message, ResultMessage

__all__ = ["ClaudeTask", "check_ready", "run_claude"]

SERVER = "trader"
ORCHESTRATOR = "_orchestrator"  # no sub-agent's name begins with an underscore
END_S = 10
"""How long the SDK may take to notice that its CLI has been ended."""

BUILT_IN_AGENTS = ("general-purpose", "Explore", "Plan", "claude", "statusline-setup")
NEVER_READ = '{"permissions":{"deny":["Read(//**)"]}}'

CLI_SETTINGS: Mapping[str, str] = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
    "CLAUDE_CODE_MAX_RETRIES": "2",
    "ENABLE_TOOL_SEARCH": "false",
}


def check_ready(environment: Mapping[str, str], *, has_rules: bool) -> None:
    """Check, before anything starts, that a claude run has its agent and a credential.

    Raises:
        Misconfigured: with the ways on.
    """
    _bundled_cli(has_rules=has_rules)
    require_credential(environment, has_rules=has_rules)


async def run_claude(task: ClaudeTask) -> Outcome:
    """Run a strategy once. Whatever goes wrong is an outcome that says so; only a cancellation is raised."""
    strategy = task.strategy
    transcript = Transcript(strategy, task.on_event or (lambda _: None))
    try:
        check_ready(task.environment, has_rules=strategy.config.rules is not None)
        require_tools(strategy, task.tools)
        with anyio.move_on_after(strategy.config.timeout_s) as limit:
            await _converse(task, transcript)
    except TraderError as error:  # raised before the CLI started, so nothing was spent
        return Outcome(Status.ERROR, error=str(error), model=strategy.config.model, tokens_used=0, cost_usd=Decimal(0))
    except OSError as error:
        why = f"The folder of the run could not be made or removed: {error.strerror}. Check the disk and TMPDIR."
        return Outcome(Status.ERROR, error=why, model=strategy.config.model)
    return conclude(transcript, strategy, task.secrets, in_time=not limit.cancelled_caught)


async def _converse(task: ClaudeTask, transcript: Transcript) -> None:
    """Follow the CLI in a task of its own that no cancellation reaches: one ends the CLI, and so the SDK too.

    A cancellation inside the SDK keeps the caller waiting for seconds, or leaves a CLI that is just starting behind.
    """
    with cli_folder() as folder:
        ended, unreached = anyio.Event(), anyio.CancelScope(shield=True)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_follow, task, transcript, folder, ended, unreached)
                try:
                    await ended.wait()
                finally:
                    folder.end_cli()
                    unreached.deadline = anyio.current_time() + END_S
        finally:
            transcript.recount(folder.session_lines())


async def _follow(
    task: ClaudeTask, transcript: Transcript, folder: CliFolder, ended: anyio.Event, unreached: anyio.CancelScope
) -> None:
    from claude_agent_sdk import query

    prompt = orchestrator_prompt(task.strategy, task.exchange, task.as_of)
    try:
        with unreached:
            async for message in query(prompt=prompt, options=_options(task, transcript, folder)):
                _note(message, transcript)
                if transcript.server_status not in (None, CONNECTED):
                    folder.end_cli()  # without tools there is nothing to wait and pay for
    except Exception as error:  # the SDK raises plain Exception too
        transcript.failure = f"{type(error).__name__}: {error}"
    finally:
        ended.set()


def _options(task: ClaudeTask, transcript: Transcript, folder: CliFolder) -> "ClaudeAgentOptions":
    from claude_agent_sdk import ClaudeAgentOptions

    config = task.strategy.config
    declared = {tool for agent in task.strategy.agents.values() for tool in agent.tools}
    environment = {**task.environment, **CLI_SETTINGS, **folder.environment}
    headers = {"X-Trader-As-Of": task.as_of.astimezone(UTC).isoformat(), "X-Trader-Exchange": task.exchange}
    if task.server_token is not None:  # by name: headers are part of the command line
        headers["Authorization"] = "Bearer ${TRADER_TOKEN}"
        environment["TRADER_TOKEN"] = task.server_token.get_secret_value()
    built_in = [f"{START_TOOL}({name})" for name in BUILT_IN_AGENTS if name not in task.strategy.agents]
    return ClaudeAgentOptions(
        agents=_agents(task),
        extra_args={"agent": ORCHESTRATOR},
        tools=[START_TOOL],
        mcp_servers={SERVER: {"type": "http", "url": task.server_url, "headers": headers}},
        strict_mcp_config=True,
        allowed_tools=_qualified(sorted(declared)),
        disallowed_tools=[*_qualified(sorted(set(task.tools) - declared)), *built_in],
        permission_mode="dontAsk",
        setting_sources=[],
        settings=NEVER_READ,
        skills=[],
        verbatim_prompts=True,
        output_format={"type": "json_schema", "schema": Answer.model_json_schema()},
        model=config.model,
        max_turns=config.max_turns,
        max_budget_usd=float(usd_per_run(task.strategy)),
        forward_subagent_text=True,
        env=environment,
        cwd=folder.cwd,
        cli_path=folder.wrapper(_bundled_cli(has_rules=config.rules is not None), environment),
        stderr=transcript.stderr.append,
    )


def _agents(task: ClaudeTask) -> "dict[str, AgentDefinition]":
    from claude_agent_sdk import AgentDefinition

    strategy = task.strategy
    agents = {
        name: AgentDefinition(
            description=agent.description,
            prompt=sub_agent_prompt(strategy, name, task.exchange, task.as_of),
            tools=_qualified(agent.tools),
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


def _qualified(tools: Iterable[str]) -> list[str]:
    return [f"mcp__{SERVER}__{tool}" for tool in tools]


def _bundled_cli(*, has_rules: bool) -> Path:
    """Find the CLI that came with the SDK."""
    try:
        import claude_agent_sdk
    except ImportError:
        raise Misconfigured(
            "The claude engine is not installed. Run `pip install 'claude-trader[claude]'`, or "
            + without_claude(has_rules=has_rules)
        ) from None
    cli = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    if not cli.is_file():
        raise Misconfigured(
            "claude-agent-sdk came without its CLI for this platform. Install its wheel for Linux or macOS, or "
            + without_claude(has_rules=has_rules)
        )
    return cli
