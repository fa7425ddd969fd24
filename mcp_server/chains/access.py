"""How chains are reached: which endpoints and explorers, and with which keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_server.errors import Misconfigured

if TYPE_CHECKING:
    from mcp_server.adapters.chains.bitcoin import BitcoinChain
    from mcp_server.adapters.chains.evm import EvmChain
    from mcp_server.adapters.chains.explorer import Explorer
    from mcp_server.domain.chains.chain import Chain

ETHERSCAN = "https://api.etherscan.io/v2/api?chainid={}"


class Access:
    """Makes the adapters of chains.

    Args:
        urls: the operator's own endpoints, chain → URLs in order of preference; other chains use public ones.
        explorers: the operator's own explorers.
        keys: keys of explorers, by the names of their environment variables.
        clock: gives the present as an aware datetime.
        timeout_s: how long one request may take; None: as the adapters have it.
    """

    def __init__(
        self,
        urls: Mapping[str, Sequence[str]],
        explorers: Mapping[str, Sequence[str]],
        *,
        keys: Mapping[str, str],
        clock: Callable[[], datetime],
        timeout_s: float | None = None,
    ) -> None:
        self._urls = urls
        self._explorers = explorers
        self._keys = keys
        self._clock = clock
        self._limit = {} if timeout_s is None else {"timeout_s": timeout_s}

    def evm(self, chain: Chain) -> EvmChain:
        """Make the adapter of an EVM chain.

        Raises:
            Misconfigured: no endpoint is known, or one is not as it must be.
        """
        from mcp_server.adapters.chains.evm import EvmChain

        return EvmChain(chain, self._endpoints(chain), self._clock, **self._limit)

    def bitcoin(self, chain: Chain) -> BitcoinChain:
        """Make the adapter of Bitcoin.

        Raises:
            Misconfigured: no endpoint is known, or one is not as it must be.
        """
        from mcp_server.adapters.chains.bitcoin import BitcoinChain

        return BitcoinChain(chain, self._endpoints(chain), self._clock, **self._limit)

    def explorer(self, chain: Chain) -> Explorer | None:
        """Make the adapter of a chain's explorer: the operator's own, else Etherscan where there is a key for it.

        Without either, the chain's public one is asked, unless the operator named endpoints for the chain: who does
        may not want its addresses to be told to anybody else.

        Raises:
            Misconfigured: its URL is not as it must be.
        """
        from mcp_server.adapters.chains.endpoint import checked_url
        from mcp_server.adapters.chains.explorer import Explorer

        key = self._keys.get("BLOCKSCOUT_API_KEY")
        if own := self._explorers.get(chain.name):
            return Explorer(checked_url(own[0], f"TRADER_EXPLORER_URLS: that of {chain.name!r}"), key, **self._limit)
        if etherscan := self._keys.get("ETHERSCAN_API_KEY"):
            return Explorer(ETHERSCAN.format(chain.chain_id), etherscan, **self._limit)
        if chain.explorer_url is None or chain.name in self._urls:
            return None
        return Explorer(checked_url(chain.explorer_url, f"The explorer of {chain.name!r}"), key, **self._limit)

    def _endpoints(self, chain: Chain) -> list[str]:
        from mcp_server.adapters.chains.endpoint import checked_url

        own = self._urls.get(chain.name)
        urls = own or chain.urls
        if not urls:
            raise Misconfigured(f"No endpoint of {chain.name!r} is known. Name one in TRADER_CHAIN_URLS.")
        name = f"TRADER_CHAIN_URLS: each of {chain.name!r}" if own else f"Each endpoint of {chain.name!r}"
        return [checked_url(url, name) for url in urls]
