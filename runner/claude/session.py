"""What every conversation with the agent CLI shares: where it is, what it is kept from, and a certain end.

This file and the two that converse, `engine` (a run) and `builder` (a design), are the only ones that import the SDK.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from mcp_server.errors import Misconfigured
from runner.claude.cli_folder import CliFolder

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions, Message

SERVER = "trader"
START_TOOL = "Agent"
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


async def converse(
    folder: CliFolder,
    prompt: str,
    options: Callable[[], "ClaudeAgentOptions"],
    note: Callable[["Message"], None],
    failed: Callable[[str], None],
) -> None:
    """Follow the CLI in a task of its own that no cancellation reaches: one ends the CLI, and so the SDK too.

    A cancellation inside the SDK keeps the caller waiting for seconds, or leaves a CLI that is just starting behind.

    Args:
        folder: the conversation's own.
        prompt: what the CLI is told first.
        options: makes the SDK's options.
        note: is given each message.
        failed: is told why, where the SDK fails.
    """
    ended, unreached = anyio.Event(), anyio.CancelScope(shield=True)

    async def follow() -> None:
        from claude_agent_sdk import query

        logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())  # it prints what `failed` is told
        try:
            with unreached:
                async for message in query(prompt=prompt, options=options()):
                    note(message)
        except Exception as error:  # the SDK raises plain Exception too
            failed(f"{type(error).__name__}: {error}")
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        try:
            await ended.wait()
        finally:
            folder.end_cli()
            unreached.deadline = anyio.current_time() + END_S


def qualified(tools: Iterable[str], server: str = SERVER) -> list[str]:
    """Give the names by which the CLI knows tools of a server."""
    return [f"mcp__{server}__{tool}" for tool in tools]


def bundled_cli(instead: str) -> Path:
    """Find the CLI that came with the SDK; `instead` says how to go on without it, as the end of a sentence.

    Raises:
        Misconfigured: the SDK is not installed, or has no CLI for this platform.
    """
    try:
        import claude_agent_sdk
    except ImportError:
        raise Misconfigured(
            f"The claude engine is not installed. Run `pip install 'claude-trader[claude]'`, or {instead}"
        ) from None
    cli = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    if not cli.is_file():
        raise Misconfigured(
            "claude-agent-sdk came without its CLI for this platform. Install its wheel for Linux or macOS, or "
            + instead
        )
    return cli
