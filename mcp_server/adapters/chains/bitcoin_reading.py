"""Reads answers of Esplora: blocks, transactions, holdings, fees. A wrong form raises one of `UNREADABLE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from mcp_server.adapters.chains.endpoint import time_ms
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction
from mcp_server.domain.chains.chain import BlockRef, Fees, Mempool

PLAIN_TRANSFER_VBYTES = 141
"""One input and two outputs, all of them pay-to-witness-public-key-hash."""

MOST_FEE = 1_000_000
"""Satoshi per virtual byte, far above any fee that was ever paid."""

MOST_SATOSHI = 21_000_000 * 10**8
"""There will never be more."""

MOST_WAITING = 10
"""This many of the latest unconfirmed transactions are read."""

_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[0-9A-Za-z]{14,90}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BitcoinBlock(BlockRef):
    """A block, and the hash of the one before it."""

    before: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an address received and spent so far, in satoshi, and in how many confirmed transactions."""

    funded: int
    spent: int
    transactions: int


def hash_of(answer: Any) -> str:
    """Read the hash of a block or a transaction."""
    if not isinstance(answer, str) or not _HASH.fullmatch(answer):
        raise ValueError
    return answer


def blocks(answer: Any) -> list[BitcoinBlock]:
    """Read a page of blocks, newest first, each the successor of the next."""
    page = sorted((_block(block) for block in answer), key=lambda block: -block.number)
    if not page or any(a.number != b.number + 1 or a.before != b.hash for a, b in pairwise(page)):
        raise ValueError
    return page


def transaction(answer: Mapping[str, Any]) -> BitcoinTransaction:
    """Read a transaction. Inputs without the coins that they spend are invalid: coins would seem newly made."""
    status = answer["status"]
    confirmed = bool(status["confirmed"])
    return BitcoinTransaction(
        id=hash_of(answer["txid"]),
        inputs=[_part(spent["prevout"]) for spent in answer["vin"] if not spent.get("is_coinbase")],
        outputs=[_part(paid) for paid in answer["vout"]],
        block=_count(status["block_height"]) if confirmed else None,
        block_hash=hash_of(status["block_hash"]) if confirmed else None,
        time_ms=time_ms(status["block_time"]) if confirmed else None,
    )


def waiting(answer: Any, least: int) -> list[str]:
    """Read the latest unconfirmed transactions: the ids of those that pay out at least `least` satoshi."""
    ids = [hash_of(tx["txid"]) for tx in answer[:MOST_WAITING] if int(tx["value"]) >= least]
    return list(dict.fromkeys(ids))


def holdings(answer: Mapping[str, Any]) -> Holdings:
    """Read the holdings of an address."""
    stats = answer["chain_stats"]
    sums = Holdings(*(_count(stats[name]) for name in ("funded_txo_sum", "spent_txo_sum", "tx_count")))
    if sums.spent > sums.funded:
        raise ValueError
    return sums


def history(answer: Any) -> list[BitcoinTransaction]:
    """Read a page of an address's confirmed transactions."""
    transactions = [transaction(tx) for tx in answer]
    if any(tx.block is None for tx in transactions):
        raise ValueError
    return transactions


def mempool(answer: Mapping[str, Any]) -> Mempool:
    """Read the state of the mempool."""
    return Mempool(*(_count(answer[name]) for name in ("count", "vsize", "total_fee")))


def fee_estimates(answer: Mapping[str, Any]) -> Fees:
    """Read Esplora's form of fees: by the number of blocks to wait."""
    return _fees(*(Decimal(str(answer[blocks])) for blocks in ("144", "6", "1")))


def recommended_fees(answer: Mapping[str, Any]) -> Fees:
    """Read mempool.space's form of fees."""
    return _fees(*(Decimal(str(answer[name])) for name in ("economyFee", "hourFee", "fastestFee")))


def _block(answer: Mapping[str, Any]) -> BitcoinBlock:
    number = _count(answer["height"])
    before = hash_of(answer["previousblockhash"]) if number > 0 else ""
    return BitcoinBlock(number, time_ms(answer["timestamp"]), hash_of(answer["id"]), before)


def _part(answer: Mapping[str, Any]) -> tuple[str | None, int]:
    address, value = answer.get("scriptpubkey_address") or None, _count(answer["value"])  # some write "" for none
    if value > MOST_SATOSHI or not (address is None or _ADDRESS.fullmatch(address)):
        raise ValueError
    return address, value


def _count(answer: Any) -> int:
    if not 0 <= (count := int(answer)) < 2**63:
        raise ValueError
    return count


def _fees(slow: Decimal, normal: Decimal, fast: Decimal) -> Fees:
    if not all(fee.is_finite() and 0 <= fee < MOST_FEE for fee in (slow, normal, fast)):
        raise ValueError
    return Fees(slow, normal, fast, PLAIN_TRANSFER_VBYTES)
