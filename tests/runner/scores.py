"""Scores to show in tests, with the keys of the tool."""

from typing import Any

from mcp_server.domain.scoring.keys import Score

EMPTY: Score = {
    "strategy_name": "rsi-idea", "summary": ["There is no BUY or SELL signal to judge yet."],
    "sentence": "none judged yet", "kind": "live", "decision_version": "0123456789ab", "exchange": "coinbase",
    "symbol": "BTC/USD", "timeframe": "4h", "horizon_s": 86_400, "cost_bps": 30.0, "runs": 0, "missed": 0,
    "left_out": None,
    "signals": {"buy": 0, "sell": 0, "hold": 0}, "coverage_pct": None, "judged": 0, "pending": 0, "void": 0,
    "right": 0, "hit_rate": None, "hit_rate_ci95": None, "base_rate": None, "base_rates": {"buy": None, "sell": None},
    "mean_net_pct": None, "mean_net_ci95": None, "hold_pct": None, "hold_difference_pct": None,
    "hold_difference_ci95": None, "brier": None, "brier_skill": None, "e_value": None, "evidence": "too_few",
    "signals_needed": None, "days_needed": None, "window_shows": None, "beside": None,
        "holds": {"judged": 0, "quiet": 0}, "stop": None, "twin": None,
    "agents": None, "calibration": None, "cost_usd": None, "cost_unknown": 0, "usd_per_right_signal": None,
    "usd_per_net_pct": None, "earlier": [],
}  # fmt: skip

WHOLE: Score = {
    **EMPTY,
    "summary": ["There is no evidence of skill yet in 120 judged signals.", "66 of 120 were right (55 %)."],
    "sentence": "120 judged, 55 % right (any such moment: 46 %): no evidence of skill yet",
    "runs": 412, "missed": 3, "signals": {"buy": 70, "sell": 55, "hold": 260}, "coverage_pct": 93.446,
    "judged": 120, "pending": 4, "void": 1, "right": 66, "hit_rate": 0.55, "hit_rate_ci95": (0.437, 0.6581),
    "base_rate": 0.4561, "base_rates": {"buy": 0.476, "sell": 0.414}, "mean_net_pct": 0.1234,
    "mean_net_ci95": (-0.51, 0.758), "hold_pct": 0.3, "hold_difference_pct": -0.177,
    "hold_difference_ci95": (-0.9, 0.546), "brier": 0.2512, "brier_skill": -0.013, "e_value": 1.8312,
    "evidence": "none_yet", "signals_needed": 1_211, "days_needed": 1_009.2, "holds": {"judged": 250, "quiet": 61},
    "stop": {
        "e_value": 0.4123, "highest": 1.25, "limit": 20.0, "minimum_edge_pct": 0.0, "judged": 80,
        "mean_net_pct": 0.11, "reached": False,
    },
    "twin": {
        "judged": 101, "hit_rate": 0.5149, "moments": 114, "difference_pct": 0.083, "difference_ci95": (-0.2, 0.366),
    },
    "agents": {
        "technical-analyst": {"judged": 98, "agrees": 0.5612, "correlation": 0.1012},
        "whales": {"judged": 12, "agrees": None, "correlation": None},
    },
    "calibration": {
        "bins": [[0.55, 40, 0.5, 0.4, 0.7], [0.65, 50, 0.42, 0.52, 0.78], [0.75, 30, 0.8333, 0.5667, 0.9]],
        "error": 0.0912, "error_by_chance": 0.1103, "confidence": 0.72, "calibrated": 0.5316,
    },
    "cost_usd": 12.34, "cost_unknown": 2, "usd_per_right_signal": 0.187, "usd_per_net_pct": 0.833,
    "earlier": [{"decision_version": "ba9876543210", "runs": 51, "judged": 18}],
}  # fmt: skip


def row(**keys: Any) -> Score:
    """Make a score that differs in these keys."""
    return {**WHOLE, **keys}  # type: ignore[typeddict-item]


COLUMNS = (
    "strategy_name", "runs", "signals", "coverage_pct", "judged", "pending", "void", "right", "hit_rate",
    "hit_rate_ci95", "base_rate", "mean_net_pct", "mean_net_ci95", "brier_skill", "e_value", "evidence", "hold_pct",
    "cost_usd", "cost_unknown",
)  # fmt: skip


def table(*scores: Score, runs: str = "live", **others: Any) -> dict[str, Any]:
    """Make the answer about several records."""
    columns = ["strategy_name", "kind", *COLUMNS[1:]] if runs == "all" else [*COLUMNS]
    rows = [[sum(score["signals"].values()) if key == "signals" else score[key] for key in columns] for score in scores]  # type: ignore[literal-required]
    return {"kind": runs, "columns": columns, "rows": rows, **others}
