"""The strategy-builder: an agent with the server's tools, those that backtest and write included, and the person.

It has nothing else: no files, no shell, no web. The server checks what it writes like any other write.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import anyio
from pydantic import SecretStr

from mcp_server.domain.strategy.agents import plain_tool_name
from runner.claude.build_prompt import instructions
from runner.claude.building import BACKTEST_TOOL, MAX_TURNS, WRITE_TOOL, Building
from runner.claude.cli_folder import LAUNCHER, CliFolder, cli_folder
from runner.claude.session import (
    CLI_SETTINGS,
    SEALED,
    SERVER,
    bundled_cli,
    converse,
    qualified,
    require_claude,
    server_access,
)

if TYPE_CHECKING:
    from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, McpSdkServerConfig, Message, ResultMessage
    from claude_agent_sdk.types import SyncHookJSONOutput

Ask = Callable[[str, Sequence[str]], Awaitable[str | None]]
"""Asks the person a question, with choices where there are some; returns None where there is no answer."""

PERSON, ASK_TOOL = "person", "ask_user"
LIMIT_S = 1800
"""How long a design may take, without the time in which the person thinks."""

INSTEAD = "design it in any MCP host with the prompt design_strategy."

_QUESTION = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "minLength": 1, "maxLength": 1000},
        "choices": {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 6},
    },
    "required": ["question"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class BuildTask:
    """One design. `tools` is every tool of the server, and whether it only looks; `ask` is None without a person."""

    prompt: str
    server_url: str
    server_token: SecretStr | None
    exchange: str
    tools: Mapping[str, bool]
    environment: Mapping[str, str]
    budget_usd: Decimal
    model: str | None
    ask: Ask | None
    tell: Callable[[str, str], None]
    """Called with what happens: `said`, `did` or `found`, and the text."""


async def run_builder(task: BuildTask, building: Building) -> None:
    """Let the agent design, and keep `building` up to date.

    Raises:
        Misconfigured: there is no agent or no credential.
    """
    require_claude(task.environment, INSTEAD)
    stderr: list[str] = []
    with anyio.move_on_after(LIMIT_S) as limit, cli_folder() as folder:

        def note(message: "Message") -> None:
            _note(message, task, building)
            if building.server_status not in (None, "connected"):
                folder.end_cli()

        def failed(why: str) -> None:
            building.why = building.why or f"The agent ended before it was done: {stderr[-1] if stderr else why}"

        await converse(folder, task.prompt, lambda: _options(task, building, folder, limit, stderr), note, failed)
    if limit.cancelled_caught:
        building.why = f"It took longer than {LIMIT_S // 60} minutes."
    if building.server_status not in (None, "connected"):
        building.why = "The agent could not reach the tool server. Check that it runs, and TRADER_TOKEN."


def _options(
    task: BuildTask, building: Building, folder: CliFolder, limit: anyio.CancelScope, stderr: list[str]
) -> "ClaudeAgentOptions":
    from claude_agent_sdk import ClaudeAgentOptions, HookMatcher

    async def guard(write: Any, call_id: str | None, _: Any) -> "SyncHookJSONOutput":
        return _admitted(building.admit(call_id or "", write["tool_input"]))

    environment = {**task.environment, **CLI_SETTINGS, "MCP_TOOL_TIMEOUT": "86400000", **folder.environment}
    offered = {name for name, only_looks in task.tools.items() if only_looks or name in (BACKTEST_TOOL, WRITE_TOOL)}
    headers = {"X-Trader-Exchange": task.exchange}
    servers: dict[str, Any] = {SERVER: server_access(task.server_url, task.server_token, headers, environment)}
    environment |= folder.launch(bundled_cli(INSTEAD), environment)
    allowed = qualified(sorted(offered))
    if task.ask is not None:
        servers[PERSON] = _person(task.ask, limit)
        allowed += qualified([ASK_TOOL], PERSON)
    return ClaudeAgentOptions(
        system_prompt=instructions(asking=task.ask is not None),
        tools=[],
        mcp_servers=servers,
        allowed_tools=allowed,
        disallowed_tools=qualified(sorted(set(task.tools) - offered)),
        hooks={"PreToolUse": [HookMatcher("|".join(qualified([WRITE_TOOL])), [guard], on_failure="block")]},
        **SEALED,
        model=task.model,
        max_turns=MAX_TURNS,
        max_budget_usd=float(task.budget_usd),
        env=environment,
        cwd=folder.cwd,
        cli_path=LAUNCHER,
        stderr=stderr.append,
    )


def _admitted(verdict: dict[str, Any] | str) -> "SyncHookJSONOutput":
    """Tell the CLI whether a write goes on; where anything fails before that, it does not."""
    decision: dict[str, Any] = {"permissionDecision": "allow", "updatedInput": verdict}
    if isinstance(verdict, str):
        decision = {"permissionDecision": "deny", "permissionDecisionReason": verdict}
    return cast("SyncHookJSONOutput", {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}})


def _person(ask: Ask, limit: anyio.CancelScope) -> "McpSdkServerConfig":
    """Make the person a server of one tool; while they think, the design's time stands still."""
    from claude_agent_sdk import create_sdk_mcp_server, tool

    one_at_a_time = anyio.Lock()

    @tool(ASK_TOOL, "Ask the person at the terminal one question and wait for the answer.", _QUESTION)
    async def ask_user(arguments: dict[str, Any]) -> dict[str, Any]:
        async with one_at_a_time:
            began = anyio.current_time()
            answer = await ask(arguments["question"], arguments.get("choices", []))
            limit.deadline += anyio.current_time() - began
        text = answer or "There is no answer. Decide yourself, and say in the end what you assumed."
        return {"content": [{"type": "text", "text": text}]}

    return create_sdk_mcp_server(PERSON, tools=[ask_user])


def _note(message: "Message", task: BuildTask, building: Building) -> None:
    import claude_agent_sdk as sdk

    if isinstance(message, sdk.SystemMessage) and message.subtype == "init":
        servers = {server["name"]: str(server["status"]) for server in message.data.get("mcp_servers", [])}
        building.server_status = servers.get(SERVER, "missing")
    elif isinstance(message, sdk.AssistantMessage) and message.model != "<synthetic>":
        _note_reply(message, task, building)
    elif isinstance(message, sdk.UserMessage) and isinstance(message.content, list):
        for result in message.content:
            if isinstance(result, sdk.ToolResultBlock) and result.tool_use_id in building.checks:
                for finding in building.checked(result.tool_use_id, _text(result.content)) or ["nothing to mend"]:
                    task.tell("found", finding)
    elif isinstance(message, sdk.ResultMessage):
        _ended(message, task, building)


def _note_reply(message: "AssistantMessage", task: BuildTask, building: Building) -> None:
    import claude_agent_sdk as sdk

    for block in message.content:
        if isinstance(block, sdk.TextBlock) and block.text.strip():
            task.tell("said", block.text.strip())
        elif isinstance(block, sdk.ToolUseBlock) and block.name not in qualified([ASK_TOOL], PERSON):
            task.tell("did", building.called(block.id, plain_tool_name(block.name), block.input))


def _ended(ending: "ResultMessage", task: BuildTask, building: Building) -> None:
    words = " ".join((*(ending.errors or ()), ending.result or "")).strip() or ending.subtype
    subtype = ending.subtype if not ending.is_error or ending.subtype != "success" else "error"
    building.ended(subtype, words, ending.total_cost_usd if ending.model_usage else None, task.budget_usd)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content)
    return content or ""
