"""How long until an edge of five points above the base rate would show, at the pace of a record."""

from dataclasses import dataclass

from mcp_server.domain.scoring.e_value import SkillEvidence
from mcp_server.domain.scoring.signals import JudgedSignals


@dataclass(frozen=True, slots=True)
class TimeToShow:
    """How many more outcomes that do not overlap, and how many days, half of the strategies with that edge would need.

    `outcomes` is 0 where it shows already, None where it would not in any foreseeable time (or the base rate is not
    known); `days` is None as well where the pace is not known.
    """

    outcomes: int | None
    days: float | None


def outcomes_per_day(judged: JudgedSignals, until_ms: int) -> float | None:
    """Return how many outcomes a day do not overlap, from the first entry to a moment (Unix ms); None below two."""
    raise NotImplementedError


def time_to_show(evidence: SkillEvidence, base_rate: float | None, per_day: float | None) -> TimeToShow:
    """Return how long until a hit rate of `base_rate` + five points would show as an e-value of 20 (the median)."""
    raise NotImplementedError
