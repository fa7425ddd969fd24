"""What a scan is to cover, and how it says that it did not cover all of it."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from mcp_server.domain.chains.chain import Token
from mcp_server.domain.timeframes import iso

ENOUGH_S = 17.0
"""After so long a scan stops and gives what it has."""

SPARE_S = 9.0
"""It stops earlier where no more than this would be left of the time of the whole question."""

GRACE_S = 4.0
"""What is under way when it stops may take so much longer."""

OUT_OF_TIME = f"A scan takes at most {ENOUGH_S:g} s, less where what came before it was slow."


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to scan: transfers of `least` raw units or more, from a moment to a moment (Unix ms)."""

    token: Token
    least: int
    from_ms: int
    until_ms: int
    unconfirmed: bool


def enough_at() -> float:
    """Give when a scan that begins now is to stop, on anyio's clock."""
    return min(anyio.current_time() + ENOUGH_S, anyio.current_effective_deadline() - SPARE_S)


def only_after(covered_ms: int, from_ms: int) -> str:
    """Return a note on which part of the time asked for was seen."""
    return f"Only what came after {iso(covered_ms)} was seen, not all from {iso(from_ms)} on."
