"""Reads answers of EVM nodes: hexadecimal numbers, blocks, logs, strings of contracts.

Every function raises `Failed` for an answer of the wrong form, or for another one than was asked for.
"""

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
class Piece:
    """The transfers of blocks from `first` on, and the time of the block before them (None: there is none)."""

    first: int
    transfers: Sequence[Transfer]
    before_ms: int | None

    def with_sound_times(self, until_ms: int) -> Piece:
        """Return it without the times that logs say, where they cannot all be: they are not those of their blocks."""
        low, at_block = self.before_ms or 0, -1
        for block, stated_ms in sorted((t.block or 0, t.time_ms) for t in self.transfers if t.time_ms is not None):
            if not low <= stated_ms <= until_ms or (block == at_block and stated_ms != low):
                return replace(self, transfers=[replace(transfer, time_ms=None) for transfer in self.transfers])
            low, at_block = stated_ms, block
        return self


_NUMBER = re.compile(r"0x[0-9a-f]{1,64}", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-f]{2})*", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE | re.ASCII)


def number(value: object) -> int:
    """Read a hexadecimal number of at most 256 bits."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Failed(UpstreamRejected, "answers what is no number")
    return int(value, 16)


def is_data(value: object) -> bool:
    """Return whether a value is what a contract may answer: bytes of any number."""
    return isinstance(value, str) and bool(_DATA.fullmatch(value))


def block_number(value: object) -> int:
    """Read a block's number: of 63 bits at most, as its readers count."""
    if (read := number(value)) >= 2**63:
        raise Failed(UpstreamRejected, "answers what is no number of a block")
    return read


def lowered(value: object) -> str:
    """Return a text in lower case, and whatever else as an empty one."""
    return value.lower() if isinstance(value, str) else ""


def time_ms(value: object) -> int:
    """Read a block's time, in Unix ms."""
    if (seconds := number(value)) > LATEST_S:
        raise Failed(UpstreamRejected, "answers a time that is none")
    return seconds * 1000


def written(value: object, form: re.Pattern[str]) -> str:
    """Read a hash or an address, in lower case; nothing else that an endpoint may say gets through."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Failed(UpstreamRejected, "answers what is neither hash nor address")
    return value.lower()


def header(answer: Any, asked: int | None = None) -> BlockRef:
    """Read a block's header; null means that the endpoint lacks the block."""
    if answer is None:
        raise Failed(UpstreamRejected, "does not have a block that the chain has")
    try:
        block = BlockRef(block_number(answer["number"]), time_ms(answer["timestamp"]), written(answer["hash"], _HASH))
    except (KeyError, TypeError):
        raise _unreadable("block") from None
    if asked not in (None, block.number):
        raise Failed(UpstreamRejected, "answers another block than was asked for")
    return block


def native_transfers(answer: Any, asked: int, least: int) -> list[Transfer]:
    """Read the transactions of a block that move at least `least` of the native coin, failed or not."""
    top = header(answer, asked)
    try:
        moved = [
            Transfer(
                hash=written(tx["hash"], _HASH),
                from_address=written(tx["from"], _ADDRESS),
                to_address=written(tx["to"], _ADDRESS) if tx.get("to") else None,
                raw=number(tx["value"]),
                block=top.number,
                time_ms=top.time_ms,
                place=place,
            )
            for place, tx in enumerate(answer["transactions"])
            if number(tx["value"]) >= max(least, 1)
        ]
        return list({transfer.hash: transfer for transfer in moved}.values())  # each once
    except (KeyError, TypeError, AttributeError):
        raise _unreadable("block") from None


def transfers(answer: Any, token: str, blocks: tuple[int, int], least: int) -> list[Transfer]:
    """Read the transfers in a token's logs: those of at least `least` raw units, within the blocks asked for.

    Logs of other tokens are left out, and logs that are no transfer of an amount (an NFT's has one topic more).
    """
    if not isinstance(answer, list):
        raise Failed(UpstreamRejected, "answers what are no logs")
    try:
        moved = [
            transfer
            for log in answer
            if lowered(log["address"]) == token and not log.get("removed") and len(log["topics"]) == 3
            if blocks[0] <= number(log["blockNumber"]) <= blocks[1]
            if (transfer := _transfer(log)) and transfer.raw >= max(least, 1)
        ]
        return list({(transfer.block, transfer.place): transfer for transfer in moved}.values())  # each log once
    except (KeyError, TypeError, AttributeError):
        raise _unreadable("log") from None


def _transfer(log: Mapping[str, Any]) -> Transfer | None:
    topic, sender, receiver = (written(part, _HASH) for part in log["topics"])
    if topic != TRANSFER_TOPIC or len(log["data"]) != 66:
        return None
    log_time = log.get("blockTimestamp")
    at_ms = time_ms(log_time) if isinstance(log_time, str) else 0
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


def claimed_symbol(answer: object) -> str:
    """Read and clean the symbol that a token claims: a string, or 32 bytes in the oldest tokens."""
    try:
        data = bytes.fromhex(str(answer)[2:20_002])
    except ValueError:
        return ""
    if len(data) == 32:
        return cleaned_name(data.rstrip(b"\0").decode("utf-8", "replace"), SYMBOL_LENGTH)
    offset = int.from_bytes(data[:32])  # usually 32, but the ABI allows any
    length = int.from_bytes(data[offset : offset + 32])
    text = data[offset + 32 : offset + 32 + min(length, 4_096)]
    return cleaned_name(text.decode("utf-8", "replace"), SYMBOL_LENGTH)


def _unreadable(kind: str) -> Failed:
    return Failed(UpstreamRejected, f"answers a {kind} that cannot be read")
