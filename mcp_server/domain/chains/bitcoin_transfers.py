"""The transfers in a transaction of Bitcoin, which joins coins of some addresses and pays others, with change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.domain.chains.chain import Transfer

Part = tuple[str | None, int]
"""An address (None: the script has none) and an amount in satoshi."""


@dataclass(frozen=True, slots=True)
class BitcoinTransaction:
    """One transaction. `block` and `time_ms` are None while it waits for its first block.

    The transaction that pays a block's miner has no inputs.
    """

    id: str
    inputs: Sequence[Part]
    outputs: Sequence[Part]
    block: int | None
    block_hash: str | None
    time_ms: int | None

    def change_of(self, address: str) -> int:
        """Return by how much the transaction changes the balance of an address."""
        came = sum(value for owner, value in self.outputs if owner == address)
        return came - sum(value for owner, value in self.inputs if owner == address)


def transfers_of(transaction: BitcoinTransaction) -> list[Transfer]:
    """Return one transfer for each address that is paid.

    An address that paid in itself is paid what it gains, if the other inputs leave it more than it put in; the rest is
    change. Only its owner can tell change to a new address from a payment. The sender is the address that paid in most;
    `also_from` has the others.
    """
    paid_in: dict[str, int] = {}
    for address, value in transaction.inputs:
        if address is not None:
            paid_in[address] = paid_in.get(address, 0) + value
    senders = sorted(paid_in, key=lambda address: -paid_in[address])
    paid_out: dict[str | None, int] = {}
    for receiver, value in transaction.outputs:
        paid_out[receiver] = paid_out.get(receiver, 0) + value
    gains = {owner: value - (paid_in.get(owner, 0) if owner else 0) for owner, value in paid_out.items()}
    anonymous = any(address is None for address, _ in transaction.inputs)
    return [
        _transfer(transaction, receiver, gain, place, senders, anonymous=anonymous)
        for place, (receiver, gain) in enumerate((owner, gain) for owner, gain in gains.items() if gain > 0)
    ]


def _transfer(
    transaction: BitcoinTransaction,
    receiver: str | None,
    raw: int,
    place: int,
    senders: Sequence[str],
    *,
    anonymous: bool,
) -> Transfer:
    others = [address for address in senders if address != receiver]
    return Transfer(
        hash=transaction.id,
        from_address=others[0] if others else None,
        to_address=receiver,
        raw=raw,
        block=transaction.block,
        time_ms=transaction.time_ms,
        place=place,
        also_from=(*others[1:], *(address for address in senders if address == receiver)),
        anonymous=anonymous,
    )
