"""Who is asked: the operator's own endpoints and explorers, else public ones, and nobody who should not know."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.chains.access import Access
from mcp_server.chains.catalog import Catalog
from mcp_server.domain.chains.chain import Chain
from mcp_server.errors import Misconfigured


def access(
    urls: dict[str, list[str]] | None = None, explorers: dict[str, list[str]] | None = None, **keys: str
) -> Access:
    return Access(urls or {}, explorers or {}, keys=keys, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def ethereum(home: Path) -> Chain:
    return Catalog(home).chain("ethereum")


def endpoint(part: Any) -> str:
    where: str = part._endpoint._url
    return where


def test_an_explorer_is_the_operators_own_then_etherscan_then_a_public_one(ethereum: Chain) -> None:
    own = {"ethereum": ["https://explorer.example/api"]}
    assert endpoint(access(explorers=own, ETHERSCAN_API_KEY="k").explorer(ethereum)) == own["ethereum"][0]
    assert "chainid=1" in endpoint(access(ETHERSCAN_API_KEY="k").explorer(ethereum))
    assert "blockscout" in endpoint(access().explorer(ethereum))


def test_who_names_endpoints_has_no_address_told_to_a_public_explorer(ethereum: Chain, home: Path) -> None:
    mine = {"ethereum": ["https://node.example"]}
    assert access(mine).explorer(ethereum) is None
    assert access(mine).explorer(Catalog(home).chain("base")) is not None
    assert access(mine, ETHERSCAN_API_KEY="k").explorer(ethereum) is not None


def test_a_chain_without_endpoints_says_so(home: Path) -> None:
    (home / "chains.json").write_text('{"mine": {"chain_id": 5, "native": "X", "block_s": 1, "confirmations": 1}}')
    with pytest.raises(Misconfigured, match=r"No endpoint of 'mine' is known\. Name one in TRADER_CHAIN_URLS"):
        access().evm(Catalog(home).chain("mine"))
