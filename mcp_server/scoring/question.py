"""What is asked about the worth of signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.scoring.keys import Kind


@dataclass(frozen=True, slots=True)
class PerformanceQuestion:
    """What is asked: of one strategy or all, of one kind of runs or each by itself, as of a moment.

    `now` is the present: under an earlier `until` nothing is written. `since`: only runs decided from then on. `curve`
    is of one strategy and kind. `replay`: only the runs of this replay, by its id, `beside` another one.
    """

    until: datetime
    now: datetime
    strategy_name: str | None = None
    kind: Kind | None = "live"
    since: datetime | None = None
    curve: bool = False
    replay: str | None = None
    beside: str | None = None

    def wants(self, kind: Kind) -> bool:
        """Return whether records of a kind are asked for: those that a host's own model decided were run by hand."""
        return self.kind in (None, kind) or (self.kind == "manual" and kind == "host")
