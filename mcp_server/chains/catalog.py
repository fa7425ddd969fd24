"""The known chains and labels: those of the package, and those that a user's own files in the home add."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from mcp_server.domain.chains.chain import Chain, Token
from mcp_server.domain.chains.evm_address import evm_address, is_meant
from mcp_server.domain.chains.labels import Labels, read_labels
from mcp_server.errors import BadInput, Misconfigured, NotFound

CHAINS_FILE, LABELS_FILE = "chains.json", "labels.csv"

_ALIASES = {
    "eth": "ethereum", "mainnet": "ethereum", "arb": "arbitrum", "matic": "polygon", "bsc": "bnb", "binance": "bnb",
    "op": "optimism", "btc": "bitcoin",
}  # fmt: skip
_ETHER, _SATOSHI = 18, 8


class Catalog:
    """Reads the files when they are first needed; an invalid one raises `Misconfigured`.

    The user's `chains.json` and `labels.csv` in the home, if there are any, add to the package's own.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    @cached_property
    def chains(self) -> Mapping[str, Chain]:
        """Every chain, by name."""
        known = json.loads((files("mcp_server.chains") / "data" / CHAINS_FILE).read_text("utf-8"))
        file = self._home / CHAINS_FILE
        try:
            own = json.loads(file.read_text("utf-8")) if file.is_file() else {}
            return {name: _chain(name, _merged(known.get(name, {}), own.get(name, {}))) for name in {**known, **own}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            why = f"{error}" if isinstance(error, BadInput) else f"{type(error).__name__}: {error}."
            raise Misconfigured(
                f"{CHAINS_FILE} of the home is invalid: {why}", "See docs/reference/blockchain.md."
            ) from None

    @cached_property
    def labels(self) -> Labels:
        """Every label; where the user's file is invalid, the problem names the line."""
        text = (files("mcp_server.chains") / "data" / LABELS_FILE).read_text("utf-8")
        labels = read_labels(text.splitlines())
        file = self._home / LABELS_FILE
        try:
            return labels.with_more(read_labels(file.read_text("utf-8-sig").splitlines())) if file.is_file() else labels
        except (OSError, UnicodeDecodeError, BadInput) as error:
            why = f"{error}" if isinstance(error, BadInput) else f"{error}."
            raise Misconfigured(f"{LABELS_FILE} of the home is invalid: {why}", "Mend it or remove it.") from None

    def chain(self, name: str) -> Chain:
        """Return a chain by its name or an alias; the error for an unknown one names the nearest."""
        wanted = name.strip().lower()
        chains = self.chains
        if chain := chains.get(_ALIASES.get(wanted, wanted)):
            return chain
        near = get_close_matches(wanted, [*chains, *_ALIASES], n=1)
        hint = f"Did you mean {_ALIASES.get(near[0], near[0])!r}?" if near else f"Known: {', '.join(chains)}."
        raise NotFound(f"Unknown chain {name[:40]!r}.", hint)

    def home_of(self, asset: str) -> Chain:
        """Return the chain for an asset alone: the one whose native coin it is, else Ethereum."""
        wanted = asset.strip().upper()
        native = (chain for chain in self.chains.values() if chain.native.symbol == wanted)
        return next(native, self.chain("ethereum"))


def token_of(chain: Chain, asset: str) -> Token | None:
    """Return an asset of a chain by its symbol, or a known token by its address; None: an unknown address."""
    wanted = asset.strip()
    if chain.family == "evm" and is_meant(wanted):
        address = evm_address(wanted)
        return next((token for token in chain.tokens if token.address == address), None)
    for token in (chain.native, *chain.tokens):
        if token.symbol == wanted.upper():
            return token
    known = ", ".join(token.symbol for token in (chain.native, *chain.tokens))
    address_too = " Name any other token by its address." if chain.family == "evm" else ""
    raise NotFound(f"{asset[:60]!r} is not a known asset of {chain.name!r}.", f"Known: {known}.{address_too}")


def _merged(known: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {**known, **own, "tokens": {**known.get("tokens", {}), **own.get("tokens", {})}}


def _chain(name: str, facts: Mapping[str, Any]) -> Chain:
    evm = name != "bitcoin"
    symbol = str(facts["native"]).upper()
    priced_as = tuple(facts.get("native_priced_as", [symbol]))
    return Chain(
        name=name,
        family="evm" if evm else "bitcoin",
        native=Token(symbol, _ETHER if evm else _SATOSHI, None, priced_as),
        block_s=float(facts["block_s"]),
        confirmations=int(facts["confirmations"]),
        chain_id=int(facts["chain_id"]) if evm else None,
        tokens=tuple(_token(token, about) for token, about in facts["tokens"].items()),
        urls=tuple(facts.get("urls", ())),
        explorer_url=facts.get("explorer_url"),
        l1_fee=bool(facts.get("l1_fee", False)),
    )


def _token(symbol: str, facts: Mapping[str, Any]) -> Token:
    priced_as = tuple(facts.get("priced_as", [symbol.upper()]))
    return Token(symbol.upper(), int(facts["decimals"]), evm_address(facts["address"]), priced_as)
