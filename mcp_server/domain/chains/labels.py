"""Labels of addresses: which wallets belong to exchanges."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mcp_server.domain.chains.bitcoin_address import bitcoin_address
from mcp_server.domain.chains.chain import Chain
from mcp_server.domain.chains.evm_address import evm_address
from mcp_server.errors import BadInput

COLUMNS = ("chain", "address", "exchange", "name", "source")


@dataclass(frozen=True, slots=True)
class Label:
    """A wallet of an exchange, its name, and the source of this knowledge."""

    exchange: str
    name: str
    source: str


class Labels:
    """Labels by address, of a chain or of a whole family of chains (`evm`, `bitcoin`)."""

    def __init__(self, known: Mapping[tuple[str, str], Label]) -> None:
        self._known = dict(known)

    def of(self, chain: Chain, address: str | None) -> Label | None:
        """Return the label of an address, or None; a label for the chain comes before one for its family."""
        if address is None:
            return None
        return self._known.get((chain.name, address)) or self._known.get((chain.family, address))

    def with_more(self, more: Labels) -> Labels:
        """Return these labels and others; where both know an address, the others win."""
        return Labels({**self._known, **more._known})

    def __len__(self) -> int:
        return len(self._known)


def read_labels(lines: Iterable[str]) -> Labels:
    """Read labels from CSV with the columns `chain,address,exchange,name,source`; name and source may be empty.

    `chain` is a chain's name, or `evm` for every EVM chain: a key's address is the same on all of them.

    Raises:
        BadInput: a line is invalid; the problem begins with its number.
    """
    reader = csv.DictReader(lines)
    if not {"chain", "address", "exchange"} <= set(reader.fieldnames or ()):
        raise BadInput("line 1: the columns are wrong.", f"They must be {','.join(COLUMNS)}.")
    return Labels(dict(_rows(reader)))


def _rows(reader: csv.DictReader[str]) -> Iterator[tuple[tuple[str, str], Label]]:
    for row in reader:
        chain, address, exchange, name, source = ((row.get(column) or "").strip() for column in COLUMNS)
        if not chain or not exchange:
            raise BadInput(f"line {reader.line_num}: chain or exchange is empty.", "Both are needed.")
        try:
            checked = bitcoin_address(address) if chain == "bitcoin" else evm_address(address)
        except BadInput as error:
            raise BadInput(f"line {reader.line_num}: {error.problem}", error.remedy) from None
        yield (chain, checked), Label(exchange, name or exchange, source)
