"""Transfers of a token from an EVM chain's logs, split as each endpoint's limits want it."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread

from mcp_server.adapters.chains import evm_reading as reading
from mcp_server.adapters.chains.endpoint import Endpoint, TooLarge
from mcp_server.adapters.chains.evm_endpoints import EvmEndpoints, fine
from mcp_server.adapters.chains.evm_reading import Piece
from mcp_server.adapters.chains.json_rpc import Call
from mcp_server.adapters.chains.rpc_error import RpcError
from mcp_server.domain.chains.chain import BlockRef

USUAL_LIMITS = (10_000, 5_000, 2_000, 1_000, 500, 100, 10, 1)
"""Blocks whose logs endpoints send in one request, tried downwards where an endpoint states no limit."""

AT_ONCE = 4
"""Requests for logs that may run at the same time."""


class EvmLogs:
    """Reads logs, and learns for how many blocks each endpoint sends them in one request."""

    def __init__(self, rpc: EvmEndpoints) -> None:
        self._rpc = rpc
        self._limiter = anyio.Semaphore(AT_ONCE)

    def blocks_at_once(self) -> int:
        """Return for how many blocks the next endpoint probably answers in one request."""
        return self._rpc.endpoints.in_order()[0].log_blocks or USUAL_LIMITS[0]

    async def transfers(self, token: str, first: int, last: int, least: int, anchor: BlockRef) -> Piece:
        """Return the transfers of a token (lower case) in a range of blocks, of `least` raw units or more.

        If an endpoint does not send all at once, only the newest of the blocks are read. `anchor` is a block on the
        right branch of the chain.
        """
        ask = partial(self._read, token=token, first=first, last=last, least=least, anchor=anchor)
        return await self._rpc.endpoints.ask(ask)

    async def _read(
        self, endpoint: Endpoint, *, token: str, first: int, last: int, least: int, anchor: BlockRef
    ) -> Piece:
        """Ask one endpoint, for fewer blocks if it requires that."""
        first = max(first, last - (endpoint.log_blocks or last - first + 1) + 1)
        while True:
            span = {"fromBlock": hex(first), "toBlock": hex(last), "address": token}
            calls: list[Call] = [("eth_getLogs", [{**span, "topics": [reading.TRANSFER_TOPIC]}])]
            if first > 0:
                calls.append(("eth_getBlockByNumber", [hex(first - 1), False]))
            length = last - first + 1
            try:
                async with self._limiter:
                    logs, *before = await self._rpc.on(endpoint, calls, anchor, large=True)
            except TooLarge:
                if length == 1:
                    raise
                first += length // 2
                continue
            if not (isinstance(logs, RpcError) and logs.range_too_wide and length > 1):
                break
            first = last - _smaller(endpoint, logs, length) + 1
        before_ms = reading.header(fine(before[0]), first - 1).time_ms if before else None
        read = partial(reading.transfers, fine(logs), token, (first, last), least)
        return Piece(first, await anyio.to_thread.run_sync(read, abandon_on_cancel=True), before_ms)


def _smaller(endpoint: Endpoint, error: RpcError, length: int) -> int:
    """Return how many blocks to ask for after `length` were too many; a limit on blocks is remembered."""
    stated = error.most_blocks(length)
    if error.about_results:
        return stated or -(-length // 2)
    limit = stated or next((usual for usual in USUAL_LIMITS if usual < length), 1)
    endpoint.learn(log_blocks=limit)
    return limit
