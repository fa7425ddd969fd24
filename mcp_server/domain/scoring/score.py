"""The score of one record: what its signals were worth, beside their controls, and whether that shows skill yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_server.domain.rules.series import BUY, HOLD
from mcp_server.domain.scoring.base_rate import BaseRate, base_rate, known_shares
from mcp_server.domain.scoring.brier import brier_score, brier_skill
from mcp_server.domain.scoring.calibration import calibrated_confidence, platt_fit
from mcp_server.domain.scoring.compare import against_holding, agent_scores, twin_score
from mcp_server.domain.scoring.e_value import SkillEvidence, skill_evidence
from mcp_server.domain.scoring.hac import bandwidth_ms, mean_interval
from mcp_server.domain.scoring.hit_rate import hit_rate_interval
from mcp_server.domain.scoring.keys import FEW, PROOF, CalibrationScore, Evidence, Score, StopState
from mcp_server.domain.scoring.no_skill import edge_evidence
from mcp_server.domain.scoring.non_overlapping import non_overlapping
from mcp_server.domain.scoring.pace import outcomes_per_day, time_to_show
from mcp_server.domain.scoring.reliability import reliability
from mcp_server.domain.scoring.sentences import sentence, summary
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.scoring.window import independent_before, window_shows
from mcp_server.domain.text import significant

if TYPE_CHECKING:
    from mcp_server.domain.candles import Floats
    from mcp_server.domain.rules.series import Codes
    from mcp_server.domain.scoring.hac import Interval
    from mcp_server.domain.scoring.keys import Bounds
    from mcp_server.domain.scoring.record import Record, RecordControls
    from mcp_server.domain.scoring.reliability import ReliabilityBin
    from mcp_server.domain.strategy.format import StopRule

DIGITS, DETAIL_DIGITS = 6, 4
"""Significant digits of a figure, and of one in a table within the answer."""


def score(record: Record, controls: RecordControls, *, brief: bool = False) -> Score:
    """Return everything that is told of a record; an undefined figure is None, never NaN.

    Args:
        record: what is scored.
        controls: what it is compared with.
        brief: leave out the calibration and how long it takes until an edge would show, for one of many records.
    """
    signals = record.judged.pick(record.judged.directed)
    horizon_ms = _longest_ms(record.judged)
    width = bandwidth_ms(horizon_ms, record.judged.signal, record.judged.entry_ms) if len(signals) else 0.0
    base, evidence = _market(record, controls)
    stop = None if controls.stop is None else _stop(controls.stop, record.judged)
    known = {
        **_counts(record, signals),
        **_hits(signals, width),
        "base_rate": base.weighted,
        "base_rates": {"buy": base.buy, "sell": base.sell},
        **_net(signals, width),
        **_holding(record.judged, horizon_ms),
        **_brier(signals, base),
        "calibration": None if brief else _calibration(record, signals, base),
        "e_value": None if evidence is None or not evidence.factors else evidence.value,
        "evidence": _evidence(record, len(signals), evidence, stop),
        **_pace(record, base, None if brief else evidence),
        "window_shows": None if brief else _window(record, base),
        "stop": stop,
        "twin": None if controls.twin is None else twin_score(record.judged, controls.twin, horizon_ms),
        "beside": None if controls.beside is None else twin_score(record.judged, controls.beside, horizon_ms),
        "agents": agent_scores(record.judged, dict(controls.leans)) or None,
        **_costs(record, signals),
        "earlier": list(record.earlier),
    }
    figures: Score = _rounded({"strategy_name": record.strategy_name, "summary": [], "sentence": "", **known})
    figures["summary"], figures["sentence"] = summary(figures), sentence(figures)
    return figures


def _longest_ms(judged: JudgedSignals) -> int:
    """Return the longest time that a signal was held: a horizon may change within a record."""
    return int((judged.exit_ms - judged.entry_ms).max(initial=0))


def _market(record: Record, controls: RecordControls) -> tuple[BaseRate, SkillEvidence | None]:
    """Return how often this market made such signals right, and the evidence that they were right more often."""
    if controls.candles is None or not len(record.judged):
        return BaseRate(None, None, None, 0), None
    market = (controls.candles, record.terms.timeframe, record.judged)
    fundings = None if controls.fundings is None else dict(controls.fundings)
    return base_rate(*market, fundings), skill_evidence(record.judged, known_shares(*market, fundings))


def _evidence(record: Record, judged: int, skill: SkillEvidence | None, stop: StopState | None) -> Evidence:
    if record.left_out.runs and not record.runs:
        return "contaminated"
    if stop is not None and stop["reached"]:
        return "no_skill"
    if skill is not None and len(skill.path) and skill.path.max() >= PROOF:
        return "skill"
    if judged < FEW:
        return "too_few"
    return "none_yet" if skill is not None and skill.factors else "unknown"


def _stop(rule: StopRule, judged: JudgedSignals) -> StopState:
    limit = 1 / rule.no_skill
    evidence = edge_evidence(judged, rule.minimum_edge_pct, limit)
    return {
        "e_value": evidence.value,
        "highest": evidence.highest,
        "limit": limit,
        "minimum_edge_pct": rule.minimum_edge_pct,
        "judged": evidence.judged,
        "mean_net_pct": evidence.mean_net_pct,
        "reached": evidence.highest >= limit,
    }


def _counts(record: Record, signals: JudgedSignals) -> dict[str, Any]:
    terms, holds, left_out = record.terms, record.judged.signal == HOLD, record.left_out
    decided = record.buy + record.sell + record.hold
    return {
        "kind": record.kind,
        "decision_version": terms.decision_version,
        "exchange": terms.exchange,
        "symbol": terms.symbol,
        "timeframe": terms.timeframe,
        "horizon_s": terms.horizon_s,
        "cost_bps": terms.cost_bps,
        "runs": record.runs,
        "missed": record.missed,
        "left_out": {"runs": left_out.runs, "why": left_out.why} if left_out.runs else None,
        "signals": {"buy": record.buy, "sell": record.sell, "hold": record.hold},
        "coverage_pct": 100 * decided / record.runs if record.runs else None,
        "judged": len(signals),
        "pending": record.pending,
        "void": record.void,
        "right": int(signals.right.sum()),
        "holds": {"judged": int(holds.sum()), "quiet": int(record.judged.quiet.sum())},
    }


def _hits(signals: JudgedSignals, width: float) -> dict[str, Any]:
    if not len(signals):
        return {"hit_rate": None, "hit_rate_ci95": None}
    interval = hit_rate_interval(signals.right, signals.entry_ms, width)
    return {"hit_rate": float(signals.right.mean()), "hit_rate_ci95": _bounds(interval)}


def _net(signals: JudgedSignals, width: float) -> dict[str, Any]:
    if not len(signals):
        return {"mean_net_pct": None, "mean_net_ci95": None}
    interval = mean_interval(100 * signals.net, signals.entry_ms, width)
    return {"mean_net_pct": float(100 * signals.net.mean()), "mean_net_ci95": _bounds(interval)}


def _holding(judged: JudgedSignals, horizon_ms: float) -> dict[str, Any]:
    comparison = against_holding(judged, horizon_ms)
    difference = comparison.difference
    return {
        "hold_pct": None if comparison.held is None else 100 * comparison.held,
        "hold_difference_pct": None if difference is None else 100 * difference,
        "hold_difference_ci95": _bounds(comparison.interval, 100),
    }


def _brier(signals: JudgedSignals, base: BaseRate) -> dict[str, Any]:
    rates = _rates(signals.signal, base)
    return {
        "brier": brier_score(signals.confidence, signals.right),
        "brier_skill": None if rates is None else brier_skill(signals.confidence, signals.right, rates),
    }


def _rates(codes: Codes, base: BaseRate) -> Floats | None:
    """Return the base rate of each signal's direction; None where one of them is not known."""
    rates = np.where(codes == BUY, _or_nan(base.buy), _or_nan(base.sell))
    return None if np.isnan(rates).any() else rates


def _calibration(record: Record, signals: JudgedSignals, base: BaseRate) -> CalibrationScore | None:
    table = reliability(signals)
    if table is None:
        return None
    fit, calibrated, latest = platt_fit(signals.confidence, signals.right), None, record.latest
    rates = None if latest is None else _rates(np.array([latest[0]], dtype=np.int8), base)
    if fit is not None and latest is not None and rates is not None:
        calibrated = float(calibrated_confidence(np.array([latest[1]]), fit, rates)[0])
    return {
        "bins": [_rounded(_bin(part), DETAIL_DIGITS) for part in table.bins],
        "error": table.error,
        "error_by_chance": table.error_by_chance,
        "confidence": None if latest is None else latest[1],
        "calibrated": calibrated,
    }


def _bin(part: ReliabilityBin) -> list[float]:
    return [part.mean_confidence, part.signals, part.share_right, part.band_low, part.band_high]


def _pace(record: Record, base: BaseRate, evidence: SkillEvidence | None) -> dict[str, Any]:
    if evidence is None:
        return {"signals_needed": None, "days_needed": None}
    # Runs by hand or at past moments stop when somebody stops: what passed since then is no part of their pace.
    until_ms = record.until_ms if record.kind == "live" else int(record.judged.exit_ms.max(initial=0))
    time = time_to_show(evidence, base.weighted, outcomes_per_day(record.judged, until_ms))
    days = time.days if record.kind in {"live", "replay"} else None  # by hand, the next one comes when somebody likes
    return {"signals_needed": time.outcomes, "days_needed": days}


def _window(record: Record, base: BaseRate) -> str | None:
    """Say what so many signals can show, where no more of them come."""
    if record.kind != "replay" or not record.judged.directed.any():
        return None
    signals = len(non_overlapping(record.judged, record.judged.directed))
    known = independent_before(record.terms.timeframe, record.terms.horizon_s)
    return window_shows(signals, known, base.weighted)


def _costs(record: Record, signals: JudgedSignals) -> dict[str, Any]:
    """Return what the record cost; a cost that leaves unknown ones out is no price of anything."""
    spent = None if record.cost_unknown else record.cost_usd
    right, net_pct = int(signals.right.sum()), 100 * float(signals.net.sum())
    return {
        "cost_usd": record.cost_usd,
        "cost_unknown": record.cost_unknown,
        "usd_per_right_signal": None if spent is None or not right else spent / right,
        "usd_per_net_pct": None if spent is None or net_pct <= 0 else spent / net_pct,
    }


def _bounds(interval: Interval | None, factor: float = 1) -> Bounds | None:
    return None if interval is None else (factor * interval.low, factor * interval.high)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _rounded(value: Any, digits: int = DIGITS) -> Any:
    if isinstance(value, float):
        return significant(value, digits)
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    return [_rounded(item, digits) for item in value] if isinstance(value, list | tuple) else value
