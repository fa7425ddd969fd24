"""Evidence against an edge, which may be looked at after every signal: what `stop` pauses a strategy on."""

from dataclasses import dataclass

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.signals import JudgedSignals


@dataclass(frozen=True, slots=True, eq=False)
class EdgeEvidence:
    """The e-value against "the mean net return is at least `minimum_edge_pct`", and what it saw.

    Attributes:
        value: the e-value now: 1 before the first bet; from 1 ÷ `no_skill` on a strategy is paused.
        highest: the highest that it has ever been.
        judged: how many outcomes that do not overlap it is the evidence of.
        mean_net_pct: their mean net return in per cent; None where there is none.
        path: the e-value after each of them, oldest first.
    """

    value: float
    highest: float
    judged: int
    mean_net_pct: float | None
    path: Floats


def edge_evidence(judged: JudgedSignals, minimum_edge_pct: float) -> EdgeEvidence:
    """Return the evidence that a record's mean net return is below `minimum_edge_pct` (per cent a signal)."""
    raise NotImplementedError
