"""What the server begins in the background once its list of tools is out."""

import threading
from typing import Any

import anyio.to_thread
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings

ENOUGH_S = 60.0


class Work:
    """Notes the threads that it runs in, and says when it is done for the first time."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.done = threading.Event()

    def __call__(self) -> None:
        self.threads.append(threading.current_thread())
        self.done.set()


@pytest.mark.parametrize("first", ["list_tools", "call_tool"])
async def test_work_begins_in_a_thread_of_its_own_when_the_tools_are_listed_or_called(
    settings: ServerSettings, first: str
) -> None:
    work = Work()
    async with Client(build_server(settings, once_listed=work)) as client:
        asking: Any = {"list_tools": client.list_tools, "call_tool": lambda: client.call_tool("find_markets")}[first]
        await asking()
        assert await anyio.to_thread.run_sync(work.done.wait, ENOUGH_S)
        await asking()
    (thread,) = work.threads
    assert thread.daemon, "it must not hold up the end of the process"


async def test_nothing_begins_before_the_host_has_asked_for_a_tool(settings: ServerSettings) -> None:
    work = Work()
    async with Client(build_server(settings, once_listed=work)) as client:
        await client.list_prompts()
        assert not any(getattr(thread, "function", None) is work for thread in threading.enumerate())
    assert work.threads == []
