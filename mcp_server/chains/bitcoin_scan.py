"""Scans Bitcoin for transfers: whole blocks, newest first, then the few transactions that pay out enough."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio

from mcp_server.adapters.chains.bitcoin import BitcoinChain
from mcp_server.adapters.chains.bitcoin_reading import BitcoinBlock
from mcp_server.chains.bitcoin_heads import IN_A_ROW, Heads, agreed_heads_at
from mcp_server.chains.scan_request import GRACE_S, OUT_OF_TIME, ScanRequest, enough_at, only_after
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction, transfers_of
from mcp_server.domain.chains.chain import Scan, Transfer
from mcp_server.errors import TraderError, UpstreamRejected
from mcp_server.request_counter import RequestCounter
from mcp_server.together import together

MOST_REQUESTS = 400
AT_ONCE = 6

WAITING_S = 6.0
"""Time for reading unconfirmed transactions."""

CHANGE = "Change to a new address cannot be told from a payment in Bitcoin: such change is among the transfers."
RECENT = "Of the unconfirmed transactions only the latest ten are read."

MOST_LOST = 3
"""After this many blocks in a row that cannot be read, the endpoints are at fault and the scan ends."""

T = TypeVar("T")


async def scan(chain: BitcoinChain, request: ScanRequest, counter: RequestCounter, now_ms: int) -> Scan:
    """Find the transfers that a request covers; see `evm_scan.scan`. Unconfirmed transactions are as of `now_ms`."""
    heads = await agreed_heads_at(chain, request.until_ms)
    work = _BitcoinWork(chain, request, heads, counter)
    await work.run()
    return Scan(
        transfers=work.transfers,
        head=heads.head,
        first_block=work.first,
        last_block=work.last,
        from_ms=work.covered_ms,
        until_ms=request.until_ms,
        requests=counter.requests,
        missed=work.missed,
        notes=[*heads.notes, CHANGE, *([RECENT] if request.unconfirmed else [])],
        observed_at_ms=now_ms if request.unconfirmed else None,
    )


class _BitcoinWork:
    """One running scan; see `evm_scan`."""

    def __init__(self, chain: BitcoinChain, request: ScanRequest, heads: Heads, counter: RequestCounter) -> None:
        self._chain = chain
        self._request = request
        self._heads = heads
        self._counter = counter
        self._enough_at = enough_at()
        self._limiter = anyio.Semaphore(AT_ONCE)
        self.last = heads.head.number if request.unconfirmed else heads.head.number - chain.chain.confirmations + 1
        self.transfers: list[Transfer] = []
        self.first = self.last + 1
        self.covered_ms = request.until_ms
        self.missed: list[str] = []
        self._lost: dict[int, UpstreamRejected] = {}

    async def run(self) -> None:
        """Read block after block, from the head down, and the unconfirmed transactions."""
        unseen = await self._waiting() if self._request.unconfirmed else []
        await self._blocks()
        self._drop_repeated()
        if self.missed:
            self.missed.insert(0, only_after(self.covered_ms, self._request.from_ms))
        else:
            self.covered_ms = self._request.from_ms
        self.missed += [*self._lost_blocks(), *unseen]

    async def _blocks(self) -> None:
        page: Sequence[BitcoinBlock] = self._heads.blocks
        older, above = 0, None
        while True:
            for block in page:
                if above is not None and above.before != block.hash:
                    self._miss(UpstreamRejected("The chain took another branch meanwhile.", "Ask again."))
                older = older + 1 if block.time_ms < self._request.from_ms else 0
                if older == 0 and block.number <= self.last and not self.missed:
                    await self._block(block)
                if self.missed or older == IN_A_ROW or block.number == 0:
                    return
                above = block
            try:
                page = await self._chain.blocks_down_from(page[-1].number - 1)
            except TraderError as error:
                self._miss(error)
                return

    async def _block(self, block: BitcoinBlock) -> None:
        """Add the transfers of one block, or note why it could not be read.

        A block that no endpoint sends as it should is lost alone; an outage ends the scan, for it takes all others too.
        """
        if self._begun and anyio.current_time() > self._enough_at:
            self.missed.append(OUT_OF_TIME)
            return
        transactions: Sequence[BitcoinTransaction] | None = None
        with anyio.CancelScope(deadline=self._enough_at + GRACE_S if self._begun else math.inf) as scope:
            try:
                transactions = await self._transactions(block)
            except UpstreamRejected as error:
                self._lose(block, error)
            except TraderError as error:
                self._miss(error)
        if scope.cancelled_caught:
            self.missed.append(OUT_OF_TIME)
        elif transactions is not None:
            self._add(transactions)
            self.first, self.covered_ms = block.number, block.time_ms

    async def _transactions(self, block: BitcoinBlock) -> Sequence[BitcoinTransaction] | None:
        paying = await self._chain.paying(block, self._request.least)
        if self._counter.requests + len(paying) > MOST_REQUESTS:
            self.missed.append(f"A scan makes at most {MOST_REQUESTS} requests: a higher min_usd needs fewer.")
            return None
        asks = (partial(self._chain.transaction, txid, block, paid) for txid, paid in paying.items())
        return await together(*(partial(self._limited, ask) for ask in asks))

    @property
    def _begun(self) -> bool:
        """Whether something is known already, so that a part can be answered."""
        return self.first <= self.last

    def _miss(self, error: TraderError) -> None:
        """Note why the rest is missing; if nothing is known yet, raise the error."""
        if not self._begun:
            raise error
        self.missed.append(str(error))

    def _lose(self, block: BitcoinBlock, error: UpstreamRejected) -> None:
        """Go on without a block that cannot be read, unless it is one of too many in a row."""
        self._lost[block.number] = error
        if all(block.number + place in self._lost for place in range(MOST_LOST)):
            if not self._begun:
                raise error
            self.missed.append(f"The scan ended at {MOST_LOST} blocks in a row that could not be read.")

    def _lost_blocks(self) -> list[str]:
        """Return a note that names the blocks that were left out; if no block could be read, raise the reason."""
        if not self._lost:
            return []
        numbers = list(self._lost)
        if not self._begun:
            raise self._lost[numbers[0]]
        named = f"Blocks {', '.join(map(str, numbers))} are" if len(numbers) > 1 else f"Block {numbers[0]} is"
        return [f"{named} left out: {self._lost[numbers[0]]}"]

    async def _waiting(self) -> list[str]:
        """Add the unconfirmed transfers; return notes on why they could not be read."""
        transactions: Sequence[BitcoinTransaction | None] | None = None
        unread: list[UpstreamRejected] = []

        async def one(txid: str) -> BitcoinTransaction | None:
            try:
                return await self._chain.waiting_transaction(txid)
            except UpstreamRejected as error:
                unread.append(error)
                return None

        with anyio.move_on_after(WAITING_S):
            try:
                ids = await self._chain.waiting(self._request.least)
                transactions = await together(*(partial(self._limited, partial(one, txid)) for txid in ids))
            except TraderError as error:
                return [f"Unconfirmed transactions could not be read: {error}"]
        if transactions is None:
            return [f"Unconfirmed transactions could not be read within {WAITING_S:g} s."]
        self._add([transaction for transaction in transactions if transaction is not None])
        return [f"Unconfirmed transactions that could not be read: {len(unread)}. {unread[0]}"] if unread else []

    def _add(self, transactions: Sequence[BitcoinTransaction]) -> None:
        moved = [transfer for transaction in transactions for transfer in transfers_of(transaction)]
        self.transfers = [*(t for t in moved if t.raw >= self._request.least), *self.transfers]

    def _drop_repeated(self) -> None:
        """Drop unconfirmed transfers that another endpoint already has in a block."""
        known = {transfer.hash for transfer in self.transfers if transfer.block is not None}
        self.transfers = [t for t in self.transfers if t.block is not None or t.hash not in known]

    async def _limited(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self._limiter:
            return await ask()
