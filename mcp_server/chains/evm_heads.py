"""Blocks of an EVM chain: the last by a moment, the branch on which endpoints agree, and the times of transfers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from mcp_server.adapters.chains.endpoints import outvoted
from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.chains.block_at import block_at
from mcp_server.domain.chains.chain import BlockRef, Transfer
from mcp_server.errors import TraderError

TIMES_S = 3.0
"""Time of a question that is left when the times of its rows are given up."""


async def head_at(chain: EvmChain, at_ms: int) -> BlockRef:
    """Return the last block of a moment; see `block_at`."""
    newest = await chain.rpc.newest(at_ms)
    return await block_at(chain.rpc.headers, newest, at_ms, chain.chain.block_s, chain.chain.name)


async def agreed_heads_at(chain: EvmChain, at_ms: int) -> tuple[BlockRef, BlockRef]:
    """Return the last block of a moment, and the last confirmed one by then, on which two endpoints agree.

    By the latter all that a scan asks is anchored to one branch of the chain. Where there is but one endpoint, its
    block is not asked for in advance: each request checks that there is one.

    Raises:
        UpstreamRejected: no two endpoints agree.
    """
    for _ in range(2):
        head = await head_at(chain, at_ms)
        number = max(head.number - chain.chain.confirmations + 1, 0)
        if len(chain.rpc.endpoints.in_order()) == 1:
            return head, BlockRef(number, 0, "")
        (confirmed,) = await chain.rpc.headers([number], head)
        if await chain.rpc.agreed(confirmed):
            return head, confirmed
    raise outvoted(chain.chain.name)


async def with_times(chain: EvmChain, rows: Sequence[Transfer], anchor: BlockRef) -> tuple[list[Transfer], list[str]]:
    """Return transfers with their times, and a note if some could not be read in time."""
    with anyio.CancelScope(deadline=anyio.current_effective_deadline() - TIMES_S):
        try:
            return await timed(chain, rows, anchor), []
        except TraderError:
            pass
    return list(rows), ["The times of some transfers could not be read."]


async def timed(chain: EvmChain, transfers: Sequence[Transfer], anchor: BlockRef) -> list[Transfer]:
    """Return transfers with the times of their blocks, requesting those that no log states."""
    unknown = sorted({t.block for t in transfers if t.time_ms is None and t.block is not None})
    if not unknown:
        return list(transfers)
    times = {block.number: block.time_ms for block in await chain.rpc.headers(unknown, anchor)}
    return [replace(t, time_ms=times[t.block]) if t.block in times else t for t in transfers]
