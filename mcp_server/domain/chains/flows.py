"""Transfers into and out of exchanges, netted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from mcp_server.domain.chains.chain import EXACT, Transfer

Direction = Literal[
    "to exchange", "from exchange", "between exchanges", "within exchange", "sweep", "wrap", "self", "mint", "burn", ""
]  # fmt: skip
LabelOf = Callable[[str | None], str | None]
"""Address → the exchange that it belongs to, or None."""

BURNT = frozenset({"0x" + "0" * 40, "0x000000000000000000000000000000000000dead"})


@dataclass(slots=True)
class Flow:
    """Transfers to and from exchanges, in raw units and in numbers of transfers."""

    to_raw: int = 0
    from_raw: int = 0
    to_count: int = 0
    from_count: int = 0


@dataclass(slots=True)
class Flows:
    """The sums of all transfers, and of those into and out of exchanges.

    A transfer from one exchange to another is in both sums, and in `between_raw`. A transfer within one exchange, or
    from an address to itself, is in neither; nor is a sweep, which has sums of its own.
    """

    count: int = 0
    total_raw: int = 0
    largest_raw: int = 0
    between_raw: int = 0
    sweeps_raw: int = 0
    sweeps_count: int = 0
    exchanges: dict[str, Flow] = field(default_factory=dict)
    all_exchanges: Flow = field(default_factory=Flow)


def ends(transfer: Transfer, exchange_of: LabelOf) -> tuple[str | None, str | None]:
    """Return the exchanges that a transfer comes from and goes to.

    The inputs of one transaction usually have one owner, so one known input is enough.
    """
    senders = (transfer.from_address, *transfer.also_from)
    known = (exchange for address in senders if (exchange := exchange_of(address)) is not None)
    return next(known, None), exchange_of(transfer.to_address)


def direction(transfer: Transfer, exchange_of: LabelOf, wrapper: str | None = None) -> Direction:
    """Return the direction of a transfer as exchanges see it; coins sent to the contract `wrapper` are only wrapped.

    A sweep goes to an exchange that paid a part itself: most likely it collects the deposits of its customers, which
    are the unknown part.
    """
    if transfer.from_address == transfer.to_address and transfer.from_address is not None:
        return "self"
    if wrapper is not None and transfer.to_address == wrapper:
        return "wrap"
    if ends(transfer, exchange_of) != (None, None):
        return _direction_of_exchanges(transfer, exchange_of)
    if transfer.to_address is not None and transfer.to_address in transfer.also_from:
        return "self"
    if transfer.from_address is None:
        return "" if transfer.anonymous else "mint"
    return "burn" if transfer.to_address in BURNT else ""


def _direction_of_exchanges(transfer: Transfer, exchange_of: LabelOf) -> Direction:
    sender, receiver = ends(transfer, exchange_of)
    if sender is None:
        return "to exchange"
    if receiver is None:
        return "from exchange"
    if sender != receiver:
        return "between exchanges"
    return "sweep" if _partly_unknown(transfer, exchange_of) else "within exchange"


def _partly_unknown(transfer: Transfer, exchange_of: LabelOf) -> bool:
    senders = [address for address in (transfer.from_address, *transfer.also_from) if address is not None]
    return transfer.anonymous or any(exchange_of(address) is None for address in senders)


def netted(transfers: Iterable[Transfer], exchange_of: LabelOf, wrapper: str | None = None) -> Flows:
    """Sum transfers up by exchange; see `direction`."""
    flows = Flows()
    for transfer in transfers:
        flows.count += 1
        flows.total_raw += transfer.raw
        flows.largest_raw = max(flows.largest_raw, transfer.raw)
        where = direction(transfer, exchange_of, wrapper)
        sender, receiver = ends(transfer, exchange_of)
        if where in ("to exchange", "between exchanges") and receiver is not None:
            for flow in (flows.exchanges.setdefault(receiver, Flow()), flows.all_exchanges):
                flow.to_raw, flow.to_count = flow.to_raw + transfer.raw, flow.to_count + 1
        if where in ("from exchange", "between exchanges") and sender is not None:
            for flow in (flows.exchanges.setdefault(sender, Flow()), flows.all_exchanges):
                flow.from_raw, flow.from_count = flow.from_raw + transfer.raw, flow.from_count + 1
        if where == "between exchanges":
            flows.between_raw += transfer.raw
        if where == "sweep":
            flows.sweeps_raw, flows.sweeps_count = flows.sweeps_raw + transfer.raw, flows.sweeps_count + 1
    return flows


def minus(a: Decimal, b: Decimal) -> Decimal:
    """Subtract exactly: Python's own subtraction rounds to 28 digits."""
    return EXACT.subtract(a, b)


def cents(amount: Decimal) -> Decimal:
    """Round dollars to the cent."""
    return amount.quantize(Decimal("0.01"), context=EXACT)
