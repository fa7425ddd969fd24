"""Thousands of blocks with many transfers: each above the threshold once, none below, to the cent."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from tests.chains.people import BINANCE, BINANCE_TOO, KRAKEN, USDC, Town
from tests.rigs.anvil import Anvil, call
from tests.rigs.chain_server import asking
from tests.rigs.rpc_proxy import RpcProxy
from tests.rigs.sampled import sampled

SIZES = [(1_000, 400), pytest.param((5_000, 2_000), marks=pytest.mark.long)]
"""Blocks, and transfers in them."""

BLOCK_S, CONFIRMATIONS = 12, 12
THRESHOLD_USD = 1_000_000


@dataclass
class Sent:
    """A chain, and every transfer that was sent on it: (hash, sender, receiver, raw units)."""

    chain: Anvil
    blocks: int
    transfers: list[tuple[str, str, str, int]] = field(default_factory=list)


@pytest.fixture(scope="module", params=SIZES, ids=["small", "large"])
def sent(request: pytest.FixtureRequest) -> Iterator[Sent]:
    blocks, left = request.param
    with Anvil(prune=True) as chain:
        chain.enrich(BINANCE, BINANCE_TOO, KRAKEN)
        town = Town.founded_on(chain)
        done = Sent(chain, blocks)
        chance = random.Random(5)  # noqa: S311 (a plan that is the same each time)
        people = [town.alice, town.bob, BINANCE, BINANCE_TOO, KRAKEN]
        while chain.height() < blocks - CONFIRMATIONS:
            calls, made = [], []
            for _ in range(min(left, chance.choice((5, 40, 90)))):
                sender, receiver = chance.choice(people), chance.choice(people)
                raw = chance.choice((chance.randrange(1, 10**10), chance.randrange(9 * 10**11, 3 * 10**12)))
                data = call("transfer(address,uint256)", receiver, raw)
                calls.append(("eth_sendTransaction", [chain.transaction(sender, USDC, data=data, gas=100_000)]))
                made.append((sender, receiver, raw))
            failing = call("transferAndFail(address,uint256)", BINANCE, 2 * 10**12)
            calls.append(("eth_sendTransaction", [chain.transaction(town.alice, USDC, data=failing, gas=100_000)]))
            hashes = chain.rpc_all(calls)
            done.transfers += [(tx, *parts) for tx, parts in zip(hashes, made, strict=False)]
            left -= len(made)
            chain.mine(min(chance.choice((60, 120, 250)), blocks - CONFIRMATIONS - chain.height()))
        assert left == 0
        chain.mine(CONFIRMATIONS - 1)
        yield done


@pytest.mark.parametrize("limit", sampled([700, 1_000, 10_000], 3))
async def test_each_transfer_above_the_threshold_is_found_once_and_the_sums_are_right(
    home: Path, sent: Sent, limit: int
) -> None:
    minutes, limit = sent.blocks * BLOCK_S // 60, limit * sent.blocks // 5_000
    with RpcProxy(sent.chain.url, log_blocks=limit) as endpoint:
        async with asking(home, {"ethereum": [endpoint.url]}, sent.chain.now_ms) as ask:
            answer = await ask(
                "get_whale_activity",
                asset="USDC",
                min_usd=THRESHOLD_USD,
                lookback_minutes=minutes,
                limit=200,
            )
            logs = endpoint.methods["eth_getLogs"]
            least = -(-(answer["blocks"]["last"] - answer["blocks"]["first"] + 1) // limit)
            assert answer["requests"] == endpoint.requests
            assert logs <= max(1.2 * least, least + 1)
            assert endpoint.requests <= logs + 1, "one for the newest block"
    price = Decimal(repr(answer["price_usd"]))
    large = [moved for moved in sent.transfers if Decimal(moved[3]).scaleb(-6) * price >= THRESHOLD_USD]
    assert len(large) > len(sent.transfers) * 0.3 > 100
    assert answer["complete"]
    assert answer["counts"]["transfers"] == len(large)
    assert answer["total_usd"] == cents(sum(raw for *_, raw in large), price)
    exchanges = {BINANCE: "binance", BINANCE_TOO: "binance", KRAKEN: "kraken"}
    into = sum(raw for _, a, b, raw in large if b in exchanges and exchanges.get(a) != exchanges[b])
    out = sum(raw for _, a, b, raw in large if a in exchanges and exchanges.get(b) != exchanges[a])
    assert (answer["to_exchanges_usd"], answer["from_exchanges_usd"]) == (cents(into, price), cents(out, price))
    largest = Counter((tx, a, b, float(Decimal(raw).scaleb(-6))) for tx, a, b, raw in large)
    shown = Counter((row[8], row[4], row[5], row[1]) for row in answer["rows"])
    assert sum(shown.values()) == min(200, len(large))
    assert not shown - largest


def cents(raw: int, price: Decimal) -> float:
    return float((Decimal(raw).scaleb(-6) * price).quantize(Decimal("0.01")))
