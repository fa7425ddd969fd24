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

    An amount that goes back to an address that paid in is change, not a transfer. Only its owner can tell change to a
    new address from a payment. The sender is the address that paid in most; `also_from` has the others.
    """
    paid_in: dict[str, int] = {}
    for address, value in transaction.inputs:
        if address is not None:
            paid_in[address] = paid_in.get(address, 0) + value
    senders = sorted(paid_in, key=lambda address: -paid_in[address])
    paid_out: dict[str | None, int] = {}
    for receiver, value in transaction.outputs:
        if receiver is None or receiver not in paid_in:
            paid_out[receiver] = paid_out.get(receiver, 0) + value
    return [
        Transfer(
            hash=transaction.id,
            from_address=senders[0] if senders else None,
            to_address=receiver,
            raw=value,
            block=transaction.block,
            time_ms=transaction.time_ms,
            place=place,
            also_from=tuple(senders[1:]),
            anonymous=bool(transaction.inputs) and not senders,
        )
        for place, (receiver, value) in enumerate(paid_out.items())
        if value > 0
    ]
