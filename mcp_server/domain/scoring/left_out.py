"""Runs that show no skill, whatever came of them: the model may know what came next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mcp_server.domain.contamination import MARGIN, first_clean
from mcp_server.domain.text import counted

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many runs are left out, of how many of these no knowledge cutoff is known, and the latest of the others."""

    runs: int = 0
    no_cutoff: int = 0
    cutoff: str | None = None

    def __add__(self, other: LeftOut) -> LeftOut:
        cutoff = max(filter(None, (self.cutoff, other.cutoff)), default=None)
        return LeftOut(self.runs + other.runs, self.no_cutoff + other.no_cutoff, cutoff)

    @property
    def why(self) -> str:
        """Why they show no skill, and from when on runs would."""
        clean = self._first_clean()
        if clean is None:
            return "the model may know what came next, as its knowledge cutoff is not known"
        unknown = f"; that of {counted(self.no_cutoff, 'run')} is not known" if self.no_cutoff else ""
        cutoff = f"knowledge cutoff {clean - MARGIN - timedelta(days=1):%B %Y}{unknown}"
        return f"the model may know what came next ({cutoff}; first clean moment {clean:%Y-%m-%d})"

    def _first_clean(self) -> datetime | None:
        if self.cutoff is None:
            return None
        try:
            return first_clean(self.cutoff)
        except ValueError:  # a journal may have been written by hand
            return None


NOTHING_LEFT_OUT = LeftOut()
