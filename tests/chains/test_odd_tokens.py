"""Tokens that answer oddly, or are there in odd numbers: they cost no more than themselves, and no digit is lost.

And what else of a node's answers must not be counted.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server.adapters.chains.evm import _fees
from mcp_server.adapters.chains.evm_reading import BALANCE_OF, SYMBOL, claimed_symbol
from tests.chains.people import BINANCE, KRAKEN, MILLION, USDC, Town
from tests.rigs.anvil import Anvil, Text
from tests.rigs.chain_server import Ask, asking
from tests.rigs.rpc_proxy import RpcProxy
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told

ODD = "0x6982508145454ce325ddbe47a25d4ec3d2311933"
"""Where PEPE is on the real chain."""


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Anvil() as chain:
        chain.enrich(BINANCE, KRAKEN)
        yield Town.founded_on(chain)


@pytest.fixture
def endpoint(town: Town) -> Iterator[RpcProxy]:
    with RpcProxy(town.chain.url) as endpoint:
        yield endpoint


@asynccontextmanager
async def on(home: Path, town: Town, endpoint: RpcProxy) -> AsyncIterator[Ask]:
    async with asking(home, {"ethereum": [endpoint.url]}, town.chain.now_ms) as ask:
        yield ask


def answering(function: str, token: str, answer: Any) -> Callable[[dict[str, Any], Any], Any]:
    """Let one function of one contract answer this."""

    def change(call: dict[str, Any], real: Any) -> Any:
        if call["method"] != "eth_call":
            return real
        asked = call["params"][0]
        return answer if asked["data"].startswith(function) and asked["to"] == token else real

    return change


@pytest.mark.parametrize(
    "answer", sampled(["0x" + "00" * 64, "0x05", "0x" + "ff" * 33], 3), ids=["two words", "a byte", "33 bytes"]
)
async def test_a_token_whose_balance_cannot_be_read_costs_only_itself(
    home: Path, town: Town, endpoint: RpcProxy, answer: str
) -> None:
    endpoint.change = answering(BALANCE_OF, ODD, answer)
    async with on(home, town, endpoint) as ask:
        wallet = await ask("get_wallet", address=KRAKEN)
    assert [row[0] for row in wallet["rows"]] == ["ETH", "USDC"]
    assert "their contracts tell no balance: PEPE." in wallet["note"]


@pytest.mark.parametrize(
    "message", ["invalid opcode: opcode 0xfe not defined", "VM execution error: out of gas", "execution reverted"]
)
async def test_a_contract_that_fails_is_no_balance_of_zero(
    home: Path, town: Town, endpoint: RpcProxy, message: str
) -> None:
    endpoint.errors = {"eth_call": {"code": -32000, "message": message}}
    async with on(home, town, endpoint) as ask:
        wallet = await ask("get_wallet", address=KRAKEN)
    assert [row[0] for row in wallet["rows"]] == ["ETH"]
    assert "their contracts tell no balance: USDT, USDC, DAI," in wallet["note"]


@pytest.mark.parametrize("answer", sampled([None, [], "five", "0x5g", 5], 3))
async def test_an_answer_that_no_contract_can_give_is_the_endpoints_fault(
    home: Path, town: Town, endpoint: RpcProxy, answer: Any
) -> None:
    endpoint.change = answering(BALANCE_OF, ODD, answer)
    async with on(home, town, endpoint) as ask:
        with pytest.raises(Told, match="answers what is no number"):
            await ask("get_wallet", address=KRAKEN)


def text(offset: int, gap: int, symbol: bytes, length: int | None = None) -> str:
    head = offset.to_bytes(32) + bytes(gap) + (len(symbol) if length is None else length).to_bytes(32)
    return "0x" + (head + symbol.ljust(32, b"\0")).hex()


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (text(32, 0, b"USUAL"), "USUAL"), (text(64, 32, b"LATER"), "LATER"), (text(33, 1, b"ODD"), "ODD"),
        (text(2**255, 0, b"FAR"), ""), (text(32, 0, b"LONG", 2**255), "LONG"),
        ("0x" + b"OLD".ljust(32, b"\0").hex(), "OLD"),
        ("0x", ""), ("0x" + "00" * 40, ""), ("no", ""), (None, ""),
    ],
)  # fmt: skip
def test_a_symbol_is_read_wherever_it_stands(answer: Any, symbol: str) -> None:
    assert claimed_symbol(answer) == symbol


async def test_the_symbol_of_another_abi_layout_is_told(home: Path, town: Town, endpoint: RpcProxy) -> None:
    token = town.chain.deploy("Token", Text("x"), Text("y"), 6)
    town.pass_time()
    endpoint.change = answering(SYMBOL, token, text(64, 32, b"LATER"))
    async with on(home, town, endpoint) as ask:
        report = await ask("get_whale_activity", asset=token, price_symbol="USDC/USD")
    assert report.get("token_claims_symbol") == "LATER"


def test_blocks_that_were_empty_say_nothing_about_tips() -> None:
    tips = [["0x0", "0x0", "0x0"]] * 5 + [["0x1", "0x2", "0x3"], ["0x4", "0x5", "0x6"], ["0x7", "0x8", "0x9"]]
    history = {"baseFeePerGas": ["0x64"] * 9, "reward": tips, "gasUsedRatio": [0] * 5 + [0.5, 0.9, 0.1]}
    fees, base_fees = _fees(history)
    assert ([int(fee) for fee in (fees.slow, fees.normal, fees.fast)], base_fees[-1]) == ([104, 105, 106], 100)


async def test_a_net_of_forty_digits_loses_none(home: Path, town: Town, endpoint: RpcProxy) -> None:
    most, token = 1234567890123456789012345678901234567899, "0x" + "ab" * 20
    code = town.chain.deploy("Token", Text("x"), Text("y"), 0)
    town.chain.put_token(code, token, {town.alice: most})
    town.pay(town.alice, BINANCE, most, token)
    town.pass_time()
    async with on(home, town, endpoint) as ask:
        report = await ask("get_whale_activity", asset=token, price_symbol="USDC/USD")
    total, net = report["summary"].split("; net ")
    assert len(net.split()[0]) > 50, "with its commas"
    assert net.split()[0] == total.removeprefix("1 transfer worth ").split()[0]


Logs = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


async def amounts(home: Path, town: Town, endpoint: RpcProxy, logs: Logs, min_usd: float = 1_000_000) -> list[float]:
    """Return the amounts of the last minutes, where the endpoint changes the logs of USDC so."""

    def change(call: dict[str, Any], real: Any) -> Any:
        mine = call["method"] == "eth_getLogs" and call["params"][0]["address"] == USDC
        return logs(real) if mine else real

    endpoint.change = change
    async with on(home, town, endpoint) as ask:
        report = await ask("get_whale_activity", asset="USDC", lookback_minutes=3, min_usd=min_usd)
    assert report["counts"]["transfers"] == len(report["rows"])
    return [row[1] for row in report["rows"]]


async def test_only_logs_that_stand_are_counted_each_once(home: Path, town: Town, endpoint: RpcProxy) -> None:
    """A node that lives through a reorganisation may send logs once more, marked as removed."""
    town.pass_time(20)
    town.pay(town.alice, BINANCE, 2 * MILLION)
    town.pay(town.alice, KRAKEN, 3 * MILLION)
    town.pass_time()

    def taken_back(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**log, "removed": log["data"].endswith(f"{2 * MILLION:x}")} for log in logs]

    def of_later_blocks(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**log, "blockNumber": hex(town.chain.height() + place)} for place, log in enumerate(logs)]

    def of_nfts(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**log, "topics": [*log["topics"], "0x" + "00" * 31 + "07"]} for log in logs]

    assert await amounts(home, town, endpoint, lambda logs: logs) == [3_000_000, 2_000_000]
    assert await amounts(home, town, endpoint, taken_back) == [3_000_000]
    assert await amounts(home, town, endpoint, lambda logs: [*logs, *logs]) == [3_000_000, 2_000_000]
    assert await amounts(home, town, endpoint, of_later_blocks) == []
    assert await amounts(home, town, endpoint, of_nfts) == []


async def test_a_transfer_of_exactly_the_threshold_counts(home: Path, town: Town, endpoint: RpcProxy) -> None:
    town.pass_time(20)
    for raw in (2 * MILLION - 1, 2 * MILLION, 2 * MILLION + 1):
        town.pay(town.alice, BINANCE, raw)
    town.pass_time()
    async with on(home, town, endpoint) as ask:
        price = (await ask("get_whale_activity", asset="USDC", lookback_minutes=1))["price_usd"]
    least_usd = (2_000_000 - 0.000_000_5) * price
    assert await amounts(home, town, endpoint, lambda logs: logs, least_usd) == [2_000_000.000_001, 2_000_000]
