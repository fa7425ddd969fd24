"""The last block by a moment, found by the times of blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mcp_server.domain.chains.chain import BlockRef
from mcp_server.domain.timeframes import iso
from mcp_server.errors import NotSupported, UpstreamRejected

Headers = Callable[[Sequence[int]], Awaitable[Sequence[BlockRef]]]
"""Returns blocks by number, in one request."""

PROBES = 12
"""Blocks that are looked at in one request."""

_MOST_ROUNDS = 40


async def block_at(headers: Headers, newest: BlockRef, at_ms: int, block_s: float, chain: str) -> BlockRef:
    """Return the last block of a moment or before it; its successor is of a later moment, or there is none.

    Each round looks at several blocks around where the moment should be, so that two or three requests are the rule.
    `block_s` is the usual time between blocks; `chain` is the chain's name, for errors.

    Raises:
        NotSupported: the chain began later.
        UpstreamRejected: the times of its blocks make no sense.
    """
    if newest.time_ms <= at_ms:
        return newest
    low: BlockRef | None = None
    high = newest
    pace_ms = max(block_s * 1000, 1.0)
    for _ in range(_MOST_ROUNDS):
        if low is not None and high.number - low.number == 1:
            return low
        if high.number == 0:
            raise NotSupported(f"{chain!r} began only at {iso(high.time_ms)}.", "Ask for a later moment.")
        for block in await headers(_probes(low, high, at_ms, pace_ms)):
            if block.time_ms <= at_ms:
                low = block if low is None or block.number > low.number else low
            else:
                high = block if block.number < high.number else high
        if low is not None:
            pace_ms = max((high.time_ms - low.time_ms) / (high.number - low.number), 1.0)
    raise UpstreamRejected(
        f"The times of the blocks of {chain!r} do not lead to {iso(at_ms)}.", "Ask for another moment."
    )


def _probes(low: BlockRef | None, high: BlockRef, at_ms: int, pace_ms: float) -> list[int]:
    """Choose the blocks to look at: all that are left if they are few, else some on both sides of a guess."""
    floor = 0 if low is None else low.number + 1
    room = high.number - floor
    if room <= PROBES:
        return list(range(floor, high.number))
    back = int((high.time_ms - at_ms) / pace_ms)
    guess = min(max(high.number - back, floor), high.number - 1)
    step = max(room // (PROBES * PROBES), back // (PROBES * PROBES * 4), 1)
    around = (guess + offset * step for offset in range(-PROBES // 2, PROBES // 2))
    return sorted({min(max(number, floor), high.number - 1) for number in around})
