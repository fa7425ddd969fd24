"""The chain tools against public endpoints: `make live`, where there is internet. Nothing else runs these."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.tools.conftest import answer_of

pytestmark = pytest.mark.live

CHAINS = ("ethereum", "base", "arbitrum", "polygon", "bnb", "optimism", "bitcoin")


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    async with Client(build_server(ServerSettings(home=home))) as client:
        yield client


async def ask(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool(name, arguments))


@pytest.mark.parametrize("chain", CHAINS)
async def test_a_real_network_is_up_to_date_and_its_fees_are_in_order(client: Client, chain: str) -> None:
    said = await ask(client, "get_network_status", chain=chain)
    assert said["age_s"] < (7_200 if chain == "bitcoin" else 300)
    assert 0 <= said["fees"]["slow"] <= said["fees"]["normal"] <= said["fees"]["fast"]


@pytest.mark.parametrize(
    ("asset", "chain"), [("USDC", chain) for chain in CHAINS[:-1]] + [("ETH", "ethereum"), ("BTC", None)]
)
async def test_real_whales_are_found(client: Client, asset: str, chain: str | None) -> None:
    said = await ask(client, "get_whale_activity", asset=asset, chain=chain, lookback_minutes=10, min_usd=100_000)
    assert said["counts"]["transfers"] >= len(said["rows"])
    assert said["complete"] or said["note"]


async def test_a_real_wallet_of_an_exchange_holds_something(client: Client) -> None:
    said = await ask(client, "get_wallet", address="0xF977814e90dA44bFA03b6295A0616a897441aceC")
    assert said["total_usd"] > 1_000_000
    assert said["label"] == "Binance 8"
