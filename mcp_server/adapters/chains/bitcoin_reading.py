"""Reads what Esplora answers: blocks, transactions, holdings, fees. What is not of its form raises like a wrong key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from mcp_server.adapters.chains.endpoint import LATEST_S
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction
from mcp_server.domain.chains.chain import BlockRef, Fees

PLAIN_TRANSFER_VBYTES = 141
"""One input and two outputs, all of them pay-to-witness-public-key-hash."""

MOST_FEE = 1_000_000
"""Satoshi per virtual byte, far above any that was ever paid."""

MOST_SATOSHI = 21_000_000 * 10**8
"""There will never be more."""

MOST_WAITING = 10
"""So many of the latest unconfirmed transactions are looked at."""

UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What the functions of this file raise."""

_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[0-9A-Za-z]{14,90}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BitcoinBlock(BlockRef):
    """A block, and the hash of the one before it."""

    before: str


@dataclass(frozen=True, slots=True)
class Mempool:
    """What waits for a block: transactions, their size in virtual bytes, their fees in satoshi."""

    count: int
    vbytes: int
    fees: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an address was paid and has spent so far, in satoshi, and in how many confirmed transactions."""

    funded: int
    spent: int
    transactions: int


def hash_of(told: Any) -> str:
    """Read the hash of a block or a transaction."""
    if not isinstance(told, str) or not _HASH.fullmatch(told):
        raise ValueError
    return told


def blocks(told: Any) -> list[BitcoinBlock]:
    """Read a page of blocks, newest first: each follows on the next."""
    found = sorted((_block(block) for block in told), key=lambda block: -block.number)
    if not found or any(a.number != b.number + 1 or a.before != b.hash for a, b in pairwise(found)):
        raise ValueError
    return found


def transaction(told: Mapping[str, Any]) -> BitcoinTransaction:
    """Read a transaction."""
    status = told["status"]
    confirmed = bool(status["confirmed"])
    return BitcoinTransaction(
        id=hash_of(told["txid"]),
        inputs=[_part(spent["prevout"]) for spent in told["vin"] if spent.get("prevout")],
        outputs=[_part(paid) for paid in told["vout"]],
        block=_count(status["block_height"]) if confirmed else None,
        block_hash=hash_of(status["block_hash"]) if confirmed else None,
        time_ms=_time_ms(status["block_time"]) if confirmed else None,
    )


def waiting(told: Any, least: int) -> list[str]:
    """Read the latest unconfirmed transactions: the ids of those that pay out so much."""
    ids = [hash_of(tx["txid"]) for tx in told[:MOST_WAITING] if int(tx["value"]) >= least]
    return list(dict.fromkeys(ids))


def holdings(told: Mapping[str, Any]) -> Holdings:
    """Read what an address holds."""
    stats = told["chain_stats"]
    found = Holdings(*(_count(stats[name]) for name in ("funded_txo_sum", "spent_txo_sum", "tx_count")))
    if found.spent > found.funded:
        raise ValueError
    return found


def history(told: Any) -> list[BitcoinTransaction]:
    """Read a page of an address's confirmed transactions."""
    found = [transaction(tx) for tx in told]
    if any(tx.block is None for tx in found):
        raise ValueError
    return found


def mempool(told: Mapping[str, Any]) -> Mempool:
    """Read what waits for a block."""
    return Mempool(*(_count(told[name]) for name in ("count", "vsize", "total_fee")))


def fee_estimates(told: Mapping[str, Any]) -> Fees:
    """Read fees as Esplora tells them: by how many blocks one is willing to wait."""
    return _fees(*(Decimal(str(told[blocks])) for blocks in ("144", "6", "1")))


def recommended_fees(told: Mapping[str, Any]) -> Fees:
    """Read fees as mempool.space tells them."""
    return _fees(*(Decimal(str(told[name])) for name in ("economyFee", "hourFee", "fastestFee")))


def _block(told: Mapping[str, Any]) -> BitcoinBlock:
    number = _count(told["height"])
    before = hash_of(told["previousblockhash"]) if number > 0 else ""
    return BitcoinBlock(number, _time_ms(told["timestamp"]), hash_of(told["id"]), before)


def _part(told: Mapping[str, Any]) -> tuple[str | None, int]:
    address, value = told.get("scriptpubkey_address"), _count(told["value"])
    if value > MOST_SATOSHI or not (address is None or _ADDRESS.fullmatch(address)):
        raise ValueError
    return address, value


def _count(told: Any) -> int:
    if not 0 <= (count := int(told)) < 2**63:
        raise ValueError
    return count


def _time_ms(told: Any) -> int:
    seconds = int(told)
    if not 0 < seconds <= LATEST_S:
        raise ValueError
    return seconds * 1000


def _fees(slow: Decimal, normal: Decimal, fast: Decimal) -> Fees:
    if not all(fee.is_finite() and 0 <= fee < MOST_FEE for fee in (slow, normal, fast)):
        raise ValueError
    return Fees(slow, normal, fast, PLAIN_TRANSFER_VBYTES)
