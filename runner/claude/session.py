"""What every conversation with the agent CLI shares: where the CLI is, what it may not do, and that it surely ends.

Only this file and those that converse, `engine` (a run), `builder` (a design) and `probe`, import the agent SDK.
"""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import SecretStr

from mcp_server.errors import Misconfigured
from runner.claude.cli_folder import LAUNCHER, CliFolder
from runner.claude.preflight import require_credential
from runner.installed import install
from runner.no_proxy import no_proxy

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions, Message
    from claude_agent_sdk.types import McpHttpServerConfig

SERVER = "trader"
START_TOOL = "Agent"
END_S = 10
"""How long the SDK may take to notice that its CLI has been ended."""

BUILT_IN_AGENTS = ("general-purpose", "Explore", "Plan", "claude", "statusline-setup")
SEALED: Mapping[str, Any] = {
    "strict_mcp_config": True,
    "permission_mode": "dontAsk",
    "setting_sources": [],
    "settings": '{"permissions":{"deny":["Read(//**)"]}}',
    "skills": [],
    "verbatim_prompts": True,
}
"""The options that keep every agent to what it is given: nothing of the user's settings, no files, no questions."""

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
    ready: Callable[[], Awaitable[bool]] | None = None,
) -> None:
    """Follow the CLI in a task that no cancellation reaches; a cancellation ends the CLI instead, and so the SDK too.

    A cancellation inside the SDK would keep the caller waiting for seconds, or leave behind a CLI that just starts.

    Args:
        folder: the conversation's folder.
        prompt: the first message.
        options: makes the SDK's options.
        note: called with each message.
        failed: called with the reason where the SDK fails.
        ready: awaited while the CLI starts; the first message is sent after it, and the CLI ended if it returns False.
    """
    ended, asked, unreached = anyio.Event(), anyio.Event(), anyio.CancelScope(shield=True)

    async def messages() -> AsyncIterator[dict[str, Any]]:
        await asked.wait()
        message = {"role": "user", "content": prompt}
        yield {"type": "user", "session_id": "", "message": message, "parent_tool_use_id": None}

    async def follow() -> None:
        from claude_agent_sdk import query

        logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())  # it prints what `failed` is told
        try:
            with unreached:
                async for message in query(prompt=messages(), options=options()):
                    note(message)
        except Exception as error:  # the SDK raises plain Exception too
            failed(f"{type(error).__name__}: {error}")
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        try:
            if ready is None or await ready():
                asked.set()
                await ended.wait()
        finally:
            folder.end_cli()
            unreached.deadline = anyio.current_time() + END_S


def server_access(
    url: str, token: SecretStr | None, headers: dict[str, str], environment: dict[str, str]
) -> "McpHttpServerConfig":
    """Return the tool server as an option of the SDK; a token goes into `environment`, as headers show in `ps`.

    The CLI uses no proxy for the server, nor for a gateway to Claude's API on this machine.
    """
    environment |= no_proxy(url)
    if token is not None:
        headers["Authorization"] = "Bearer ${TRADER_TOKEN}"
        environment["TRADER_TOKEN"] = token.get_secret_value()
    return {"type": "http", "url": url, "headers": headers}


def qualified(tools: Iterable[str], server: str = SERVER) -> list[str]:
    """Return the names by which the CLI knows tools of a server."""
    return [f"mcp__{server}__{tool}" for tool in tools]


def require_claude(environment: Mapping[str, str], instead: str) -> None:
    """Check, before anything starts, that there are the agent and a credential; `instead` ends the remedy.

    Raises:
        Misconfigured: one of them is missing.
    """
    bundled_cli(instead)
    require_credential(environment, instead)


def bundled_cli(instead: str) -> Path:
    """Find the CLI that came with the SDK; `instead` ends the remedy: how to go on without it.

    Raises:
        Misconfigured: the SDK is not installed, or has no CLI for this platform, or it cannot be executed.
    """
    try:
        import claude_agent_sdk
    except ImportError:
        remedy = f"Run `{install('[claude]')}`, or {instead}"
        raise Misconfigured("The claude engine is not installed.", remedy) from None
    cli = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    if not cli.is_file():
        raise Misconfigured(
            "claude-agent-sdk came without its CLI for this platform.",
            f"Install its wheel for Linux or macOS, or {instead}",
        )
    for program in (cli, LAUNCHER):
        if not os.access(program, os.X_OK):
            remedy = f"Mount its folder without noexec, and make the file executable; or {instead}"
            raise Misconfigured(f"{program} cannot be executed.", remedy)
    return cli
