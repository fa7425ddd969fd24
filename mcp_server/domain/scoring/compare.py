"""A record beside its controls, by the same outcomes: holding, the strategy's own rules, and each sub-agent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.rules.series import HOLD, UNDECIDED, Codes
from mcp_server.domain.scoring.hac import Interval, bandwidth_ms, mean_interval
from mcp_server.domain.scoring.keys import FEW, AgentScore, TwinScore

if TYPE_CHECKING:
    from mcp_server.domain.candles import Floats
    from mcp_server.domain.scoring.signals import JudgedSignals


@dataclass(frozen=True, slots=True)
class HoldComparison:
    """Holding at the moments of the BUY and SELL signals, and what these brought beyond it; as ratios."""

    held: float | None
    difference: float | None
    interval: Interval | None


def against_holding(judged: JudgedSignals, horizon_ms: float) -> HoldComparison:
    """Return the mean return of holding without costs, and the mean paired difference of the signals' net to it."""
    signals = judged.pick(judged.directed)
    if not len(signals):
        return HoldComparison(None, None, None)
    difference = signals.net - signals.r
    interval = mean_interval(difference, signals.entry_ms, bandwidth_ms(horizon_ms, judged.signal, judged.entry_ms))
    return HoldComparison(float(signals.r.mean()), float(difference.mean()), interval)


def twin_score(judged: JudgedSignals, twin: Codes, horizon_ms: float) -> TwinScore | None:
    """Return how the rules fared at the same moments, judged by the same return; None where they never decided.

    A HOLD brings 0. Moments count for the difference where both decided, and not both HOLD.

    Args:
        judged: the signals of the record, HOLD too.
        twin: what the rules said at each of them; UNDECIDED where they said nothing.
        horizon_ms: of the record.
    """
    known = twin != UNDECIDED
    if not known.any():
        return None
    own = judged.pick(known)
    rules = replace(own, signal=twin[known])
    differ = (own.signal != HOLD) | (rules.signal != HOLD)
    difference = 100 * (_brought(own) - _brought(rules))[differ]
    # What one says more than the other is a position of its own, which lasts as long as the two differ.
    width = bandwidth_ms(horizon_ms, np.sign(own.signal - rules.signal), own.entry_ms)
    interval = mean_interval(difference, own.entry_ms[differ], width)
    count = int(rules.directed.sum())
    return TwinScore(
        judged=count,
        hit_rate=float(rules.right.sum() / count) if count else None,
        moments=len(difference),
        difference_pct=float(difference.mean()) if len(difference) else None,
        difference_ci95=None if interval is None else (interval.low, interval.high),
    )


def agent_scores(judged: JudgedSignals, leans: dict[str, Codes]) -> dict[str, AgentScore]:
    """Return for each sub-agent how its leaning went along with what the market did.

    Args:
        judged: the signals of the record, HOLD too.
        leans: by name, what a sub-agent leaned to at each of them; UNDECIDED where it stated nothing.
    """
    return {name: _agent(judged, codes) for name, codes in leans.items()}


def _agent(judged: JudgedSignals, codes: Codes) -> AgentScore:
    stated = replace(judged, signal=codes).pick(codes != UNDECIDED)
    count = int(stated.directed.sum())
    return AgentScore(
        judged=count,
        agrees=float(stated.right.sum() / count) if count >= FEW else None,
        correlation=correlation(stated.signal.astype(np.float64), stated.r) if count >= FEW else None,
    )


def correlation(one: Floats, other: Floats) -> float | None:
    """Return Pearson's correlation; None where one of the two never changes."""
    if not np.ptp(one) or not np.ptp(other):
        return None
    one, other = one - one.mean(), other - other.mean()
    return float(np.clip((one @ other) / np.sqrt((one @ one) * (other @ other)), -1, 1))


def _brought(signals: JudgedSignals) -> Floats:
    """Return what each signal brought, net; a HOLD brings 0."""
    return np.where(signals.directed, signals.net, 0.0)
