"""Work that takes too long is given up with a remedy, and its thread ends between two parts of it."""

import threading

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool

from mcp_server.answers import Answer
from mcp_server.errors import BadInput
from mcp_server.toolkit import Call, StrictTool, check_patience, tool

ENOUGH_S = 20


async def test_what_takes_too_long_is_refused_and_its_thread_ends() -> None:
    ended = threading.Event()

    def endless() -> None:
        try:
            while True:
                check_patience()
        finally:
            ended.set()

    call = Call(kit=None, until=anyio.current_time() + 0.05)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="Ask for fewer indicators or shorter periods"):
        await call.bounded(endless)
    assert await anyio.to_thread.run_sync(ended.wait, ENOUGH_S)


async def test_a_caller_who_gives_up_ends_the_work(client: Client) -> None:
    """Specs that nobody asked for before, thirty of the slowest: measuring them alone takes half a minute."""
    specs = [f"jma({1000 - number},0.5) of volume" for number in range(30)]
    with anyio.fail_after(ENOUGH_S), anyio.move_on_after(1):
        await client.call_tool("calculate_indicators", {"symbol": "BTC/USDT", "indicators": specs})
    with anyio.fail_after(ENOUGH_S):
        result = await client.call_tool("calculate_indicators", {"symbol": "BTC/USDT", "indicators": ["rsi(14)"]})
    assert not result.is_error


class Working:
    """Two tools of a server: one of which two calls work at a time, and one without such a bound."""

    def __init__(self) -> None:
        self.begun, self.may_end = 0, anyio.Event()

        @tool(title="Slow", at_a_time=2)
        async def slow(call: Call) -> Answer:
            """Work."""
            async with call.limiter:
                self.begun += 1
                await self.may_end.wait()
            return Answer()

        @tool(title="Quick")
        async def quick(call: Call) -> Answer:
            """Answer at once."""
            async with call.limiter:
                return Answer()

        tools: list[Tool] = [StrictTool.of(file, kit=None) for file in (slow, quick)]  # type: ignore[arg-type]
        self.server: MCPServer[object] = MCPServer("working", tools=tools)


async def test_a_tool_works_for_so_many_calls_at_a_time_and_one_that_waits_holds_up_no_other_tool() -> None:
    working = Working()
    with anyio.fail_after(ENOUGH_S):
        async with Client(working.server) as client, anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(client.call_tool, "slow")
            while working.begun < 2:
                await anyio.lowlevel.checkpoint()
            assert not (await client.call_tool("quick")).is_error
            assert working.begun == 2
            working.may_end.set()
    assert working.begun == 3


async def test_a_call_that_is_given_up_lets_the_next_one_work() -> None:
    working = Working()
    with anyio.fail_after(ENOUGH_S):
        async with Client(working.server) as client, anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(client.call_tool, "slow")
            while working.begun < 2:
                await anyio.lowlevel.checkpoint()
            calls.cancel_scope.cancel()
        async with Client(working.server) as client, anyio.create_task_group() as calls:
            for _ in range(2):
                calls.start_soon(client.call_tool, "slow")
            while working.begun < 4:
                await anyio.lowlevel.checkpoint()
            working.may_end.set()
    assert working.begun in (4, 5)  # the third may have begun as the first two were given up
