"""Work that takes too long is given up with a remedy, and its thread ends between two parts of it."""

import threading

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp_types import Implementation

from mcp_server.answers import Answer
from mcp_server.errors import BadInput, Retryable
from mcp_server.strict_tool import StrictTool
from mcp_server.toolkit import Call, check_patience, tool
from mcp_server.turns import LEFT_S, Turns

ENOUGH_S = 20


async def test_what_takes_too_long_is_refused_and_its_thread_ends() -> None:
    ended = threading.Event()

    def endless() -> None:
        try:
            while True:
                check_patience()
        finally:
            ended.set()

    call = Call(kit=None, until=anyio.current_time() + 0.5)  # type: ignore[arg-type]
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
    """Two tools of a server: one at which two clients work at a time, and one without such a bound."""

    def __init__(self) -> None:
        self.begun, self.may_end = 0, anyio.Event()

        @tool(title="Slow", at_a_time=2)
        async def slow(call: Call) -> Answer:
            """Work."""
            async with call.turn():
                self.begun += 1
                await self.may_end.wait()
            return Answer()

        @tool(title="Quick")
        async def quick(call: Call) -> Answer:
            """Answer at once."""
            async with call.turn():
                return Answer()

        tools: list[Tool] = [StrictTool.of(file, kit=None) for file in (slow, quick)]  # type: ignore[arg-type]
        self.server: MCPServer[object] = MCPServer("working", tools=tools)

    def client(self, name: str) -> Client:
        return Client(self.server, client_info=Implementation(name=name, version="1"))

    async def until_begun(self, count: int) -> None:
        while self.begun < count:
            await anyio.lowlevel.checkpoint()


async def test_a_client_works_at_one_call_at_a_time_and_holds_up_neither_another_client_nor_another_tool() -> None:
    working = Working()
    with anyio.fail_after(ENOUGH_S):
        async with (
            working.client("busy") as busy,
            working.client("other") as other,
            anyio.create_task_group() as calls,
        ):
            for _ in range(6):
                calls.start_soon(busy.call_tool, "slow")
            await working.until_begun(1)
            assert not (await busy.call_tool("quick")).is_error
            assert working.begun == 1
            calls.start_soon(other.call_tool, "slow")
            await working.until_begun(2)
            working.may_end.set()
    assert working.begun == 7


async def test_a_third_client_waits_and_a_call_that_is_given_up_lets_it_work() -> None:
    working = Working()
    with anyio.fail_after(ENOUGH_S):
        async with (
            working.client("a") as a,
            working.client("b") as b,
            working.client("c") as c,
            anyio.create_task_group() as rest,
        ):
            async with anyio.create_task_group() as first:
                first.start_soon(a.call_tool, "slow")
                first.start_soon(b.call_tool, "slow")
                await working.until_begun(2)
                rest.start_soon(c.call_tool, "slow")
                await b.call_tool("quick")
                assert working.begun == 2
                first.cancel_scope.cancel()
            await working.until_begun(3)
            working.may_end.set()


@pytest.mark.parametrize(("holder", "reason"), [("same", "Your earlier calls"), ("other", "Other clients")])
async def test_a_call_whose_turn_never_comes_says_that_it_has_not_begun(holder: str, reason: str) -> None:
    turns, until = Turns("slow", at_a_time=1), anyio.current_time() + LEFT_S + 0.05
    async with turns.turn(holder, until + ENOUGH_S):
        with pytest.raises(Retryable, match=f"{reason} kept slow busy, so this call has not begun"):
            async with turns.turn("same", until):
                pass
    async with turns.turn("same", until + ENOUGH_S):
        pass
