"""Chains and their tokens, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal

Family = Literal["evm", "bitcoin"]

EXACT = Context(prec=160)
"""Enough digits for amounts of 256 bits in dollars and cents."""


@dataclass(frozen=True, slots=True)
class Token:
    """An asset of a chain: its native coin (no address), or an ERC-20 token.

    `priced_as` are bases of markets, of which the first that an exchange has is used; `USD` is one dollar itself. An
    unknown token has none, because its symbol is only what its maker calls it.
    """

    symbol: str
    decimals: int
    address: str | None = None
    priced_as: tuple[str, ...] = ()

    def units(self, raw: int) -> Decimal:
        """Return an amount in whole units, exactly."""
        return Decimal(raw).scaleb(-self.decimals, EXACT)


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain. `confirmations` blocks make one confirmed; `block_s` is the usual time between two."""

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
    """A transaction also pays for being written to the chain below, which the fees of this chain do not include."""

    @property
    def wrapped(self) -> Token | None:
        """The token that stands for the native coin, if it is known: coins sent to its contract stay their sender's."""
        return next((token for token in self.tokens if token.symbol == f"W{self.native.symbol}"), None)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block that stands for a moment: nothing after it is read."""

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
    """Some of the senders' scripts have no address."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The transfers found in a range of blocks, and which part of the request that is.

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
    notes: Sequence[str] = ()
    observed_at_ms: int | None = None
    """When the unconfirmed transactions were read, if they were asked for: they exist only now."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """The balances of an address as of a block, in raw units; what the source does not say is None."""

    head: BlockRef
    balances: Sequence[tuple[Token, int]]
    transactions_sent: int | None = None
    transactions: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    observed_at_ms: int | None = None
    """When it was read, if only the present state could be read."""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Fees:
    """The cost of a transaction, in the smallest native unit per unit of work (gas, or virtual byte)."""

    slow: Decimal
    normal: Decimal
    fast: Decimal
    plain_transfer_work: int
    """How much work a plain transfer is."""


@dataclass(frozen=True, slots=True)
class Mempool:
    """The unconfirmed transactions: their number, their size in virtual bytes, their fees in satoshi."""

    count: int
    vbytes: int
    fees: int


@dataclass(frozen=True, slots=True)
class Network:
    """The state of a chain as of a block."""

    head: BlockRef
    fees: Fees
    base_fees: Sequence[int] = ()
    """Of the last blocks, oldest first, and of the next one."""
    mempool: Mempool | None = None
    observed_at_ms: int | None = None
    notes: Sequence[str] = ()
