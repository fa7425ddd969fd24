"""The chains as of any moment: tools ask it for transfers, wallets and the state of a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mcp_server.domain.timeframes import from_ms, to_ms
from mcp_server.moment import DEADLINE_S, Clock, check_now, deadline, is_now
from mcp_server.request_counter import counting_requests
from mcp_server.single_flight import SingleFlight

if TYPE_CHECKING:
    from mcp_server.chains.access import Access
    from mcp_server.chains.catalog import Catalog
    from mcp_server.chains.scan_request import ScanRequest
    from mcp_server.domain.chains.chain import Chain, Network, Scan, Token, Transfer, Wallet
    from mcp_server.domain.chains.labels import Label

T = TypeVar("T")

L1_FEE = "A transaction here also pays for being written to Ethereum; these fees do not include that."


class Chains:
    """Answers questions about chains as of any moment, never with anything later.

    Every question may raise `NotSupported`, `Retryable` and `UpstreamRejected` as the chain's adapter does, and
    `Retryable` when its time is over.

    Args:
        catalog: returns the known chains and labels; called when they are first needed.
        access: makes the adapters.
        clock: returns the present.
        deadline_s: how long any one question may take.
    """

    def __init__(
        self, catalog: Callable[[], Catalog], access: Access, clock: Clock, *, deadline_s: float = DEADLINE_S
    ) -> None:
        self._make_catalog = catalog
        self._access = access
        self._clock = clock
        self._deadline_s = deadline_s
        self._single_flight = SingleFlight()
        self._evm_chain = cache(access.evm)
        self._bitcoin_chain = cache(access.bitcoin)
        self._explorer = cache(access.explorer)

    @cached_property
    def _catalog(self) -> Catalog:
        return self._make_catalog()

    async def chain(self, name: str | None, asset: str | None = None, address: str | None = None) -> Chain:
        """Return the chain of that name; without a name, the chain that an asset or an address belongs to."""
        await anyio.to_thread.run_sync(lambda: (self._catalog.chains, self._catalog.labels))
        if name is not None:
            return self._catalog.chain(name)
        if address is not None:
            from mcp_server.domain.chains.evm_address import is_meant

            return self._catalog.chain("ethereum" if is_meant(address) else "bitcoin")
        return self._catalog.home_of(asset or "ETH")

    def label(self, chain: Chain, address: str | None) -> Label | None:
        """Return the label of an address, or None."""
        return self._catalog.labels.of(chain, address)

    async def token(self, chain: Chain, asset: str, as_of: datetime) -> Token:
        """Return an asset of a chain by its symbol, or any token by its address."""
        from mcp_server.chains.catalog import token_of

        if (known := token_of(chain, asset)) is not None:
            return known
        from mcp_server.chains.evm_heads import head_at
        from mcp_server.domain.chains.evm_address import evm_address

        address = evm_address(asset.strip())
        with self._deadline(chain):
            evm = self._evm_chain(chain)
            return await evm.token(address, await head_at(evm, to_ms(as_of)))

    async def transfers(self, chain: Chain, request: ScanRequest, most: int) -> tuple[Scan, list[Transfer]]:
        """Find transfers; return the scan, and its largest transfers with their times."""
        return await self._shared(chain, ("transfers", request, most), partial(self._transfers, chain, request, most))

    def address(self, chain: Chain, text: str) -> str:
        """Check an address and return the form in which it is requested and labelled."""
        from mcp_server.domain.chains.bitcoin_address import bitcoin_address
        from mcp_server.domain.chains.evm_address import evm_address

        return bitcoin_address(text.strip()) if chain.family == "bitcoin" else evm_address(text.strip())

    async def wallet(self, chain: Chain, checked: str, as_of: datetime) -> Wallet:
        """Return the balances of an address that is checked already."""
        from mcp_server.chains.wallets import bitcoin_wallet, evm_wallet

        at_ms = to_ms(as_of)
        if chain.family == "bitcoin":
            ask = partial(bitcoin_wallet, self._bitcoin_chain(chain), checked, at_ms)
            return await self._shared(chain, ("wallet", checked, at_ms), ask)
        now_ms = to_ms(self._clock()) if is_now(as_of, self._clock) else None
        ask = partial(evm_wallet, self._evm_chain(chain), self._explorer(chain), checked, at_ms, now_ms)
        return await self._shared(chain, ("wallet", checked, at_ms), ask)

    async def network(self, chain: Chain, as_of: datetime) -> Network:
        """Return the state of a chain: of an EVM chain as of any moment, for blocks record it; of Bitcoin only now."""
        if chain.family == "bitcoin":
            check_now(as_of, self._clock, "The state of Bitcoin's mempool and fees", "Leave as_of out.")
        at_ms = to_ms(as_of)
        return await self._shared(chain, ("network", at_ms), partial(self._network, chain, at_ms))

    async def close(self) -> None:
        """Close every connection."""
        await self._access.close()

    async def _network(self, chain: Chain, at_ms: int) -> Network:
        from mcp_server.chains import bitcoin_heads, evm_heads
        from mcp_server.domain.chains.chain import Network

        if chain.family == "evm":
            evm = self._evm_chain(chain)
            head = await evm_heads.head_at(evm, at_ms)
            return Network(head, *await evm.fees(head), notes=[L1_FEE] if chain.l1_fee else [])
        bitcoin, now_ms = self._bitcoin_chain(chain), to_ms(self._clock())
        heads = await bitcoin_heads.heads_at(bitcoin, at_ms)
        fees, mempool = await bitcoin.fees(), await bitcoin.mempool()
        return Network(heads.head, fees, mempool=mempool, observed_at_ms=now_ms, notes=heads.notes)

    async def _transfers(self, chain: Chain, request: ScanRequest, most: int) -> tuple[Scan, list[Transfer]]:
        if chain.family == "bitcoin":
            from mcp_server.chains import bitcoin_scan

            if request.unconfirmed:
                until = from_ms(request.until_ms)
                check_now(until, self._clock, "The list of unconfirmed transactions", "Leave include_unconfirmed out.")
            now_ms = to_ms(self._clock())
            with counting_requests() as counter:
                scan = await bitcoin_scan.scan(self._bitcoin_chain(chain), request, counter, now_ms)
            return scan, _largest(scan, most)
        from mcp_server.chains import evm_heads, evm_scan

        evm = self._evm_chain(chain)
        with counting_requests() as counter:
            scan = await evm_scan.scan(evm, request, counter)
            rows, notes = await evm_heads.with_times(evm, _largest(scan, most), scan.head)
        return replace(scan, requests=counter.requests, notes=[*scan.notes, *notes]), rows

    async def _shared(self, chain: Chain, key: tuple[Hashable, ...], ask: Callable[[], Awaitable[T]]) -> T:
        """Ask once for all who ask the same question at the same time."""
        with self._deadline(chain):
            return await self._single_flight.share((chain.name, *key), ask)

    def _deadline(self, chain: Chain) -> AbstractContextManager[None]:
        return deadline(
            self._deadline_s,
            f"The endpoints of {chain.name!r} did not answer everything within {self._deadline_s:g} seconds.",
            "Try again, ask for less, or set TRADER_CHAIN_URLS to a faster endpoint.",
        )


def _largest(scan: Scan, most: int) -> list[Transfer]:
    return sorted(scan.transfers, key=lambda transfer: -transfer.raw)[:most]
