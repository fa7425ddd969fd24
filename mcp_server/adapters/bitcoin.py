"""Bitcoin over the REST interface of Esplora, which mempool.space and blockstream.info serve too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from mcp_server.adapters.bitcoin_block import paying_transactions
from mcp_server.adapters.site import LATEST_S, TIMEOUT_S, Failed, Site
from mcp_server.adapters.sites import sites_of
from mcp_server.domain.chains.bitcoin_transfers import BitcoinTransaction
from mcp_server.domain.chains.chain import BlockRef, Chain, Fees
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import UpstreamRejected

LATE_MS = 5_400_000
"""Once in ten thousand blocks the next one takes longer than 90 minutes: an endpoint without it lags behind."""

PLAIN_TRANSFER_VBYTES = 141
"""One input and two outputs, all of them pay-to-witness-public-key-hash."""

_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[0-9A-Za-z]{14,90}", re.ASCII)

MOST_FEE = 1_000_000
"""Satoshi per virtual byte, far above any that was ever paid."""

MOST_WAITING = 10
"""So many of the latest unconfirmed transactions are looked at."""

T = TypeVar("T")


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


class BitcoinChain:
    """Bitcoin's main chain.

    Args:
        chain: what is known of it.
        urls: its endpoints, checked, the preferred one first.
        clock: gives the present as an aware datetime.
        timeout_s: how long one request may take.
    """

    def __init__(
        self, chain: Chain, urls: Sequence[str], clock: Callable[[], datetime], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.chain = chain
        self._sites = sites_of(chain.name, urls, timeout_s)
        self._clock = clock

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._sites.requests

    async def newest(self) -> list[BlockRef]:
        """Give the newest blocks, newest first, of an endpoint that keeps up, else of the one that lags least."""
        latest: list[BlockRef] = []
        failures: list[tuple[Site, Failed]] = []
        for site in self._sites.in_order():
            try:
                found = _blocks(await site.get("/blocks"))
            except Failed as failed:
                self._sites.rest(site)
                failures.append((site, failed))
                continue
            latest = max(latest, found, key=lambda blocks: blocks[0].number if blocks else -1)
            if to_ms(self._clock()) - found[0].time_ms <= LATE_MS:
                return found
        if not latest:
            raise self._sites.failure(failures)
        return latest

    async def agreed(self, anchor: BlockRef) -> bool:
        """Let a second endpoint confirm a block; see `Sites.agreed`."""
        return await self._sites.agreed(anchor, _hash_at)

    async def blocks_down_from(self, height: int) -> list[BlockRef]:
        """Give ten or more blocks from a height down, newest first."""

        def read(told: Any) -> list[BlockRef]:
            found = _blocks(told)
            heights = [block.number for block in found]
            if heights != list(range(height, height - len(found), -1)):
                raise Failed(UpstreamRejected, "answers other blocks than were asked for")
            return found

        return await self._get(f"/blocks/{height}", read)

    async def paying(self, block: BlockRef, least: int) -> Sequence[str]:
        """Give the ids of a block's transactions that have an output of at least so many satoshi."""

        async def read(site: Site) -> Sequence[str]:
            return paying_transactions(await site.get_bytes(f"/block/{block.hash}/raw"), block.hash, least)

        return await self._sites.ask(read)

    async def transaction(self, txid: str) -> BitcoinTransaction:
        """Give a transaction with what it spends and pays."""

        def read(told: Mapping[str, Any]) -> BitcoinTransaction:
            found = _transaction(told)
            if found.id != txid:
                raise Failed(UpstreamRejected, "answers another transaction than was asked for")
            return found

        return await self._get(f"/tx/{txid}", read)

    async def waiting(self, least: int) -> list[str]:
        """Give the ids of the latest few unconfirmed transactions that pay out at least so many satoshi."""
        return await self._get("/mempool/recent", partial(_waiting, least=least))

    async def fees(self) -> Fees:
        """Give what a transaction costs now, in satoshi per virtual byte: within a day, an hour, the next block."""
        try:
            return await self._get("/fee-estimates", _fee_estimates)
        except UpstreamRejected:  # some serve only the form that mempool.space made up
            return await self._get("/v1/fees/recommended", _recommended)

    async def mempool(self) -> Mempool:
        """Give what waits for a block now."""
        return await self._get(
            "/mempool", lambda told: Mempool(*(_count(told[name]) for name in ("count", "vsize", "total_fee")))
        )

    async def holdings(self, address: str) -> Holdings:
        """Give what an address was paid and has spent in confirmed transactions."""
        return await self._get(f"/address/{address}", _holdings)

    async def history(self, address: str, after: str | None = None) -> list[BitcoinTransaction]:
        """Give up to 25 confirmed transactions of an address, newest first, from the one after `after` on."""
        path = f"/address/{address}/txs/chain" + (f"/{after}" if after else "")
        return await self._get(path, lambda told: [_transaction(tx) for tx in told])

    async def close(self) -> None:
        """Close the connections."""
        await self._sites.close()

    async def _get(self, path: str, read: Callable[[Any], T]) -> T:
        async def ask(site: Site) -> T:
            told = await site.get(path)
            try:
                return read(told)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError):
                raise Failed(UpstreamRejected, "answers what cannot be read") from None

        return await self._sites.ask(ask)


async def _hash_at(site: Site, height: int) -> str:
    told = (await site.get_bytes(f"/block-height/{height}")).decode("ascii", "replace").strip()
    if not _HASH.fullmatch(told):
        raise Failed(UpstreamRejected, "answers what is no hash")
    return told


def _blocks(told: Any) -> list[BlockRef]:
    try:
        found = [BlockRef(int(b["height"]), _time_ms(b["timestamp"]), _hash(b["id"])) for b in told]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        found = []
    if not found:
        raise Failed(UpstreamRejected, "answers what are no blocks")
    return sorted(found, key=lambda block: -block.number)


def _transaction(told: Mapping[str, Any]) -> BitcoinTransaction:
    status = told["status"]
    confirmed = bool(status["confirmed"])
    return BitcoinTransaction(
        id=_hash(told["txid"]),
        inputs=[_part(spent["prevout"]) for spent in told["vin"] if spent.get("prevout")],
        outputs=[_part(paid) for paid in told["vout"]],
        block=int(status["block_height"]) if confirmed else None,
        block_hash=_hash(status["block_hash"]) if confirmed else None,
        time_ms=_time_ms(status["block_time"]) if confirmed else None,
    )


def _part(told: Mapping[str, Any]) -> tuple[str | None, int]:
    address, value = told.get("scriptpubkey_address"), int(told["value"])
    if value < 0 or not (address is None or _ADDRESS.fullmatch(address)):
        raise ValueError
    return address, value


def _hash(told: Any) -> str:
    if not isinstance(told, str) or not _HASH.fullmatch(told):
        raise ValueError
    return told


def _count(told: Any) -> int:
    if (count := int(told)) < 0:
        raise ValueError
    return count


def _time_ms(told: Any) -> int:
    seconds = int(told)
    if not 0 < seconds <= LATEST_S:
        raise ValueError
    return seconds * 1000


def _waiting(told: Any, least: int) -> list[str]:
    ids = [_hash(tx["txid"]) for tx in told[:MOST_WAITING] if int(tx["value"]) >= least]
    return list(dict.fromkeys(ids))


def _holdings(told: Mapping[str, Any]) -> Holdings:
    stats = told["chain_stats"]
    return Holdings(int(stats["funded_txo_sum"]), int(stats["spent_txo_sum"]), int(stats["tx_count"]))


def _fee_estimates(told: Mapping[str, Any]) -> Fees:
    slow, normal, fast = (Decimal(str(told[blocks])) for blocks in ("144", "6", "1"))
    return _fees(slow, normal, fast)


def _recommended(told: Mapping[str, Any]) -> Fees:
    slow, normal, fast = (Decimal(str(told[name])) for name in ("economyFee", "hourFee", "fastestFee"))
    return _fees(slow, normal, fast)


def _fees(slow: Decimal, normal: Decimal, fast: Decimal) -> Fees:
    if not all(fee.is_finite() and 0 <= fee < MOST_FEE for fee in (slow, normal, fast)):
        raise ValueError
    return Fees(slow, normal, fast, PLAIN_TRANSFER_VBYTES)
