"""Scores and records made up for tests: what a test does not name is plain and harmless."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED
from mcp_server.domain.scoring.keys import Score
from mcp_server.domain.scoring.record import Record
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.scoring.terms import DEFINITION, Terms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_767_225_600_000
"""2026-01-01."""

TERMS = Terms("simulated", "BTC/USDT", "1h", 24 * 3600, 30.0, DEFINITION, "0123456789ab")
CODES = {"B": BUY, "S": SELL, "H": HOLD, "-": UNDECIDED}


def codes(letters: str) -> Any:
    """Return the codes of signals: `BSH-`."""
    return np.array([CODES[letter] for letter in letters], dtype=np.int8)


def judged(
    letters: str,
    r: Sequence[float],
    *,
    every_ms: int = DAY_MS,
    horizon_ms: int = DAY_MS,
    cost: float = 0.003,
    confidence: Sequence[float] | float = np.nan,
) -> JudgedSignals:
    """Return judged signals, one each `every_ms`: `judged("BSH", [0.01, -0.02, 0.001])`."""
    count = len(letters)
    entry = START_MS + every_ms * np.arange(count, dtype=np.int64)
    stated = np.broadcast_to(np.asarray(confidence, dtype=np.float64), count)
    values = np.asarray(r, dtype=np.float64)
    same = (np.full(count, cost), np.zeros(count))
    return JudgedSignals(
        np.arange(1, count + 1), entry, entry, entry + horizon_ms, codes(letters), values, *same, stated
    )


def record(signals: JudgedSignals, **others: Any) -> Record:
    """Return a record of which every run gave a signal, at no cost."""
    counts = [int((signals.signal == code).sum()) for code in (BUY, SELL, HOLD)]
    until = int(signals.exit_ms.max(initial=START_MS)) + DAY_MS
    values = {"runs": len(signals), "missed": 0, "pending": 0, "void": 0, "cost_usd": 0.0, "cost_unknown": 0, **others}
    values |= {name: values.get(name, count) for name, count in zip(("buy", "sell", "hold"), counts, strict=True)}
    return Record(strategy_name="mine", kind="live", terms=TERMS, until_ms=until, judged=signals, **values)


def score_with(**figures: Any) -> Score:
    """Return a score of 100 judged signals without skill, with these figures in it."""
    score: Score = {
        "strategy_name": "mine", "summary": [], "sentence": "", "kind": "live", "decision_version": "0123456789ab",
        "exchange": "simulated", "symbol": "BTC/USDT", "timeframe": "1h", "horizon_s": 86_400, "cost_bps": 30.0,
        "left_out": None,
        "runs": 100, "missed": 0, "signals": {"buy": 60, "sell": 40, "hold": 0}, "coverage_pct": 100.0, "judged": 100,
        "pending": 0, "void": 0, "right": 47, "hit_rate": 0.47, "hit_rate_ci95": (0.35, 0.59), "base_rate": 0.45,
        "base_rates": {"buy": 0.476, "sell": 0.414}, "mean_net_pct": -0.05, "mean_net_ci95": (-0.4, 0.3),
        "hold_pct": 0.1, "hold_difference_pct": -0.15, "hold_difference_ci95": (-0.5, 0.2), "brier": None,
        "brier_skill": None, "e_value": 0.8, "evidence": "none_yet", "signals_needed": 400, "days_needed": 500.0,
        "window_shows": None, "beside": None,
        "holds": {"judged": 0, "quiet": 0}, "stop": None, "twin": None, "agents": None, "calibration": None,
        "cost_usd": 0.0, "cost_unknown": 0, "usd_per_right_signal": 0.0, "usd_per_net_pct": None, "earlier": [],
    }  # fmt: skip
    return {**score, **figures}  # type: ignore[typeddict-item]
