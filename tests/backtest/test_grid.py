"""The answer of a sweep: each variant with what it is worth after all that was tried, and sentences on all of them."""

from typing import Any

import pytest

from mcp_server.domain.backtest.grid import TriedRow, grid_answer
from mcp_server.domain.backtest.vary import Variant
from mcp_server.domain.backtest.walk_forward import Fold, WalkForward
from mcp_server.domain.strategy.parse import parse_strategy

IDEA = parse_strategy("idea", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 30"}}, None)
SHARED: dict[str, Any] = {
    "strategy_name": "idea", "exchange": "kraken", "symbol": "BTC/USD", "timeframe": "1h", "candles": 9_000,
    "start": "2025-01-01T00:00Z", "end": "2026-01-11T00:00Z", "missing": 0, "missing_fundings": None, "side": "long",
    "fee_bps": 10.0, "slippage_bps": 5.0, "stake_pct": None, "buy_and_hold_pct": 40.0, "trials": 12,
}  # fmt: skip


def row(value: int, return_pct: float, deflated: float | None, changed: int = 0) -> TriedRow:
    answer = SHARED | {
        "backtest_id": value, "version": f"v{value}", "return_pct": return_pct, "max_drawdown_pct": 20.0, "trades": 9,
        "win_rate_pct": 50.0, "sharpe": None if deflated is None else deflated - 0.5, "sharpe_probabilistic": deflated,
        "sharpe_deflated": deflated, "controls": {"random_percentile": 40.0},
        "look_ahead": {"checked": 200, "decisions": 3, "changed": changed},
    }  # fmt: skip
    return TriedRow(Variant((("30", str(value)),), IDEA), answer)


FAILED = TriedRow(Variant((("30", "99"),), IDEA), None, "It failed.")
ROWS = [row(1, -10.0, 0.2), row(2, 30.0, 0.7), FAILED, row(3, 50.0, 0.6)]


def summary(rows: list[TriedRow], walk: WalkForward | None = None, pbo: float | None = None) -> str:
    return " ".join(grid_answer(rows, walk, pbo)["summary"])


def test_all_variants_are_in_the_answer_in_the_order_of_the_grid_and_those_that_failed_too() -> None:
    answer = grid_answer(ROWS, None, None)

    assert {name: answer[name] for name in SHARED} == SHARED
    assert [variant["variant"] for variant in answer["variants"]] == ["30 → 1", "30 → 2", "30 → 99", "30 → 3"]
    assert [variant["backtest_id"] for variant in answer["variants"]] == [1, 2, None, 3]
    assert [variant["sharpe_deflated"] for variant in answer["variants"]] == [0.2, 0.7, None, 0.6]
    assert [variant["error"] for variant in answer["variants"]] == [None, None, "It failed.", None]
    assert answer["variants"][1]["changes"] == {"30": "2"}


def test_the_best_is_the_one_with_the_best_deflated_figure_and_told_with_what_it_is_worth() -> None:
    text = summary(ROWS)

    assert "2 of 3 variants gained; a typical one (the median) gained 30.0 %; holding gained 40.0 %." in text
    assert "'30 → 2', gained 30.0 %" in text
    assert "12 variants tried" in text
    assert "70 %, below the usual bar of 95 %" in text
    assert "1 variant failed" in text
    assert "200 moments or more of each variant changed nothing earlier" in text


def test_a_best_variant_above_the_bar_is_told_so_and_one_without_a_figure_is_not_praised() -> None:
    assert "96 %, above the usual bar" in summary([row(1, 5.0, 0.96)])
    assert "94 %, below the usual bar" in summary([row(1, 5.0, 0.9499)])
    assert "to say what that is worth" in summary([row(1, 5.0, None)])


def test_what_is_missing_of_the_time_is_told_of_all_variants() -> None:
    lacking = [TriedRow(one.variant, {**one.answer, "missing": 3, "missing_fundings": 1}) for one in ROWS if one.answer]
    assert "Keep in mind: 3 candles missing; 1 funding not known, and so not paid." in summary(lacking)
    assert "Keep in mind" not in summary(ROWS)


def test_variants_that_look_ahead_are_named_first() -> None:
    leaks = row(4, 900.0, 0.999, changed=2)

    assert grid_answer([*ROWS, leaks], None, None)["summary"][0] == (
        "These variants look into the future, so their figures mean nothing: 30 → 4."
    )
    assert "The best one, '30 → 2'" in summary([*ROWS, leaks])
    assert "best one" not in summary([leaks])
    assert "No look-ahead" not in summary([*ROWS, leaks])


def test_the_walk_forward_names_the_variant_that_was_chosen_in_each_part() -> None:
    folds = tuple(
        Fold(start_ms=start, end_ms=start + 1, chosen=chosen, return_pct=-1.0, buy_and_hold_pct=2.0)
        for start, chosen in ((0, 1), (60_000, None), (120_000, 2))
    )
    walk = WalkForward(folds=folds, return_pct=-3.0, buy_and_hold_pct=6.0)
    answer = grid_answer(ROWS, walk, None)

    assert [fold["variant"] for fold in answer["walk_forward"]["folds"]] == ["30 → 2", None, "30 → 3"]
    assert answer["walk_forward"]["folds"][1]["start"] == "1970-01-01T00:01Z"
    assert "in each of 3 parts of the time" in " ".join(answer["summary"])
    assert "lost 3.0 %, while holding gained 6.0 %" in " ".join(answer["summary"])


@pytest.mark.parametrize(("pbo", "verdict"), [(0.62, "overfitting"), (0.11, "one of the better ones again")])
def test_the_probability_of_overfitting_is_told_in_words(pbo: float, verdict: str) -> None:
    text = summary(ROWS, pbo=pbo)

    assert f"In {pbo * 100:.0f} % of the ways" in text
    assert verdict in text
