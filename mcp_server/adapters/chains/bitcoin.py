"""Bitcoin over the REST interface of Esplora, which mempool.space and blockstream.info serve too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

from mcp_server.adapters.chains import bitcoin_reading as reading
from mcp_server.adapters.chains.bitcoin_block import paying_transactions
from mcp_server.adapters.chains.bitcoin_reading import BitcoinBlock, Holdings
from mcp_server.adapters.chains.endpoint import SMALL_BYTES, TIMEOUT_S, UNREADABLE, USUAL_BYTES, Endpoint, Failed
from mcp_server.adapters.chains.endpoints import endpoints_of
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction
from mcp_server.domain.chains.chain import BlockRef, Chain, Fees, Mempool
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.moment import Clock

LATE_MS = 5_400_000
"""One block in ten thousand takes longer than 90 minutes: an endpoint whose newest is older lags behind."""

KNOWN_HEIGHT, KNOWN_HASH = 654_683, "0000000000000000000b9d2ec5a352ecba0592946514a92f14319dc2b367fc72"
"""A block of 2020 that neither test chains nor the coins that split off earlier have."""

T = TypeVar("T")


class BitcoinChain:
    """Bitcoin's main chain, reached at `urls`, which are checked, the preferred one first."""

    def __init__(self, chain: Chain, urls: Sequence[str], clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self.chain = chain
        self._endpoints = endpoints_of(chain.name, urls, timeout_s)
        self._clock = clock
        self._proven: set[Endpoint] = set()

    async def newest(self) -> list[BitcoinBlock]:
        """Return the newest blocks, newest first, of an endpoint that is up to date, or of the one that lags least."""
        late: list[list[BitcoinBlock]] = []

        async def ask(endpoint: Endpoint) -> list[BitcoinBlock] | None:
            page = await self._read(endpoint, "/blocks", reading.blocks)
            if to_ms(self._clock()) - page[0].time_ms <= LATE_MS:
                return page
            self._endpoints.rest(endpoint)
            late.append(page)
            return None

        return await self._endpoints.first(ask) or max(late, key=lambda page: page[0].number)

    async def agreed(self, anchor: BlockRef) -> bool:
        """Let a second endpoint confirm a block; see `Endpoints.agreed`."""
        return await self._endpoints.agreed(anchor, self._hash_at)

    async def blocks_down_from(self, height: int) -> list[BitcoinBlock]:
        """Return ten or more blocks from a height down, newest first."""

        async def ask(endpoint: Endpoint) -> list[BitcoinBlock]:
            page = await self._read(endpoint, f"/blocks/{height}", reading.blocks)
            if page[0].number != height:
                raise Failed(UpstreamRejected, "answers other blocks than were asked for")
            return page

        return await self._endpoints.ask(ask)

    async def paying(self, block: BitcoinBlock, least: int) -> Mapping[str, int]:
        """Return the transactions of a block that pay one receiver at least `least` satoshi, and the total of each."""

        async def ask(endpoint: Endpoint) -> Mapping[str, int]:
            await self._prove(endpoint)
            raw = await endpoint.get_bytes(f"/block/{block.hash}/raw", large=True)
            read = partial(paying_transactions, raw, block.hash, block.before, least)
            return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)

        return await self._endpoints.ask(ask)

    async def transaction(self, txid: str, block: BlockRef, paid: int) -> BitcoinTransaction:
        """Return a transaction of a block, which must pay `paid` satoshi in all, with its inputs and outputs."""

        async def ask(endpoint: Endpoint) -> BitcoinTransaction:
            transaction = await self._transaction(endpoint, txid)
            if transaction.block_hash != block.hash:
                raise Failed(Retryable, f"does not know all transactions of block {block.number} yet")
            if sum(value for _, value in transaction.outputs) != paid:
                raise Failed(UpstreamRejected, "tells other amounts of a transaction than its block does")
            return replace(transaction, block=block.number, time_ms=block.time_ms)

        return await self._endpoints.ask(ask)

    async def waiting(self, least: int) -> list[str]:
        """Return the ids of the latest unconfirmed transactions that pay out at least `least` satoshi."""
        return await self._get("/mempool/recent", partial(reading.waiting, least=least))

    async def waiting_transaction(self, txid: str) -> BitcoinTransaction | None:
        """Return an unconfirmed transaction, or None if it was replaced or is in a block by now."""

        async def ask(endpoint: Endpoint) -> BitcoinTransaction | None:
            try:
                return await self._transaction(endpoint, txid)
            except Failed as failed:
                if failed.status == 404:
                    return None
                raise

        transaction = await self._endpoints.first(ask)
        return transaction if transaction is not None and transaction.block is None else None

    async def fees(self) -> Fees:
        """Return the present fees, in satoshi per virtual byte: within a day, within an hour, in the next block."""
        try:
            return await self._get("/fee-estimates", reading.fee_estimates)
        except UpstreamRejected:  # some serve only the form of mempool.space
            return await self._get("/v1/fees/recommended", reading.recommended_fees)

    async def mempool(self) -> Mempool:
        """Return the present state of the mempool."""
        return await self._get("/mempool", reading.mempool)

    async def holdings(self, address: str) -> Holdings:
        """Return what an address received and spent in confirmed transactions."""
        return await self._get(f"/address/{address}", reading.holdings)

    async def history(self, address: str, after: str | None = None) -> list[BitcoinTransaction]:
        """Return up to 25 confirmed transactions of an address, newest first, from the one after `after` on."""
        path = f"/address/{address}/txs/chain" + (f"/{after}" if after else "")
        return await self._get(path, reading.history, most=USUAL_BYTES)

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoints.close()

    async def _get(self, path: str, read: Callable[[Any], T], *, most: int = SMALL_BYTES) -> T:
        ask: Callable[[Endpoint], Awaitable[T]] = partial(self._read, path=path, read=read, most=most)
        return await self._endpoints.ask(ask)

    async def _transaction(self, endpoint: Endpoint, txid: str) -> BitcoinTransaction:
        transaction = await self._read(endpoint, f"/tx/{txid}", reading.transaction, most=USUAL_BYTES)
        if transaction.id != txid:
            raise Failed(UpstreamRejected, "answers another transaction than was asked for")
        return transaction

    async def _read(self, endpoint: Endpoint, path: str, read: Callable[[Any], T], *, most: int = SMALL_BYTES) -> T:
        """Ask one endpoint, once it is known to be of Bitcoin, and read its answer."""
        await self._prove(endpoint)
        answer = await endpoint.get(path, most=most)
        try:
            return read(answer)
        except UNREADABLE:
            raise Failed(UpstreamRejected, "answers what cannot be read") from None

    async def _prove(self, endpoint: Endpoint) -> None:
        """Check once that an endpoint is of Bitcoin."""
        if endpoint in self._proven:
            return
        if await _hash_at(endpoint, KNOWN_HEIGHT) != KNOWN_HASH:
            raise Failed(UpstreamRejected, "is not of Bitcoin's main chain")
        self._proven.add(endpoint)

    async def _hash_at(self, endpoint: Endpoint, height: int) -> str:
        await self._prove(endpoint)
        return await _hash_at(endpoint, height)


async def _hash_at(endpoint: Endpoint, height: int) -> str:
    answer = (await endpoint.get_bytes(f"/block-height/{height}")).decode("ascii", "replace").strip()
    try:
        return reading.hash_of(answer)
    except ValueError:
        raise Failed(UpstreamRejected, "answers what is no hash") from None
