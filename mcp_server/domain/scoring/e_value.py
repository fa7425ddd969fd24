"""Evidence for skill that may be looked at after every signal."""

from dataclasses import dataclass

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.scoring.base_rate import KnownShares
from mcp_server.domain.scoring.signals import JudgedSignals


@dataclass(frozen=True, slots=True, eq=False)
class SkillEvidence:
    """The e-value for skill, and what it is made of.

    Attributes:
        value: the e-value now: 1 before the first factor; from 20 on skill is proven at 5 %.
        factors: of how many outcomes it is the evidence.
        left_out: how many BUY and SELL before whose entry fewer than 1,000 moments were known.
        path: the e-value after each factor, oldest first.
        known_ms: when each factor's exit candle closed (Unix ms).
    """

    value: float
    factors: int
    left_out: int
    path: Floats
    known_ms: Times


def skill_evidence(judged: JudgedSignals, shares: KnownShares) -> SkillEvidence:
    """Return the evidence that a record's BUY and SELL are right more often than the market made it easy to be.

    Args:
        judged: the record.
        shares: what was known at each entry, as `base_rate.known_shares` returns it.
    """
    raise NotImplementedError
