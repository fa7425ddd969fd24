"""A chain of one's own for each file, with a token and people who move it."""

from collections.abc import Iterator

import pytest

from tests.chains.people import BINANCE, KRAKEN, Town
from tests.rigs.anvil import Anvil


@pytest.fixture
def town() -> Iterator[Town]:
    """Ethereum as far as anyone can tell: USDC is at its real address, two exchanges have real wallets."""
    with Anvil() as chain:
        chain.enrich(BINANCE, KRAKEN)
        yield Town.founded_on(chain)
