"""The last block of an EVM chain by a moment, and the branch of the chain on which endpoints agree."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.adapters.chains.endpoints import outvoted
from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.chains.block_at import block_at
from mcp_server.domain.chains.chain import BlockRef


async def head_at(chain: EvmChain, at_ms: int) -> BlockRef:
    """Return the last block of a moment.

    Raises:
        NotSupported, Retryable, UpstreamRejected: as the adapter, or the chain began later.
    """
    newest = (await chain.rpc.newest(at_ms)).ref

    async def headers(numbers: Sequence[int]) -> list[BlockRef]:
        return [header.ref for header in await chain.rpc.headers(numbers)]

    return await block_at(headers, newest, at_ms, chain.chain.block_s, chain.chain.name)


async def agreed_heads_at(chain: EvmChain, at_ms: int) -> tuple[BlockRef, BlockRef]:
    """Return the last block of a moment, and the last confirmed one by then, on which two endpoints agree.

    By the latter all that a scan asks is anchored to one branch of the chain. Where there is but one endpoint, its
    block is not asked for in advance: each request checks that there is one.

    Raises:
        NotSupported, Retryable, UpstreamRejected: as the adapter, or no two agree.
    """
    for _ in range(2):
        head = await head_at(chain, at_ms)
        number = max(head.number - chain.chain.confirmations + 1, 0)
        if len(chain.rpc.endpoints.in_order()) == 1:
            return head, BlockRef(number, 0, "")
        (header,) = await chain.rpc.headers([number], head)
        if await chain.rpc.agreed(header.ref):
            return head, header.ref
    raise outvoted(chain.chain.name)
