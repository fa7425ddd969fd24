"""The times of transfers on EVM chains: from the logs, else from the headers of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.domain.chains.chain import BlockRef, Transfer
from mcp_server.errors import TraderError

TIMES_S = 3.0
"""Time of a question that is left when the times of its rows are given up."""


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
    headers = await chain.rpc.headers(unknown, anchor)
    times = {header.ref.number: header.ref.time_ms for header in headers}
    return [replace(t, time_ms=times[t.block]) if t.block in times else t for t in transfers]
