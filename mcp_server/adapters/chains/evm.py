"""EVM chains over JSON-RPC, in the project's own types and errors."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from statistics import median_high
from typing import Any

import anyio.to_thread

from mcp_server.adapters.chains import evm_reading as reading
from mcp_server.adapters.chains.endpoint import TIMEOUT_S, Endpoint, Failed, TooLarge
from mcp_server.adapters.chains.endpoints import endpoints_of
from mcp_server.adapters.chains.evm_endpoints import EvmEndpoints, fine
from mcp_server.adapters.chains.evm_logs import EvmLogs
from mcp_server.adapters.chains.evm_reading import Piece
from mcp_server.adapters.chains.json_rpc import Call
from mcp_server.adapters.chains.rpc_error import RpcError
from mcp_server.domain.chains.chain import BlockRef, Chain, Fees, Token, Transfer
from mcp_server.errors import NotFound, NotSupported, UpstreamRejected
from mcp_server.moment import Clock

PLAIN_TRANSFER_GAS = 21_000
FEE_BLOCKS = 20
MOST_DECIMALS = 36


class EvmChain:
    """One EVM chain, reached at `urls`, which are checked, the preferred one first."""

    def __init__(self, chain: Chain, urls: Sequence[str], clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self.chain = chain
        self.rpc = EvmEndpoints(chain, endpoints_of(chain.name, urls, timeout_s), clock)
        self.logs = EvmLogs(self.rpc)

    async def native(self, first: int, last: int, least: int, anchor: BlockRef) -> Piece:
        """Return the transactions of a few blocks that move at least `least` of the native coin, failed or not.

        If the blocks are too long to be sent together, only the newest of them are read.
        """
        return await self.rpc.endpoints.ask(partial(self._native, first=first, last=last, least=least, anchor=anchor))

    async def _native(self, endpoint: Endpoint, *, first: int, last: int, least: int, anchor: BlockRef) -> Piece:
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), True]) for number in range(first, last + 1)]
        calls += [("eth_getBlockByNumber", [hex(first - 1), False])] if first > 0 else []
        try:
            blocks = [fine(block) for block in await self.rpc.on(endpoint, calls, anchor, large=True)]
        except TooLarge:
            if first == last:
                raise
            middle = first + (last - first + 1) // 2
            return await self._native(endpoint, first=middle, last=last, least=least, anchor=anchor)
        before_ms = reading.header(blocks.pop(), first - 1).time_ms if first > 0 else None

        def read() -> list[Transfer]:
            return [
                t for number, block in enumerate(blocks, first) for t in reading.native_transfers(block, number, least)
            ]

        return Piece(first, await anyio.to_thread.run_sync(read, abandon_on_cancel=True), before_ms)

    async def succeeded(self, hashes: Sequence[str], anchor: BlockRef) -> set[str]:
        """Return the transactions that succeeded; the others moved nothing."""
        calls: list[Call] = [("eth_getTransactionReceipt", [tx]) for tx in hashes]

        async def read(endpoint: Endpoint) -> set[str]:
            receipts = await self.rpc.on(endpoint, calls, anchor, large=True)
            if any(fine(receipt) is None for receipt in receipts):
                raise Failed(UpstreamRejected, "does not have a receipt that the chain has")
            return {tx for tx, receipt in zip(hashes, receipts, strict=True) if _worked(receipt, tx)}

        return await self.rpc.endpoints.ask(read)

    async def token(self, address: str, anchor: BlockRef) -> Token:
        """Return a token by its address, or raise `NotFound`; its symbol is only a claim."""
        calls: list[Call] = [
            ("eth_call", [{"to": address, "data": data}, hex(anchor.number)])
            for data in (reading.DECIMALS, reading.SYMBOL)
        ]
        now: list[Call] = [(method, [params[0], "latest"]) for method, params in calls]

        async def read(endpoint: Endpoint) -> tuple[int | None, str]:
            decimals, symbol = await self.rpc.on(endpoint, calls, anchor)
            if isinstance(decimals, RpcError) and decimals.state_gone:  # both hardly ever change
                decimals, symbol = await self.rpc.on(endpoint, now)
            return _decimals(decimals), "" if isinstance(symbol, RpcError) else reading.claimed_symbol(symbol)

        places, claimed = await self.rpc.endpoints.ask(read)
        if places is None:
            raise NotFound(
                f"There is no ERC-20 token at {address!r} on {self.chain.name!r} as of block {anchor.number}.",
                "Check the address and the chain.",
            )
        if places > MOST_DECIMALS:
            raise NotSupported(
                f"The token at {address!r} has more than {MOST_DECIMALS} decimals.", "Check the address."
            )
        return Token(claimed, places, address)

    async def balances(
        self, address: str, tokens: Sequence[Token], block: BlockRef | None
    ) -> tuple[list[int | None], int]:
        """Return raw balances, the native one first, and the number of transactions sent: as of a block, or of now.

        The balance of a token whose contract fails, or answers with something else than a number, is None.
        `NotSupported` means that no endpoint keeps the state of that block.
        """
        at = "latest" if block is None else hex(block.number)
        data = reading.BALANCE_OF + reading.word(address)
        calls: list[Call] = [("eth_getBalance", [address, at]), ("eth_getTransactionCount", [address, at])]
        calls += [("eth_call", [{"to": token.address, "data": data}, at]) for token in tokens]

        async def read(endpoint: Endpoint) -> tuple[list[int | None], int] | None:
            values = await self.rpc.on(endpoint, calls, block)
            if any(isinstance(value, RpcError) and value.state_gone for value in values):
                return None
            native, sent = (reading.number(fine(value)) for value in values[:2])
            return [native, *(_held(value) for value in values[2:])], sent

        holdings = await self.rpc.endpoints.first(read)
        if holdings is None:
            raise NotSupported(
                f"No endpoint of {self.chain.name!r} keeps the balances of addresses as of block "
                f"{block.number if block else 'latest'}: that takes an archive node.",
                "Leave as_of out, or set TRADER_CHAIN_URLS to an archive endpoint.",
            )
        return holdings

    async def fees(self, block: BlockRef) -> tuple[Fees, list[int]]:
        """Return the fees per gas as of a block, and the base fees of the last blocks and of the next one."""
        calls: list[Call] = [("eth_feeHistory", [hex(FEE_BLOCKS), hex(block.number), [10, 50, 90]])]

        async def read(endpoint: Endpoint) -> tuple[Fees, list[int]]:
            (history,) = await self.rpc.on(endpoint, calls, block)
            return _fees(fine(history))

        return await self.rpc.endpoints.ask(read)

    async def close(self) -> None:
        """Close the connections."""
        await self.rpc.endpoints.close()


def _fees(history: Any) -> tuple[Fees, list[int]]:
    """Read a fee history: tips are medians over the blocks that were not empty."""
    try:
        base_fees = [reading.number(fee) for fee in history["baseFeePerGas"]]
        blocks = zip(history.get("reward") or [], history["gasUsedRatio"], strict=False)
        busy = [[reading.number(tip) for tip in row] for row, ratio in blocks if ratio > 0]
        tips = [median_high([row[place] for row in busy] or [0]) for place in range(3)]
        slow, normal, fast = (Decimal(base_fees[-1] + tip) for tip in tips)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise Failed(UpstreamRejected, "tells fees that cannot be read") from None
    return Fees(slow, normal, fast, PLAIN_TRANSFER_GAS), base_fees


def _decimals(result: Any) -> int | None:
    """Read the decimals of a token; None: the address is no token."""
    if isinstance(result, RpcError) and result.reverted:
        return None
    answer = fine(result)
    return None if isinstance(answer, str) and len(answer) != 66 else reading.number(answer)


def _held(result: Any) -> int | None:
    """Read a balance: 0 if there is no such token, None if its contract fails or answers with other data."""
    if result == "0x":
        return 0
    if isinstance(result, RpcError) and result.reverted:
        return None
    data = fine(result)
    return None if reading.is_data(data) and len(data) != 66 else reading.number(data)


def _worked(receipt: Any, tx: str) -> bool:
    if not isinstance(receipt, dict) or reading.lowered(receipt.get("transactionHash")) != tx:
        raise Failed(UpstreamRejected, "answers another receipt than was asked for")
    return receipt.get("status") in ("0x1", None)
