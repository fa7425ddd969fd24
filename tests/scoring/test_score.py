"""A record's score: by hand where it can be, never NaN, and no price that leaves an unknown cost out."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.series import BUY, SELL
from mcp_server.domain.scoring.compare import agent_scores, correlation, twin_score
from mcp_server.domain.scoring.keys import Kind
from mcp_server.domain.scoring.record import RecordControls
from mcp_server.domain.scoring.score import score
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.strategy.format import StopRule
from tests.scoring.made import DAY_MS, HOUR_MS, START_MS, TERMS, codes, judged, record

CANDLES = 6_000


def walk(seed: int, count: int = CANDLES) -> Candles:
    """A driftless walk that begins 2,000 hours before the first signal."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.006, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    times = START_MS + HOUR_MS * np.arange(-2_000, count - 2_000, dtype=np.int64)
    return Candles(times, opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(count))


def on(candles: Candles, *, share_right: float, every: int = 8, horizon: int = 4, seed: int = 1) -> JudgedSignals:
    """Signals on a walk, of which the market bears out about this share, net of costs."""
    rng = np.random.default_rng(seed)
    at = np.arange(2_000, len(candles) - horizon, every)
    r = candles.close[at + horizon - 1] / candles.open[at] - 1
    knows = np.where(r > 0, BUY, SELL)
    signal = np.where(rng.random(len(at)) < share_right, knows, -knows).astype(np.int8)
    entry = candles.open_time_ms[at]
    known = judged("B" * len(at), r.tolist())
    return replace(known, signal=signal, entry_ms=entry, decided_ms=entry, exit_ms=entry + horizon * HOUR_MS)


def test_dollars_are_counted_by_right_signal_and_by_net_per_cent() -> None:
    """Right: +1 % and -2 % sold; wrong: +0.1 %. Net in all: 0.7 - 0.2 + 1.7 = 2.2 %."""
    told = score(record(judged("BBS", [0.01, 0.001, -0.02]), cost_usd=1.1), RecordControls())
    assert (told["right"], told["cost_usd"]) == (2, 1.1)
    assert told["usd_per_right_signal"] == pytest.approx(0.55)
    assert told["usd_per_net_pct"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("letters", "r", "cost", "unknown"),
    [("BB", [0.01, 0.01], None, 2), ("BB", [0.01, 0.01], 0.2, 1), ("BB", [-0.01, -0.01], 0.2, 0)],
)
def test_no_price_is_told_of_what_was_not_gained_or_not_known(
    letters: str, r: list[float], cost: float | None, unknown: int
) -> None:
    told = score(record(judged(letters, r), cost_usd=cost, cost_unknown=unknown), RecordControls())
    assert (told["usd_per_right_signal"], told["usd_per_net_pct"]) == (None, None)
    assert (told["cost_usd"], told["cost_unknown"]) == (cost, unknown)


def test_holding_is_compared_at_the_same_moments_without_costs() -> None:
    told = score(record(judged("BSH", [0.02, 0.01, 0.5])), RecordControls())
    assert told["hold_pct"] == pytest.approx((2 + 1) / 2)
    assert told["hold_difference_pct"] == pytest.approx(((1.7 - 2) + (-1.3 - 1)) / 2)


def test_without_candles_the_evidence_is_unknown_and_with_few_signals_too_few() -> None:
    signals = on(walk(1), share_right=1)
    assert score(record(signals), RecordControls())["evidence"] == "unknown"
    few = signals.pick(np.arange(len(signals)) < 29)
    assert score(record(few), RecordControls())["evidence"] == "too_few"
    assert score(record(few), RecordControls())["calibration"] is None


def test_skill_is_proven_and_its_absence_is_not() -> None:
    candles = walk(2)
    controls = RecordControls(candles)
    skilled = score(record(on(candles, share_right=0.95)), controls)
    assert skilled["evidence"] == "skill"
    assert skilled["e_value"] is not None
    assert skilled["e_value"] >= 20
    assert skilled["hit_rate"] is not None
    assert skilled["base_rate"] is not None
    assert skilled["hit_rate"] > skilled["base_rate"] + 0.2
    blind = score(record(on(candles, share_right=0.5)), controls)
    assert blind["evidence"] == "none_yet"
    assert blind["e_value"] is not None
    assert blind["e_value"] < 20


@pytest.mark.parametrize(("kind", "paced"), [("live", True), ("replay", True), ("manual", False), ("host", False)])
def test_runs_that_somebody_starts_have_no_pace_and_only_their_signals_are_counted(kind: Kind, paced: bool) -> None:
    candles = walk(2)
    by_kind = replace(record(on(candles, share_right=0.5)), kind=kind)
    waiting = score(by_kind, RecordControls(candles))
    assert waiting["signals_needed"] is not None
    assert (waiting["days_needed"] is not None) is paced


def test_skill_that_was_proven_once_stays_proven() -> None:
    """By Ville's inequality it is enough that the e-value has ever reached 20."""
    candles = walk(2)
    begins = on(candles, share_right=0.95)
    opposite = np.where(np.arange(len(begins)) < 100, begins.signal, -begins.signal).astype(np.int8)
    told = score(record(replace(begins, signal=opposite)), RecordControls(candles))
    assert told["e_value"] is not None
    assert told["e_value"] < 20
    assert told["evidence"] == "skill"


def test_a_stop_that_is_reached_comes_before_all_else() -> None:
    losing = judged("B" * 200, [-0.01, 0.001] * 100)
    stop = StopRule(no_skill=0.05, minimum_edge_pct=0.1)
    told = score(record(losing), RecordControls(stop=stop))
    assert told["stop"] is not None
    assert told["stop"]["limit"] == 20
    assert told["stop"]["reached"] is True
    assert told["evidence"] == "no_skill"
    gaining = score(record(judged("B" * 200, [0.02, 0.01] * 100)), RecordControls(stop=stop))
    assert gaining["stop"] is not None
    assert gaining["stop"]["reached"] is False
    assert gaining["evidence"] != "no_skill"


def test_a_stop_that_was_reached_once_stays_reached() -> None:
    fell_and_rose = judged("B" * 600, [-0.01, 0.001] * 100 + [0.03, 0.02] * 200)
    stop = score(record(fell_and_rose), RecordControls(stop=StopRule()))["stop"]
    assert stop is not None
    assert stop["e_value"] < stop["limit"] <= stop["highest"]
    assert stop["reached"] is True


def test_a_stop_tells_the_outcomes_that_decided_it_and_none_that_came_after_them() -> None:
    r = [-0.01, 0.001] * 100 + [0.03, 0.02] * 200
    stops = [
        score(record(judged("B" * count, r[:count])), RecordControls(stop=StopRule()))["stop"] for count in (200, 600)
    ]
    at_once, later = ((stop["judged"], stop["mean_net_pct"]) for stop in stops if stop is not None)
    assert later == at_once
    assert at_once[0] < 180
    assert later[1] is not None
    assert later[1] < 0


def test_a_calibrated_confidence_lies_between_the_base_rate_and_what_was_stated() -> None:
    """A confidence of 99 that is right in some 70 of 100."""
    candles = walk(3)
    signals = replace(on(candles, share_right=0.8), confidence=np.full(500, 0.99))
    told = score(record(signals, latest=(BUY, 0.99)), RecordControls(candles))
    assert told["calibration"] is not None
    assert told["calibration"]["confidence"] == 0.99
    calibrated, buys = told["calibration"]["calibrated"], told["base_rates"]["buy"]
    assert calibrated is not None
    assert buys is not None
    assert told["hit_rate"] is not None
    assert min(buys, told["hit_rate"]) <= calibrated <= max(buys, told["hit_rate"]) < 0.99
    assert score(record(signals, latest=(BUY, 0.99)), RecordControls(candles), brief=True)["calibration"] is None


def test_the_brier_skill_is_against_each_directions_base_rate() -> None:
    candles = walk(4)
    signals = replace(on(candles, share_right=0.7), confidence=np.full(500, 0.6))
    told = score(record(signals), RecordControls(candles))
    buys, sells = told["base_rates"]["buy"], told["base_rates"]["sell"]
    assert buys is not None
    assert sells is not None
    rates = np.where(signals.signal == BUY, buys, sells)
    mine, base = np.mean((0.6 - signals.right) ** 2), np.mean((rates - signals.right) ** 2)
    assert told["brier"] == pytest.approx(mine, rel=1e-5)
    assert told["brier_skill"] == pytest.approx(1 - mine / base, rel=1e-3)


def test_a_twin_is_judged_by_the_same_return_and_a_hold_brings_nothing() -> None:
    """The model: +0.7, HOLD, -1.3, HOLD. The twin: the same, +1.7, HOLD, HOLD; once it said nothing."""
    signals = judged("BHSHB", [0.01, 0.02, 0.01, 0.02, 0.03])
    twin = twin_score(signals, codes("BBHH-"), DAY_MS)
    assert twin is not None
    assert (twin["judged"], twin["hit_rate"], twin["moments"]) == (2, 1, 3)
    assert twin["difference_pct"] == pytest.approx((0 - 1.7 - 1.3) / 3)
    assert twin["difference_ci95"] is None
    assert twin_score(signals, codes("-----"), DAY_MS) is None


def test_a_twin_that_says_the_same_differs_by_nothing() -> None:
    rng = np.random.default_rng(1)
    signals = judged("BSHBSSHB" * 20, rng.normal(0, 0.02, 160).tolist())
    twin = twin_score(signals, signals.signal, DAY_MS)
    assert twin is not None
    assert (twin["difference_pct"], twin["difference_ci95"]) == (0, (0, 0))


def test_the_interval_of_a_twins_difference_covers_it_and_is_missing_while_it_is_short() -> None:
    rng = np.random.default_rng(2)
    letters = "".join(rng.choice(list("BSH"), 300))
    signals = judged(letters, rng.normal(0, 0.02, 300).tolist())
    twin = twin_score(signals, rng.permutation(signals.signal), DAY_MS)
    assert twin is not None
    assert twin["difference_ci95"] is not None
    assert twin["difference_pct"] is not None
    assert twin["difference_ci95"][0] < twin["difference_pct"] < twin["difference_ci95"][1]


def test_an_agents_leaning_is_correlated_with_the_return_where_it_was_stated() -> None:
    """It leans BUY, HOLD, SELL in turn; where it leans BUY the market gains 2 %, where SELL it loses 1 %."""
    signals = judged("BSH" * 20, [0.02, 0.001, -0.01] * 20)
    leans = np.concatenate([codes("BHS" * 15), codes("---" * 5)])
    whales = agent_scores(signals, {"whales": leans})["whales"]
    stated = np.array([1, 0, -1] * 15), np.array([0.02, 0.001, -0.01] * 15)
    assert (whales["judged"], whales["agrees"]) == (30, 1)
    assert whales["correlation"] == pytest.approx(np.corrcoef(*stated)[0, 1])
    few = agent_scores(signals, {"whales": np.concatenate([codes("BHS" * 14), codes("---" * 6)])})["whales"]
    assert few == {"judged": 28, "agrees": None, "correlation": None}


def test_an_agent_that_always_leans_one_way_is_correlated_with_nothing() -> None:
    signals = judged("B" * 40, np.linspace(-0.02, 0.02, 40).tolist())
    always = agent_scores(signals, {"bull": codes("B" * 40)})["bull"]
    assert always["correlation"] is None
    assert always["agrees"] == pytest.approx(np.mean(np.linspace(-0.02, 0.02, 40) > 0.003))
    assert correlation(np.full(50, 0.1), np.arange(50.0)) is None


@settings(max_examples=60, deadline=None)
@given(
    letters=st.text("BSH", max_size=60),
    seed=st.integers(0, 1_000),
    kind=st.sampled_from(["random", "same", "none"]),
    with_candles=st.booleans(),
)
def test_no_figure_is_ever_nan_whatever_the_record(letters: str, seed: int, kind: str, with_candles: bool) -> None:
    rng = np.random.default_rng(seed)
    r = np.zeros(len(letters)) if kind == "none" else rng.normal(0, 0.02, len(letters))
    r = np.full(len(letters), 0.01) if kind == "same" else r
    confidence = np.where(rng.random(len(letters)) < 0.3, np.nan, rng.random(len(letters)))
    signals = judged(letters, r.tolist(), confidence=confidence.tolist() if letters else np.nan)
    shuffled = rng.permutation(signals.signal)
    controls = RecordControls(walk(7, 3_000) if with_candles else None, None, shuffled, {"a": shuffled}, StopRule())
    told = score(record(signals, latest=(SELL, 0.3)), controls)
    json.dumps(told, allow_nan=False)
    assert told["judged"] + told["pending"] + told["void"] == told["signals"]["buy"] + told["signals"]["sell"]
    assert 0 <= told["right"] <= told["judged"]
    assert (told["hit_rate"] is None) == (told["judged"] == 0)
    for name in ("hit_rate_ci95", "mean_net_ci95", "hold_difference_ci95"):
        interval = dict(told)[name]
        assert interval is None or (isinstance(interval, list | tuple) and interval[0] <= interval[1])
    assert told["evidence"] != "none_yet" or told["judged"] >= 30
    assert not any(isinstance(value, float) and not math.isfinite(value) for value in told.values())


def test_a_record_of_another_horizon_is_judged_by_the_longest() -> None:
    """A shorter horizon on top would make intervals too narrow."""
    signals = judged("BS" * 100, [0.01, 0.01] * 100)
    longer = replace(signals, exit_ms=signals.exit_ms + np.where(np.arange(200) == 7, 60 * DAY_MS, 0))
    assert score(record(signals), RecordControls())["mean_net_ci95"] is not None
    assert score(record(longer), RecordControls())["mean_net_ci95"] is None
    assert score(record(signals), RecordControls())["horizon_s"] == TERMS.horizon_s
