"""Work that takes too long is given up with a remedy, and its thread ends between two parts of it."""

import threading

import anyio
import pytest
from mcp import Client

from mcp_server.errors import BadInput
from mcp_server.toolkit import Call, check_patience

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
