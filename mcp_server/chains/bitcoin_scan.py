"""Scans Bitcoin for transfers: whole blocks, newest first, then the few transactions that pay out enough."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from mcp_server.adapters.bitcoin import BitcoinChain
from mcp_server.adapters.together import together
from mcp_server.chains.stretch import ENOUGH_S, Stretch, only_after
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction, transfers_of
from mcp_server.domain.chains.chain import BlockRef, Scan, Transfer
from mcp_server.domain.timeframes import iso
from mcp_server.errors import NotSupported, Retryable, TraderError, UpstreamRejected

MOST_REQUESTS = 400
AT_ONCE = 6

IN_A_ROW = 6
"""Blocks say their times loosely: after so many in a row that are older, all that follow are."""

AGREED = 2
"""So far below the last block endpoints must have the same one: about the very last they may differ for a while."""

STUCK_MS = 3 * 3_600_000
"""Bitcoin has found a block every ten minutes for years: who has none for so long is stuck."""

_MOST_JUMPS = 30
CHANGE = "Bitcoin's change to a new address cannot be told from a payment: such change is among the transfers."
RECENT = "Of the transactions that wait for a block only the latest ten are seen."


async def heads_at(chain: BitcoinChain, at_ms: int) -> list[BlockRef]:
    """Give blocks from the last one of a moment down, newest first.

    A block's time may be earlier than that of the one before it. A moment's last block is the one below the first that
    says a later time, so that nothing which came after it is taken for known.

    Raises:
        NotSupported: the chain began later.
        Retryable: all endpoints stand still; or, with UpstreamRejected, as the adapter.
    """
    blocks = await chain.newest()
    if at_ms - blocks[0].time_ms > STUCK_MS:
        raise Retryable(f"No endpoint of {chain.chain.name!r} has a block of the last three hours. Try again later.")
    low: int | None = None
    for _ in range(_MOST_JUMPS):
        later = [block.number for block in blocks if block.time_ms > at_ms]
        below = [block for block in blocks if block.number < min(later, default=blocks[0].number + 1)]
        if below and (len(below) >= IN_A_ROW or below[-1].number == 0):
            return below
        if blocks[-1].number == 0 and not below:
            raise NotSupported(f"{chain.chain.name!r} began only at {iso(blocks[-1].time_ms)}. Ask for a later moment.")
        if below:  # the page ends too soon below the place to say that no later time follows
            more = await chain.blocks_down_from(below[-1].number - 1)
            blocks = [*blocks, *more]
            continue
        behind = (blocks[-1].time_ms - at_ms) / (chain.chain.block_s * 1000)
        target = int(blocks[-1].number - behind * 0.98) + IN_A_ROW
        high = blocks[-1].number
        blocks = await chain.blocks_down_from(max(min(target, high - 1), 0, low or 0))
        if not any(block.time_ms > at_ms for block in blocks):  # too far down: go on upwards from here
            low = blocks[0].number
            blocks = await _upwards(chain, blocks, at_ms, high)
    raise UpstreamRejected(f"The times of Bitcoin's blocks do not lead to {iso(at_ms)}. Ask for another moment.")


async def _upwards(chain: BitcoinChain, blocks: list[BlockRef], at_ms: int, high: int) -> list[BlockRef]:
    """Give blocks, newest first, with some above the moment among them."""
    while blocks[0].time_ms <= at_ms and blocks[0].number < high:
        behind = int((at_ms - blocks[0].time_ms) / (chain.chain.block_s * 1000))
        top = min(blocks[0].number + max(behind, 5), high)
        page = await chain.blocks_down_from(top)
        blocks = page if page[-1].number > blocks[0].number else [*page, *blocks]
        blocks = sorted({block.number: block for block in blocks}.values(), key=lambda block: -block.number)
    return blocks


async def scan(chain: BitcoinChain, stretch: Stretch) -> Scan:
    """Find the transfers of a stretch; see `evm_scan.scan`.

    Raises:
        NotSupported, Retryable, UpstreamRejected: nothing could be found out.
    """
    before = chain.requests
    blocks = await heads_at(chain, stretch.until_ms)
    if not await chain.agreed(blocks[min(AGREED, len(blocks) - 1)]):
        blocks = await heads_at(chain, stretch.until_ms)
    work = _Work(chain, stretch, blocks[0])
    await work.run(blocks)
    return Scan(
        transfers=work.found,
        head=blocks[0],
        first_block=work.first,
        last_block=blocks[0].number,
        from_ms=work.covered_ms,
        until_ms=stretch.until_ms,
        requests=chain.requests - before,
        missed=work.missed,
        notes=[CHANGE, *([RECENT] if stretch.unconfirmed else [])],
    )


class _Work:
    """One scan under way; see `evm_scan`."""

    def __init__(self, chain: BitcoinChain, stretch: Stretch, head: BlockRef) -> None:
        self._chain = chain
        self._stretch = stretch
        self._enough_at = anyio.current_time() + ENOUGH_S
        self._most = chain.requests + MOST_REQUESTS
        self._turn = anyio.Semaphore(AT_ONCE)
        self.found: list[Transfer] = []
        self.first = head.number + 1
        self.covered_ms = stretch.until_ms
        self.missed: list[str] = []

    async def run(self, blocks: Sequence[BlockRef]) -> None:
        """Read block after block, from the head down."""
        if self._stretch.unconfirmed:
            await self._waiting()
        older = 0
        while not self.missed:
            for block in blocks:
                older = older + 1 if block.time_ms < self._stretch.from_ms else 0
                if older == 0:
                    await self._block(block)
                if self.missed or older == IN_A_ROW or block.number == 0:
                    break
            if older == IN_A_ROW or blocks[-1].number == 0:
                break
            blocks = await self._chain.blocks_down_from(blocks[-1].number - 1)
        if self.missed:
            self.missed.insert(0, only_after(self.covered_ms, self._stretch.from_ms))
        else:
            self.covered_ms = self._stretch.from_ms

    async def _block(self, block: BlockRef) -> None:
        """Take in one block, or say why it could not be."""
        if anyio.current_time() > self._enough_at:
            self.missed.append(f"A scan takes at most {ENOUGH_S:g} s.")
            return
        try:
            ids = await self._chain.paying(block, self._stretch.least)
            if self._chain.requests + len(ids) > self._most:
                self.missed.append(f"A scan makes at most {MOST_REQUESTS} requests: a higher min_usd needs fewer.")
                return
            told = await together(*(partial(self._transaction, txid) for txid in ids))
        except TraderError as error:
            if self.covered_ms == self._stretch.until_ms:
                raise
            self.missed.append(str(error))
            return
        confirmed = [transaction for transaction in told if transaction.block_hash == block.hash]
        if len(confirmed) < len(told):
            self.missed.append(f"An endpoint does not know all transactions of block {block.number} yet.")
            return
        self._take(confirmed)
        self.first, self.covered_ms = block.number, block.time_ms

    async def _waiting(self) -> None:
        ids = await self._chain.waiting(self._stretch.least)
        told = await together(*(partial(self._transaction, txid) for txid in ids))
        self._take([transaction for transaction in told if transaction.block is None])

    def _take(self, transactions: Sequence[BitcoinTransaction]) -> None:
        moved = [transfer for transaction in transactions for transfer in transfers_of(transaction)]
        self.found = [*(t for t in moved if t.raw >= self._stretch.least), *self.found]

    async def _transaction(self, txid: str) -> BitcoinTransaction:
        async with self._turn:
            return await self._chain.transaction(txid)
