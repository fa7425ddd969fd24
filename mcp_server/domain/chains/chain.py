"""What the project knows of a chain and its tokens, and what it finds there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Literal

Family = Literal["evm", "bitcoin"]

EXACT = Context(prec=160)
"""Amounts of 256 bits, in dollars and cents, have no more digits."""


@dataclass(frozen=True, slots=True)
class Token:
    """An asset of a chain: its native coin (no address), or an ERC-20 token.

    `priced_as` are bases of markets, the first that an exchange has is taken; `USD` is one dollar itself. A token that
    nobody vouches for has none: what it calls itself is its maker's word.
    """

    symbol: str
    decimals: int
    address: str | None = None
    priced_as: tuple[str, ...] = ()

    def units(self, raw: int) -> Decimal:
        """Give an amount in whole units, exactly."""
        return Decimal(raw).scaleb(-self.decimals, EXACT)


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain. `confirmations`: so many make an entry confirmed; `block_s` is the usual time between blocks."""

    name: str
    family: Family
    native: Token
    block_s: float
    confirmations: int
    chain_id: int | None = None
    tokens: tuple[Token, ...] = ()
    urls: tuple[str, ...] = ()
    explorer_url: str | None = None
    l1_fee: bool = False
    """A transaction also pays for being written to the chain below, which no fee of this one says."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by which a moment is known: nothing after it is read."""

    number: int
    time_ms: int
    hash: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of an asset. `from_address` is None for newly made coins; times are those of the block.

    `time_ms` and `block` are None while it waits for its first block.
    """

    hash: str
    from_address: str | None
    to_address: str | None
    raw: int
    block: int | None
    time_ms: int | None
    place: int = 0
    """Tells apart the transfers of one transaction."""
    also_from: tuple[str, ...] = ()
    """Further addresses that paid in, on chains whose transactions have several."""
    anonymous: bool = False
    """Somebody paid in, but from scripts that have no address."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The transfers found in a stretch of blocks, and which part of what was asked for that is.

    `head` is the newest block by the moment asked for: confirmations count up to it. `missed` says which part was not
    seen, and why.
    """

    transfers: Sequence[Transfer]
    head: BlockRef
    first_block: int
    last_block: int
    from_ms: int
    until_ms: int
    requests: int
    missed: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    observed_at_ms: int | None = None
    """When what waits for a block was seen, where it was asked for: it exists only now."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """What an address holds as of a block, in raw units; what the source does not tell is None."""

    head: BlockRef
    balances: Sequence[tuple[Token, int]]
    transactions_sent: int | None = None
    transactions: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    observed_at_ms: int | None = None
    """When it was seen, where it could only be seen as it is now."""
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction costs: in the smallest native unit per unit of work (gas, or virtual byte)."""

    slow: Decimal
    normal: Decimal
    fast: Decimal
    plain_transfer_work: int
    """How much work a plain transfer is."""


@dataclass(frozen=True, slots=True)
class Network:
    """The state of a chain as of a block."""

    head: BlockRef
    fees: Fees
    base_fees: Sequence[int] = ()
    """Of the last blocks, oldest first, and of the next one."""
    mempool_count: int | None = None
    mempool_vbytes: int | None = None
    mempool_fees: int | None = None
    observed_at_ms: int | None = None
    notes: Sequence[str] = field(default=())
