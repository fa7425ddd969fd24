"""Evidence for skill that may be looked at after every signal.

Skill is to be right more often than the market made it easy to be. The e-value is the smaller of two: one against what
was known before each signal, and one against the market during the record, which catches a drift that only begins then.

Why it is valid: where P(right | past) <= p0, which is known at the entry, a factor's mean given the past is
1 + (P(right | past) - p0) x u ÷ p0 <= 1, for each lift u, so the product over outcomes that do not overlap, and its
mixture over u, is a supermartingale that begins at 1. By Ville's inequality it ever reaches 20 with a probability of at
most 1/20, however often somebody looks; and the smaller of it and anything else does so no more often.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mcp_server.domain.candles import Floats, Mask, Times
from mcp_server.domain.scoring.base_rate import KnownShares
from mcp_server.domain.scoring.non_overlapping import Positions, non_overlapping
from mcp_server.domain.scoring.signals import JudgedSignals

_NODES = 16
_SHAPE = 4
"""The alternatives are p0 + u x (1 - p0) with u ~ Beta(1, 4): small lifts above p0 are the likely ones."""

_LARGEST_LOG = 700.0


@dataclass(frozen=True, slots=True, eq=False)
class SkillEvidence:
    """The e-value for skill, and what it is made of.

    Attributes:
        value: the e-value now: 1 before the first factor; from 20 on skill is proven at 5 %.
        factors: of how many outcomes it is the evidence.
        left_out: how many BUY and SELL before whose entry fewer than 1,000 moments were known.
        path: the e-value after each factor, oldest first.
        known_ms: when each factor's exit candle closed (Unix ms).
        log_wealth: the logarithm of each lift's share in the first of the two e-values, for `pace`.
        share: of the moments known by now, how many were right, weighted by the factors' directions; None before the
            first factor.
        independent: the effective number of these moments; None likewise.
        horizon_ms: the latest factor's; 0 before the first one.
    """

    value: float
    factors: int
    left_out: int
    path: Floats
    known_ms: Times
    log_wealth: Floats
    share: float | None
    independent: float | None
    horizon_ms: int


def skill_evidence(judged: JudgedSignals, shares: KnownShares) -> SkillEvidence:
    """Return the evidence that a record's BUY and SELL are right more often than the market made it easy to be.

    Args:
        judged: the record.
        shares: what was known at each entry, as `base_rate.known_shares` returns it.
    """
    usable = judged.directed & np.isfinite(shares.limit)
    rows = non_overlapping(judged, usable)
    right = judged.right[rows]
    wealth = log_wealth(right, shares.limit[rows])
    path = np.minimum(e_values(wealth), e_values(_against_the_same_time(right, rows, shares)))
    return SkillEvidence(
        value=float(path[-1]) if len(path) else 1.0,
        factors=len(rows),
        left_out=int(np.count_nonzero(judged.directed & ~usable)),
        path=path,
        known_ms=judged.exit_ms[rows],
        log_wealth=wealth[-1] if len(rows) else lifts()[1],
        share=_latest(shares.share, rows, shares),
        independent=_latest(shares.independent, rows, shares),
        horizon_ms=int((judged.exit_ms - judged.entry_ms)[rows[-1]]) if len(rows) else 0,
    )


def _latest(values: Floats, rows: Positions, shares: KnownShares) -> float | None:
    """Return the mean over the factors of the latest value of each one's kind."""
    if not len(rows):
        return None
    _, latest, kind = np.unique(shares.kind[rows][::-1], return_index=True, return_inverse=True)
    return float(values[rows[::-1][latest]][kind].mean())


@cache
def lifts() -> tuple[Floats, Floats]:
    """Return the lifts u of the mixture (Gauss-Legendre nodes of its prior) and the logarithms of their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return 1 - ((1 - nodes) / 2) ** (1 / _SHAPE), np.log(weights / 2)


def log_wealth(right: Mask, null: Floats) -> Floats:
    """Return log weight + log product of factors, for each outcome (rows) and each lift (columns).

    Args:
        right: whether each outcome was right.
        null: the most that its probability is without skill (p0).
    """
    lift, log_weight = lifts()
    factor = np.where(right[:, None], np.log1p(lift * ((1 - null) / null)[:, None]), np.log1p(-lift))
    wealth: Floats = log_weight + np.cumsum(factor, axis=0)
    return wealth


def e_values(log_parts: Floats) -> Floats:
    """Return the sum of each row's exponentials; never infinite."""
    highest = log_parts.max(axis=1)
    logarithm = highest + np.log(np.exp(log_parts - highest[:, None]).sum(axis=1))
    sums: Floats = np.exp(np.minimum(logarithm, _LARGEST_LOG))
    return sums


def _against_the_same_time(right: Mask, rows: Positions, shares: KnownShares) -> Floats:
    """Return log weight + log likelihood ratio against the market's share right during the record, as it was known.

    After each outcome, that share is of the moments between the first entry and the latest exit of the same direction.
    """
    lift, log_weight = lifts()
    wealth = log_weight + np.cumsum(~right)[:, None] * np.log1p(-lift)
    kind = shares.kind[rows]
    for number in np.unique(kind):
        same = kind == number
        latest = np.cumsum(same) - 1  # after each outcome, the last one of this kind: -1 before the first
        mine = rows[same]
        known_right = shares.right_after[mine] - shares.right_before[mine[0]]
        known = shares.moments_after[mine] - shares.moments_before[mine[0]]
        share = (known_right + 1) / (known + 1)  # never 0; 1, which proves nothing, where none is known
        growth = np.cumsum(right[same])[:, None] * np.log1p(lift * ((1 - share) / share)[:, None])
        wealth += np.where(latest[:, None] >= 0, growth[latest], 0)
    return wealth
