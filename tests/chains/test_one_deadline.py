"""A call has one deadline, however many questions it consists of: by then it answers in part, or says what is wrong."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server import strict_tool, toolkit
from mcp_server.market.market import Market
from tests.chains.people import BINANCE, MILLION, Town
from tests.rigs.anvil import Text
from tests.rigs.chain_server import asking
from tests.rigs.esplora import StandInEsplora
from tests.rigs.rpc_proxy import RpcProxy
from tests.tools.conftest import Told

LATE_S = 4.0
"""So much later than it should a call may end here, where the machine has other work."""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let a call take so many seconds in place of 29."""

    def take(seconds: float) -> None:
        for module in (toolkit, strict_tool):  # one ends the call, the other says after how long
            monkeypatch.setattr(module, "WORK_S", seconds)

    return take


@pytest.fixture
def slow(town: Town) -> Iterator[RpcProxy]:
    with RpcProxy(town.chain.url) as endpoint:
        yield endpoint


@pytest.fixture
def asked(town: Town) -> dict[str, Any]:
    """Ask for a token by its address: that it is one takes two requests, before any of the scan."""
    token = town.chain.deploy("Token", Text("x"), Text("y"), 6)
    town.pay(town.alice, BINANCE, MILLION, token)
    town.pass_time(250)
    return {"asset": token, "price_symbol": "USDC/USD", "min_usd": 1}


async def test_a_scan_after_a_slow_question_gives_the_part_that_there_was_time_for(
    home: Path, town: Town, slow: RpcProxy, asked: dict[str, Any], short: Callable[[float], None]
) -> None:
    short(6.0)  # less than a scan leaves to what comes after it: it ends with its first piece
    slow.silent_s, slow.log_blocks = 0.25, 40
    async with asking(home, {"ethereum": [slow.url]}, town.chain.now_ms) as ask:
        began = time.monotonic()
        answer = await ask("get_whale_activity", **asked)
    assert time.monotonic() - began < 6.0 + LATE_S
    assert not answer["complete"]
    assert "A scan takes at most 17 s" in answer["note"]


async def test_an_endpoint_too_slow_for_any_part_is_a_clear_error(
    home: Path, town: Town, slow: RpcProxy, asked: dict[str, Any], short: Callable[[float], None]
) -> None:
    short(2.0)
    slow.silent_s = 0.8
    async with asking(home, {"ethereum": [slow.url]}, town.chain.now_ms) as ask:
        began = time.monotonic()
        with pytest.raises(Told, match=r"get_whale_activity did not end within 2 seconds\. Try again, or ask for less"):
            await ask("get_whale_activity", **asked)
    assert time.monotonic() - began < 2.0 + LATE_S


async def test_a_price_that_does_not_come_costs_only_the_dollars(
    home: Path, monkeypatch: pytest.MonkeyPatch, short: Callable[[float], None]
) -> None:
    short(3.5)

    async def never(*_: Any) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Market, "price", never)
    with StandInEsplora() as bitcoin:
        for _ in range(20):
            bitcoin.block()
        async with asking(home, {"bitcoin": [bitcoin.url]}, bitcoin.now_ms) as ask:
            began = time.monotonic()
            answer = await ask("get_network_status", chain="bitcoin")
            assert time.monotonic() - began < 3.5 + LATE_S
            assert (answer["block"], answer["transfer_fee_usd"], answer["note"]) == (
                19,
                None,
                "No price in dollars of BTC.",
            )
