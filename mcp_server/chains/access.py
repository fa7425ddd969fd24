"""Makes the adapters of chains, with their endpoints, explorers and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from mcp_server.domain.loopback import is_loopback
from mcp_server.errors import Misconfigured
from mcp_server.moment import Clock

if TYPE_CHECKING:
    from mcp_server.adapters.chains.bitcoin import BitcoinChain
    from mcp_server.adapters.chains.evm import EvmChain
    from mcp_server.adapters.chains.explorer import Explorer
    from mcp_server.domain.chains.chain import Chain

Adapter = TypeVar("Adapter", "EvmChain", "BitcoinChain", "Explorer")

ETHERSCAN = "https://api.etherscan.io/v2/api?chainid={}"
MOST_URL = 2_000


class Access:
    """Makes the adapters of chains, or raises `Misconfigured`: no endpoint is known, or a URL is invalid.

    Args:
        urls: the operator's own endpoints, chain → URLs in order of preference; other chains use public ones.
        explorers: the operator's own explorers.
        keys: keys of explorers, by the names of their environment variables.
        clock: returns the present.
        timeout_s: how long one request may take; None: the adapters' default.
    """

    def __init__(
        self,
        urls: Mapping[str, Sequence[str]],
        explorers: Mapping[str, Sequence[str]],
        *,
        keys: Mapping[str, str],
        clock: Clock,
        timeout_s: float | None = None,
    ) -> None:
        self._urls = urls
        self._explorers = explorers
        self._keys = keys
        self._clock = clock
        self._limit = {} if timeout_s is None else {"timeout_s": timeout_s}
        self._made: list[EvmChain | BitcoinChain | Explorer] = []

    def evm(self, chain: Chain) -> EvmChain:
        """Make the adapter of an EVM chain."""
        from mcp_server.adapters.chains.evm import EvmChain

        return self._kept(EvmChain(chain, self._endpoints(chain), self._clock, **self._limit))

    def bitcoin(self, chain: Chain) -> BitcoinChain:
        """Make the adapter of Bitcoin."""
        from mcp_server.adapters.chains.bitcoin import BitcoinChain

        return self._kept(BitcoinChain(chain, self._endpoints(chain), self._clock, **self._limit))

    def explorer(self, chain: Chain) -> Explorer | None:
        """Make the adapter of a chain's explorer: the operator's own, else Etherscan where there is a key for it.

        Without either, it is the chain's public one, unless the operator named endpoints for the chain: they may not
        want to show the addresses they ask about to anybody else.
        """
        from mcp_server.adapters.chains.explorer import Explorer

        key = self._keys.get("BLOCKSCOUT_API_KEY")
        if own := self._explorers.get(chain.name):
            url = checked_url(own[0], f"TRADER_EXPLORER_URLS: that of {chain.name!r}")
        elif etherscan := self._keys.get("ETHERSCAN_API_KEY"):
            url, key = ETHERSCAN.format(chain.chain_id), etherscan
        elif chain.explorer_url is None or chain.name in self._urls:
            return None
        else:
            url = checked_url(chain.explorer_url, f"The explorer of {chain.name!r}")
        return self._kept(Explorer(url, key, **self._limit))

    async def close(self) -> None:
        """Close the connections of every adapter."""
        for adapter in self._made:
            await adapter.close()

    def _kept(self, adapter: Adapter) -> Adapter:
        self._made.append(adapter)
        return adapter

    def _endpoints(self, chain: Chain) -> list[str]:
        own = self._urls.get(chain.name)
        urls = own or chain.urls
        if not urls:
            raise Misconfigured(f"No endpoint of {chain.name!r} is known.", "Name one in TRADER_CHAIN_URLS.")
        name = f"TRADER_CHAIN_URLS: each of {chain.name!r}" if own else f"Each endpoint of {chain.name!r}"
        return [checked_url(url, name) for url in urls]


def checked_url(url: str, name: str) -> str:
    """Check that an endpoint is https, or http on this machine; no error shows it, for it may contain a key."""
    try:
        if not url.isprintable() or " " in url or len(url) > MOST_URL:
            raise ValueError
        parts = urlsplit(url)
        host = parts.hostname or ""
        good = bool(host) and not (parts.username or parts.password or parts.fragment)
        good = good and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise Misconfigured(
            f"{name} must be an https URL, or an http one of this machine, without a user name.",
            "Put a key into the path, as its provider writes it.",
        )
    return url.rstrip("/")
