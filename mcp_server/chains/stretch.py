"""What a scan is to cover, and how it says that it did not cover all of it."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.domain.chains.chain import Token
from mcp_server.domain.timeframes import iso

ENOUGH_S = 17.0
"""After so long a scan stops and gives what it has."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What to scan: transfers of `least` raw units or more, from a moment to a moment (Unix ms)."""

    token: Token
    least: int
    from_ms: int
    until_ms: int
    unconfirmed: bool


def only_after(covered_ms: int, from_ms: int) -> str:
    """Say which part of a stretch was seen."""
    return f"Only what came after {iso(covered_ms)} was seen, not all from {iso(from_ms)} on."
