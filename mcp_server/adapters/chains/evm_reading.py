"""Reads what EVM nodes answer: hexadecimal numbers, blocks, logs, strings of contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcp_server.adapters.chains.endpoint import LATEST_S, Failed
from mcp_server.domain.chains.chain import BlockRef, Transfer
from mcp_server.domain.chains.evm_address import ZERO
from mcp_server.domain.text import cleaned_name
from mcp_server.errors import UpstreamRejected

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Keccak-256 of `Transfer(address,address,uint256)`."""

SYMBOL, DECIMALS, BALANCE_OF = "0x95d89b41", "0x313ce567", "0x70a08231"
"""The first four bytes of Keccak-256 of `symbol()`, `decimals()` and `balanceOf(address)`."""

SYMBOL_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Header:
    """A block without its transactions."""

    ref: BlockRef
    base_fee: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The transfers of blocks from `first` on, and the time of the block before them (None: there is none)."""

    first: int
    transfers: Sequence[Transfer]
    before_ms: int | None

    def with_sound_times(self, until_ms: int) -> Piece:
        """Give it without the times that logs say, where they cannot all be: they are not those of their blocks."""
        low, at_block = self.before_ms or 0, -1
        for block, told_ms in sorted((t.block or 0, t.time_ms) for t in self.transfers if t.time_ms is not None):
            if not low <= told_ms <= until_ms or (block == at_block and told_ms != low):
                return replace(self, transfers=[replace(transfer, time_ms=None) for transfer in self.transfers])
            low, at_block = told_ms, block
        return self


_NUMBER = re.compile(r"0x[0-9a-f]{1,64}", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE | re.ASCII)


def number(value: object) -> int:
    """Read a hexadecimal number of at most 256 bits.

    Raises:
        Failed: it is none.
    """
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Failed(UpstreamRejected, "answers what is no number")
    return int(value, 16)


def block_number(value: object) -> int:
    """Read a block's number: of 63 bits at most, as its readers count.

    Raises:
        Failed: it is none.
    """
    if (read := number(value)) >= 2**63:
        raise Failed(UpstreamRejected, "answers what is no number of a block")
    return read


def lowered(value: object) -> str:
    """Give a text in lower case, and whatever else as an empty one."""
    return value.lower() if isinstance(value, str) else ""


def time_ms(value: object) -> int:
    """Read a block's time, in Unix ms.

    Raises:
        Failed: it is none.
    """
    if (seconds := number(value)) > LATEST_S:
        raise Failed(UpstreamRejected, "answers a time that is none")
    return seconds * 1000


def written(value: object, form: re.Pattern[str]) -> str:
    """Read a hash or an address, in lower case: whatever else an endpoint says goes no further.

    Raises:
        Failed: it is not of that form.
    """
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Failed(UpstreamRejected, "answers what is neither hash nor address")
    return value.lower()


def header(told: Any, asked: int | None = None) -> Header:
    """Read a block's header.

    Raises:
        Failed: it is none, or of another block than was asked for; null means that the endpoint does not have it.
    """
    if told is None:
        raise Failed(UpstreamRejected, "does not have a block that the chain has")
    try:
        reference = BlockRef(block_number(told["number"]), time_ms(told["timestamp"]), written(told["hash"], _HASH))
        read = Header(reference, number(told.get("baseFeePerGas") or "0x0"))
    except (KeyError, TypeError, AttributeError):
        raise _unreadable("block") from None
    if asked not in (None, reference.number):
        raise Failed(UpstreamRejected, "answers another block than was asked for")
    return read


def native_transfers(told: Any, asked: int, least: int) -> list[Transfer]:
    """Read a block with its transactions: those that move at least so much of the native coin, failed or not.

    Raises:
        Failed: it is none, or another one than was asked for.
    """
    top = header(told, asked).ref
    try:
        found = [
            Transfer(
                hash=written(tx["hash"], _HASH),
                from_address=written(tx["from"], _ADDRESS),
                to_address=written(tx["to"], _ADDRESS) if tx.get("to") else None,
                raw=number(tx["value"]),
                block=top.number,
                time_ms=top.time_ms,
                place=place,
            )
            for place, tx in enumerate(told["transactions"])
            if number(tx["value"]) >= max(least, 1)
        ]
        return list({transfer.hash: transfer for transfer in found}.values())  # each once
    except (KeyError, TypeError, AttributeError):
        raise _unreadable("block") from None


def transfers(told: Any, token: str, blocks: tuple[int, int], least: int) -> list[Transfer]:
    """Read the logs of a token's transfers: those of at least so many raw units, within the blocks asked for.

    A log that another token wrote, or that is no transfer of an amount (an NFT's has one topic more), is not one.

    Raises:
        Failed: they are no logs.
    """
    if not isinstance(told, list):
        raise Failed(UpstreamRejected, "answers what are no logs")
    try:
        found = [
            transfer
            for log in told
            if lowered(log["address"]) == token and not log.get("removed") and len(log["topics"]) == 3
            if blocks[0] <= number(log["blockNumber"]) <= blocks[1]
            if (transfer := _transfer(log)) and transfer.raw >= max(least, 1)
        ]
        return list({(transfer.block, transfer.place): transfer for transfer in found}.values())  # each log once
    except (KeyError, TypeError, AttributeError):
        raise _unreadable("log") from None


def _transfer(log: Mapping[str, Any]) -> Transfer | None:
    topic, sender, receiver = (written(part, _HASH) for part in log["topics"])
    if topic != TRANSFER_TOPIC or len(log["data"]) != 66:
        return None
    told_time = log.get("blockTimestamp")
    at_ms = time_ms(told_time) if isinstance(told_time, str) else 0
    from_address = "0x" + sender[-40:]
    return Transfer(
        hash=written(log["transactionHash"], _HASH),
        from_address=None if from_address == ZERO else from_address,
        to_address="0x" + receiver[-40:],
        raw=number(log["data"]),
        block=number(log["blockNumber"]),
        time_ms=at_ms or None,  # some nodes write a time of zero into their logs
        place=number(log["logIndex"]),
    )


def word(address: str) -> str:
    """Write an address as the argument of a call: 32 bytes, without 0x."""
    return address[2:].rjust(64, "0")


def claimed_symbol(told: object) -> str:
    """Read what a token calls itself: a string, or 32 bytes as the oldest do; cleaned, for a stranger wrote it."""
    try:
        data = bytes.fromhex(str(told)[2:20_002])
    except ValueError:
        return ""
    if len(data) == 32:
        return cleaned_name(data.rstrip(b"\0").decode("utf-8", "replace"), SYMBOL_LENGTH)
    if len(data) < 64:
        return ""
    length = int.from_bytes(data[32:64])
    return cleaned_name(data[64 : 64 + min(length, 4_096)].decode("utf-8", "replace"), SYMBOL_LENGTH)


def _unreadable(what: str) -> Failed:
    return Failed(UpstreamRejected, f"answers a {what} that cannot be read")
