"""EVM endpoints behind which not all nodes are up to date, which fail halfway, or answer what was not asked."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server.adapters.chains import endpoint as site_module
from mcp_server.adapters.chains.evm_reading import Piece
from mcp_server.domain.chains.chain import Transfer
from tests.chains.people import BINANCE, ETHER, KRAKEN, MILLION, USDC, Town
from tests.rigs.anvil import Anvil, Text
from tests.rigs.chain_server import Ask, asking
from tests.rigs.rpc_proxy import RpcProxy
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Anvil() as chain:
        chain.enrich(BINANCE, KRAKEN)
        town = Town.founded_on(chain)
        for _ in range(3):
            town.pass_time(50)
            town.pay(town.alice, BINANCE, 3 * MILLION)
            chain.send(town.alice, BINANCE, value=900 * ETHER)
            for _ in range(12):
                town.pay(town.bob, KRAKEN, 5)
        chain.mine()
        yield town


@pytest.fixture
def bad(town: Town) -> Iterator[RpcProxy]:
    with RpcProxy(town.chain.url) as endpoint:
        yield endpoint


@pytest.fixture
def good(town: Town) -> Iterator[RpcProxy]:
    with RpcProxy(town.chain.url) as endpoint:
        yield endpoint


@asynccontextmanager
async def on(home: Path, town: Town, *endpoints: RpcProxy) -> AsyncIterator[Ask]:
    async with asking(home, {"ethereum": [endpoint.url for endpoint in endpoints]}, town.chain.now_ms) as ask:
        yield ask


async def test_one_node_of_several_behind_a_url_that_lags_is_found_out_in_the_request_it_answers(
    home: Path, town: Town, bad: RpcProxy, good: RpcProxy
) -> None:
    """The others have the newest block, and said so just before; this one finds nothing in it, without a word."""
    height = town.chain.height()

    def behind(calls: list[dict[str, Any]], answers: list[Any]) -> list[Any]:
        if not any(call["method"] == "eth_getLogs" for call in calls):
            return answers
        return [
            [] if call["method"] == "eth_getLogs" else None if call["params"] == [hex(height), False] else answer
            for call, answer in zip(calls, answers, strict=True)
        ]

    bad.change_all = behind
    async with on(home, town, bad, good) as ask:
        report = await ask("get_whale_activity", asset="USDC", include_unconfirmed=True)
        assert report["counts"]["transfers"] == 3
    async with on(home, town, bad) as ask:
        with pytest.raises(Told, match=f"lags behind: it does not have block {height} yet"):
            await ask("get_whale_activity", asset="USDC", include_unconfirmed=True)


async def test_a_log_with_the_time_of_another_block_is_not_taken_for_one_of_the_window(
    home: Path, town: Town, good: RpcProxy
) -> None:
    """The window holds the last payment only; the endpoint writes into each log that it is far too new, or too old."""
    truth = town.chain.block()
    for wrong in (int(truth["timestamp"], 16) + 86_400, 1_700_000_000):

        def change(call: dict[str, Any], answer: Any, wrong: int = wrong) -> Any:
            if call["method"] != "eth_getLogs":
                return answer
            return [{**log, "blockTimestamp": hex(wrong)} for log in answer]

        good.change = change
        async with on(home, town, good) as ask:
            report = await ask("get_whale_activity", asset="USDC", lookback_minutes=5, include_unconfirmed=True)
        assert [row[0] for row in report["rows"]] == ["2026-05-20T00:30:24Z"]


@pytest.mark.parametrize(
    ("times", "sound"),
    [
        ([(5, 50_000), (6, 60_000)], True), ([(5, 50_000), (5, 50_000)], True), ([(5, 60_000), (6, 50_000)], False),
        ([(5, 50_000), (5, 51_000)], False), ([(5, 39_999)], False), ([(5, 90_001)], False), ([(5, None)], True),
    ],
)  # fmt: skip
def test_times_of_logs_must_be_those_of_blocks_in_order(times: list[tuple[int, int | None]], sound: bool) -> None:
    told = [Transfer("0x", None, None, 1, block, time_ms) for block, time_ms in times]
    read = Piece(1, told, 40_000).with_sound_times(90_000)
    assert list(read.transfers) == told if sound else all(transfer.time_ms is None for transfer in read.transfers)


async def test_another_endpoint_says_what_token_it_is_where_one_cannot(
    home: Path, town: Town, bad: RpcProxy, good: RpcProxy
) -> None:
    token = town.chain.deploy("Token", Text("x"), Text("y"), 6)
    town.pass_time()
    bad.errors = {"eth_call": {"code": -32603, "message": "internal error"}}
    asked = {"asset": token, "price_symbol": "USDC/USD"}
    async with on(home, town, bad, good) as ask:
        assert (await ask("get_whale_activity", **asked))["token"] == token
    async with on(home, town, bad) as ask:
        with pytest.raises(Told, match=r"endpoint 1 of 1 failed by itself \(code -32603\)"):
            await ask("get_whale_activity", **asked)


@pytest.mark.parametrize("odd", sampled([[1], {"a": 1}, True, None, 1.5], 3))
async def test_an_answer_whose_id_is_odd_is_a_failure_of_the_endpoint(
    home: Path, town: Town, bad: RpcProxy, good: RpcProxy, odd: Any
) -> None:
    bad.body = json.dumps([{"jsonrpc": "2.0", "id": told, "result": "0x1"} for told in (odd, 1)])
    async with on(home, town, bad, good) as ask:
        assert (await ask("get_network_status"))["block"] == town.chain.height()
    assert bad.requests == 1


async def test_a_block_that_is_sent_twice_is_not_counted_twice(home: Path, town: Town, bad: RpcProxy) -> None:
    height = town.chain.height()

    def change(call: dict[str, Any], answer: Any) -> Any:
        if call["method"] == "eth_getBlockByNumber" and call["params"][1]:
            return town.chain.rpc("eth_getBlockByNumber", hex(height), True)
        return answer

    bad.change = change
    async with on(home, town, bad) as ask:
        with pytest.raises(Told, match="answers another block than was asked for"):
            await ask("get_whale_activity", asset="ETH", include_unconfirmed=True)


async def test_another_receipt_than_was_asked_for_proves_nothing(home: Path, town: Town, bad: RpcProxy) -> None:
    def change(call: dict[str, Any], answer: Any) -> Any:
        swapped = call["method"] == "eth_getTransactionReceipt"
        return {**answer, "transactionHash": "0x" + "ab" * 32} if swapped else answer

    bad.change = change
    async with on(home, town, bad) as ask:
        with pytest.raises(Told, match="answers another receipt than was asked for"):
            await ask("get_whale_activity", asset="ETH", include_unconfirmed=True)


async def test_receipts_that_fail_late_leave_the_part_that_is_proven(home: Path, town: Town, bad: RpcProxy) -> None:
    height = town.chain.height()

    def change(call: dict[str, Any], answer: Any) -> Any:
        old = call["method"] == "eth_getTransactionReceipt" and int(answer["blockNumber"], 16) < height - 60
        return "broken" if old else answer

    bad.change = change
    async with on(home, town, bad) as ask:
        report = await ask("get_whale_activity", asset="ETH", include_unconfirmed=True)
    assert not report["complete"]
    assert 1 <= report["counts"]["transfers"] <= 2
    assert report["blocks"]["first"] > height - 102
    assert "answers another receipt than was asked for" in report["note"]


@pytest.mark.parametrize("asset", ["USDC", "ETH"])
async def test_answers_that_are_too_long_are_asked_for_in_parts(
    home: Path, town: Town, good: RpcProxy, monkeypatch: pytest.MonkeyPatch, asset: str
) -> None:
    monkeypatch.setattr(site_module, "LARGE_BYTES", 24_000 if asset == "ETH" else 18_000)
    async with on(home, town, good) as ask:
        report = await ask("get_whale_activity", asset=asset, include_unconfirmed=True)
    assert (report["complete"], report["counts"]["transfers"]) == (True, 3)
    assert good.requests > 2, "the first answer was too long"


async def test_rows_whose_times_cannot_be_asked_have_none_and_it_is_said(home: Path, town: Town, bad: RpcProxy) -> None:
    seen: list[str] = []

    def change(call: dict[str, Any], answer: Any) -> Any:
        if call["method"] == "eth_getLogs":
            seen.append("logs")
            return [{**log, "blockTimestamp": None} for log in answer]
        return "broken" if seen and call["params"] == [hex(height), False] else answer

    height = int(town.chain.rpc("eth_getLogs", {"address": USDC, "fromBlock": "0x0"})[-1]["blockNumber"], 16)
    town.pass_time(2)
    bad.change, bad.log_blocks = change, 20
    async with on(home, town, bad) as ask:
        report = await ask("get_whale_activity", asset="USDC", lookback_minutes=25, include_unconfirmed=True)
    assert [row[0] for row in report["rows"]] == [None, None, None]
    assert "The times of some transfers" in report["note"]


async def test_a_block_that_says_to_be_later_than_those_after_it_is_not_believed(
    home: Path, town: Town, bad: RpcProxy
) -> None:
    height = town.chain.height()

    def change(call: dict[str, Any], answer: Any) -> Any:
        old = call["method"] == "eth_getBlockByNumber" and answer and int(answer["number"], 16) < height - 20
        return {**answer, "timestamp": hex(int(answer["timestamp"], 16) + 10**6)} if old else answer

    bad.change, bad.log_blocks = change, 40
    async with on(home, town, bad) as ask:
        with pytest.raises(Told, match="The times of the blocks of 'ethereum' are not in order"):
            await ask("get_whale_activity", asset="USDC", include_unconfirmed=True)
