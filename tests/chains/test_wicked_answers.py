"""Whatever stands in the place of any part of an endpoint's answer: it is an answer, or an error that teaches."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from mcp_server.domain.timeframes import from_ms
from tests.chains.people import BINANCE, ETHER, KRAKEN, MILLION, Town
from tests.rigs.anvil import Anvil, Text
from tests.rigs.chain_server import Ask, asking
from tests.rigs.esplora import StandInEsplora
from tests.rigs.rpc_proxy import RpcProxy
from tests.tools.conftest import Told

BITFINEX = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
BOB = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
ALICE = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
MANY = 15
"""So many of the places and values are tried each time."""

DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]
WICKED: list[Any] = [
    None, True, 0, -1, 10**30, 10**4_000, 1.5, -1e308, "", "0x", "0x0", "0x" + "f" * 64, "-5", "1e999",
    "BUY \u202e now", "x" * 100_000, [], {}, [[]], [None], {"a": None}, DEEP,
]  # fmt: skip


def places(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each part of a JSON value."""
    yield path
    parts: list[tuple[Any, Any]] = []
    if isinstance(told, dict):
        parts = list(told.items())
    elif isinstance(told, list):
        parts = list(enumerate(told))[:3]
    for key, part in parts:
        yield from places(part, (*path, key))


def spoiled(told: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = dict(told) if isinstance(told, dict) else list(told)
    copied[path[0]] = spoiled(copied[path[0]], path[1:], value)
    return copied


class Spoiler:
    """Puts a wicked value into one place of one answer, chosen by chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.until = 0
        self.done = ""

    def arm(self) -> None:
        self.until, self.done = self._chance.randrange(4), ""

    def __call__(self, name: str, told: Any) -> Any:
        if self.done:
            return told
        if self.until:
            self.until -= 1
            return told
        path, value = self._chance.choice(list(places(told))), self._chance.choice(WICKED)
        self.done = f"{str(value)[:30]!r} at {path} of {name}"
        return spoiled(told, path, value)


async def held(ask: Ask, spoiler: Spoiler, chance: random.Random, calls: list[tuple[str, dict[str, Any]]]) -> None:
    for _ in range(MANY):
        name, arguments = chance.choice(calls)
        spoiler.arm()
        try:
            said = json.dumps(await ask(name, **arguments))
        except Told as told:
            said = str(told)
        assert "failed unexpectedly" not in said, f"{spoiler.done} for {name} {arguments}"
        assert "BUY" not in said, spoiler.done
        assert len(said) < 9_000, spoiler.done


async def test_of_an_evm_chain(home: Path) -> None:
    chance = random.Random(1)  # noqa: S311 (a plan that is the same each time)
    spoiler = Spoiler(chance)
    with Anvil() as chain, RpcProxy(chain.url) as endpoint:
        town = Town.founded_on(chain)
        chain.enrich(BINANCE, KRAKEN)
        token = chain.deploy("Token", Text("x"), Text("y"), 6)
        town.pay(town.alice, BINANCE, 3 * MILLION)
        town.pay(town.alice, BINANCE, 3 * MILLION, token)
        chain.send(town.alice, BINANCE, value=900 * ETHER)
        town.pass_time(30)
        past = from_ms(chain.now_ms() - 60_000).isoformat()
        endpoint.change = lambda call, answer: spoiler(call["method"], answer)
        calls: list[tuple[str, dict[str, Any]]] = [
            ("get_whale_activity", {"asset": "USDC"}), ("get_whale_activity", {"asset": "ETH", "as_of": past}),
            ("get_whale_activity", {"asset": token, "price_symbol": "USDC/USD"}), ("get_wallet", {"address": BINANCE}),
            ("get_wallet", {"address": BINANCE, "as_of": past}), ("get_network_status", {}),
        ]  # fmt: skip
        async with asking(home, {"ethereum": [endpoint.url]}, chain.now_ms) as ask:
            await held(ask, spoiler, chance, calls)


async def test_of_bitcoin(home: Path) -> None:
    chance = random.Random(1)  # noqa: S311 (a plan that is the same each time)
    spoiler = Spoiler(chance)

    def change(path: str, told: Response) -> Response:
        if told.media_type != "application/json":
            return told
        return JSONResponse(spoiler(path[:12], json.loads(bytes(told.body))))

    with StandInEsplora() as bitcoin:
        for _ in range(20):
            bitcoin.block([bitcoin.tx([(ALICE, 99)], [(BITFINEX, 98)])])
        bitcoin.waiting.append(bitcoin.tx([(ALICE, 99)], [(BOB, 98)]))
        past = from_ms(bitcoin.now_ms() - 3_600_000).isoformat()
        bitcoin.change = change
        calls: list[tuple[str, dict[str, Any]]] = [
            ("get_whale_activity", {"asset": "BTC", "include_unconfirmed": True}),
            ("get_whale_activity", {"asset": "BTC", "as_of": past}), ("get_wallet", {"address": BITFINEX}),
            ("get_wallet", {"address": BITFINEX, "as_of": past}), ("get_network_status", {"chain": "bitcoin"}),
        ]  # fmt: skip
        async with asking(home, {"bitcoin": [bitcoin.url]}, bitcoin.now_ms) as ask:
            await held(ask, spoiler, chance, calls)
