"""Reads a block of Bitcoin in its network form, to find the transactions that pay out much.

One request brings the whole block, where Esplora's lists take one for every 25 transactions. A block does not say whose
coins were spent, so the few transactions that matter are requested one by one afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from mcp_server.adapters.chains.endpoint import Failed
from mcp_server.errors import UpstreamRejected

_HEADER = 80


def paying_transactions(raw: bytes, block_hash: str, before: str, least: int) -> Mapping[str, int]:
    """Find the transactions that pay one receiver at least `least` satoshi, in one output or in several.

    Raise `Failed` unless the bytes hash to `block_hash`, follow on the block `before` (empty for the first), and have
    the transactions that their header vouches for. Return the id of each, and what it pays in all.
    """
    if len(raw) <= _HEADER or _twice(raw[:_HEADER])[::-1].hex() != block_hash:
        raise Failed(UpstreamRejected, "sent another block than was asked for")
    if before and raw[4:36][::-1].hex() != before:
        raise Failed(UpstreamRejected, "told another predecessor of a block than the block does")
    reader = _BlockReader(raw, _HEADER)
    try:
        paid_by_digest = [_transaction(reader) for _ in range(reader.varint())]
    except IndexError:
        raise Failed(UpstreamRejected, "sent a block that breaks off") from None
    if reader.place != len(raw):
        raise Failed(UpstreamRejected, "sent a block that cannot be read")
    if _root([digest for digest, _ in paid_by_digest]) != raw[36:68]:
        raise Failed(UpstreamRejected, "sent a block with other transactions than it has")
    return {digest[::-1].hex(): sum(paid) for digest, paid in paid_by_digest if max(paid, default=0) >= least}


class _BlockReader:
    def __init__(self, raw: bytes, place: int) -> None:
        self.raw = raw
        self.place = place

    def number(self, size: int) -> int:
        end = self.place + size
        if end > len(self.raw):
            raise IndexError
        value = int.from_bytes(self.raw[self.place : end], "little")
        self.place = end
        return value

    def varint(self) -> int:
        first = self.number(1)
        return first if first < 0xFD else self.number(2 << first - 0xFD)

    def skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self.raw):
            raise IndexError

    def bytes(self, size: int) -> bytes:
        start = self.place
        self.skip(size)
        return self.raw[start : self.place]


def _transaction(reader: _BlockReader) -> tuple[bytes, Sequence[int]]:
    """Read one transaction: its digest, and what each of its receivers gets."""
    start = reader.place
    reader.skip(4)
    body = reader.place
    segwit = reader.raw[body : body + 2] == b"\x00\x01"
    if segwit:
        reader.skip(2)
        body = reader.place
    inputs = reader.varint()
    for _ in range(inputs):
        reader.skip(36)
        reader.skip(reader.varint())
        reader.skip(4)
    paid: dict[bytes, int] = {}
    for _ in range(reader.varint()):
        value = reader.number(8)
        script = reader.bytes(reader.varint())
        paid[script] = paid.get(script, 0) + value
    end = reader.place
    if segwit:
        for _ in range(inputs):
            for _ in range(reader.varint()):
                reader.skip(reader.varint())
    reader.skip(4)
    raw = reader.raw
    digest = _twice(raw[start : start + 4] + raw[body:end] + raw[reader.place - 4 : reader.place])
    return digest, list(paid.values())


def _root(digests: Sequence[bytes]) -> bytes:
    """Return the root of the tree of hashes over a block's transactions, which its header holds."""
    level = list(digests)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [_twice(level[place] + level[place + 1]) for place in range(0, len(level), 2)]
    return level[0] if level else b""


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
