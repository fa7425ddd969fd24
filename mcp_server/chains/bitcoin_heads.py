"""The last block of Bitcoin by a moment, although the times of its blocks are not in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.adapters.chains.bitcoin import LATE_MS, BitcoinChain
from mcp_server.adapters.chains.bitcoin_reading import BitcoinBlock
from mcp_server.adapters.chains.endpoints import outvoted
from mcp_server.domain.timeframes import iso
from mcp_server.errors import NotSupported, Retryable, UpstreamRejected

IN_A_ROW = 6
"""After this many blocks in a row that are older than a moment, all earlier ones are."""

AGREED = 2
"""Endpoints must agree on the block this far below the last: on the very last they may differ for a while."""

STUCK_MS = 3 * 3_600_000
"""Bitcoin finds a block every ten minutes: an endpoint without one for this long is stuck."""

_MOST_JUMPS = 30


@dataclass(frozen=True, slots=True)
class Heads:
    """Blocks from the last one of a moment down, newest first, and notes about them."""

    blocks: Sequence[BitcoinBlock]
    notes: Sequence[str]

    @property
    def head(self) -> BitcoinBlock:
        """The last block."""
        return self.blocks[0]


async def agreed_heads_at(chain: BitcoinChain, at_ms: int) -> Heads:
    """Find the last block of a moment as `heads_at` does, on a branch of the chain on which two endpoints agree.

    Raises:
        UpstreamRejected: no two endpoints agree.
    """
    for _ in range(2):
        heads = await heads_at(chain, at_ms)
        if await chain.agreed(heads.blocks[min(AGREED, len(heads.blocks) - 1)]):
            return heads
    raise outvoted(chain.chain.name)


async def heads_at(chain: BitcoinChain, at_ms: int) -> Heads:
    """Find the last block of a moment.

    A block's time may be earlier than that of the one before it. The last block of a moment is the one below the first
    with a later time, so that nothing that came after the moment is used.

    Raises:
        NotSupported: the chain began later.
        Retryable: all endpoints stand still.
    """
    newest = await chain.newest()
    late_ms = at_ms - newest[0].time_ms
    if late_ms > STUCK_MS:
        raise Retryable(f"No endpoint of {chain.chain.name!r} has a block of the last three hours.", "Try again later.")
    late = f"No endpoint has a block of the last {late_ms // 60_000} minutes: Bitcoin found none, or all of them lag."
    return Heads(await _down_from(chain, newest, at_ms), [late] if late_ms > LATE_MS else [])


async def _down_from(chain: BitcoinChain, blocks: list[BitcoinBlock], at_ms: int) -> list[BitcoinBlock]:
    low: int | None = None
    for _ in range(_MOST_JUMPS):
        later = [block.number for block in blocks if block.time_ms > at_ms]
        below = [block for block in blocks if block.number < min(later, default=blocks[0].number + 1)]
        if below and (len(below) >= IN_A_ROW or below[-1].number == 0):
            return below
        if blocks[-1].number == 0 and not below:
            raise NotSupported(
                f"{chain.chain.name!r} began only at {iso(blocks[-1].time_ms)}.", "Ask for a later moment."
            )
        if below:  # the page ends too early to be sure that no later time follows
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
    raise UpstreamRejected(f"The times of Bitcoin's blocks do not lead to {iso(at_ms)}.", "Ask for another moment.")


async def _upwards(chain: BitcoinChain, blocks: list[BitcoinBlock], at_ms: int, high: int) -> list[BitcoinBlock]:
    """Return blocks, newest first, with some above the moment among them."""
    for _ in range(_MOST_JUMPS):
        if blocks[0].time_ms > at_ms or blocks[0].number >= high:
            break
        behind = int((at_ms - blocks[0].time_ms) / (chain.chain.block_s * 1000))
        top = min(blocks[0].number + max(behind, 5), high)
        page = await chain.blocks_down_from(top)
        blocks = page if page[-1].number > blocks[0].number else [*page, *blocks]
        blocks = sorted({block.number: block for block in blocks}.values(), key=lambda block: -block.number)
    return blocks
