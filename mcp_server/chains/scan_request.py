"""What a scan is to cover, how long it may take, and its notes on what it did not cover."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from mcp_server.domain.chains.chain import Token
from mcp_server.domain.timeframes import iso

ENOUGH_S = 17.0
"""A scan stops after this long and returns what it has."""

SPARE_S = 9.0
"""It stops earlier, to leave this much of the time of the whole question."""

GRACE_S = 4.0
"""Requests that are running when it stops may take this much longer."""

OUT_OF_TIME = f"A scan takes at most {ENOUGH_S:g} s, less if the steps before it were slow."


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """Transfers of `least` raw units or more, from a moment to a moment (Unix ms)."""

    token: Token
    least: int
    from_ms: int
    until_ms: int
    unconfirmed: bool


def enough_at() -> float:
    """Return when a scan that begins now should stop, on anyio's clock."""
    return min(anyio.current_time() + ENOUGH_S, anyio.current_effective_deadline() - SPARE_S)


def only_after(covered_ms: int, from_ms: int) -> str:
    """Return a note on which part of the time asked for was seen."""
    return f"Only what came after {iso(covered_ms)} was seen, not all from {iso(from_ms)} on."
