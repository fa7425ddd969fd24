"""A chain of one's own for each file, with a token and people who move it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chains.people import BINANCE, KRAKEN, Town
from tests.rigs.anvil import Anvil
from tests.rigs.chain_server import Ask, asking
from tests.rigs.rpc_proxy import RpcProxy


@pytest.fixture
def town() -> Iterator[Town]:
    """Ethereum as far as anyone can tell: USDC is at its real address, two exchanges have real wallets."""
    with Anvil() as chain:
        chain.enrich(BINANCE, KRAKEN)
        yield Town.founded_on(chain)


@pytest.fixture
def bad(chain: Anvil) -> Iterator[RpcProxy]:
    """An endpoint of the file's own `chain`, to be spoilt."""
    with RpcProxy(chain.url) as endpoint:
        yield endpoint


@pytest.fixture
def good(chain: Anvil) -> Iterator[RpcProxy]:
    """Another endpoint of the same chain."""
    with RpcProxy(chain.url) as endpoint:
        yield endpoint


@asynccontextmanager
async def on(home: Path, chain: Anvil, *endpoints: RpcProxy) -> AsyncIterator[Ask]:
    """Ask a server that has these endpoints of a chain."""
    async with asking(home, {"ethereum": [endpoint.url for endpoint in endpoints]}, chain.now_ms) as ask:
        yield ask
