"""Evidence against an edge, which may be looked at after every signal: what `stop` pauses a strategy on.

It bets against "the mean net return is at least m", on outcomes that do not overlap. With s, the root mean square of
net return - m of those before, y is (net return - m) ÷ s, clipped at ± 5, and a bet's factor is 1 - c x y ÷ 5.

Why it is valid: s is known at the entry, so where the mean of y given the past is at least 0, that of the factor is at
most 1, and no factor is below 0. The mixture over c in (0, 1) is then a supermartingale that begins at 1, which by
Ville's inequality ever reaches 1 ÷ `no_skill` with a probability of at most `no_skill`. What is tested is the mean of
the clipped returns: a strategy that lives on rare gains of more than five deviations has them cut.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mcp_server.domain.candles import Floats
from mcp_server.domain.scoring.e_value import e_values
from mcp_server.domain.scoring.non_overlapping import non_overlapping
from mcp_server.domain.scoring.signals import JudgedSignals

CLIP = 5.0
"""A return counts for no more than so many deviations of those before, on either side of the minimum edge."""

FEWEST = 20
"""So many outcomes make the first deviation; they are not bet on."""

_BETS = 16


@dataclass(frozen=True, slots=True, eq=False)
class EdgeEvidence:
    """The e-value against "the mean net return is at least `minimum_edge_pct`", and what it saw.

    Attributes:
        value: the e-value now: 1 before the first bet; from 1 ÷ `no_skill` on a strategy is paused.
        highest: the highest that it has ever been.
        judged: how many outcomes that do not overlap it is the evidence of: those up to which it first reached the
            limit, else all of them.
        mean_net_pct: their mean net return in per cent; None where there is none.
        path: the e-value after each of them, oldest first.
    """

    value: float
    highest: float
    judged: int
    mean_net_pct: float | None
    path: Floats


def edge_evidence(judged: JudgedSignals, minimum_edge_pct: float, limit: float = np.inf) -> EdgeEvidence:
    """Return the evidence that a record's mean net return is below `minimum_edge_pct` (per cent a signal).

    From an e-value of `limit` on that is decided: what came after it is no part of what decided it.
    """
    net = judged.net[non_overlapping(judged, judged.directed)]
    excess = _clipped(net - minimum_edge_pct / 100)
    bets, log_weight = _bets()
    path = e_values(log_weight + np.cumsum(np.log1p(-bets * (excess / CLIP)[:, None]), axis=0))
    deciding = int(np.argmax(path >= limit)) + 1 if (path >= limit).any() else len(path)
    seen = net[FEWEST:][:deciding]
    return EdgeEvidence(
        value=float(path[-1]) if len(path) else 1.0,
        highest=float(path.max(initial=1.0)),
        judged=len(seen),
        mean_net_pct=100 * float(seen.mean()) if len(seen) else None,
        path=path,
    )


def _clipped(excess: Floats) -> Floats:
    """Return each excess in deviations of all those before it, clipped; without the first FEWEST."""
    before = np.arange(1, len(excess))
    deviation = np.sqrt(np.cumsum(excess**2)[:-1] / before)[FEWEST - 1 :]
    bet_on = excess[FEWEST:]
    ratio = np.divide(bet_on, deviation, out=np.zeros_like(bet_on), where=deviation > 0)
    return np.clip(ratio, -CLIP, CLIP)


@cache
def _bets() -> tuple[Floats, Floats]:
    """Return the parts c of the largest safe bet (Gauss-Legendre nodes), and the logarithms of their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_BETS)
    return (1 + nodes) / 2, np.log(weights / 2)
