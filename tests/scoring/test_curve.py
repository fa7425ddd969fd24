"""The curve of a record, against a plain loop that keeps an account of each open signal."""

from pathlib import Path

import anyio
import numpy as np
import pytest

from mcp_server.domain.rules.series import BUY, HOLD
from mcp_server.domain.scoring.curve import open_at_once, record_curve
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.thinned import thinned
from mcp_server.domain.timeframes import from_ms
from mcp_server.scoring import performance
from mcp_server.scoring.performance import Scoring
from mcp_server.scoring.question import PerformanceQuestion
from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.scoring.journal import MadeRun, database_of, enter_runs, write_strategy
from tests.scoring.made import DAY_MS, HOUR_MS, judged
from tests.scoring.made_exchange import MadeExchange, market_of, walk


def by_hand(
    signals: JudgedSignals, entry: list[float], exit_: list[float], parts: int
) -> list[tuple[int, float, float]]:
    """Walk through time: at each exit add what the signal gained on its part of a capital of 1."""
    order = sorted(range(len(signals)), key=lambda at: (signals.exit_ms[at], at))
    first = min(
        (at for at in range(len(signals)) if signals.signal[at] != HOLD), key=lambda at: (signals.entry_ms[at], at)
    )
    capital, points = 1.0, {int(signals.entry_ms[first]): (0.0, 0.0)}
    for at in order:
        if signals.signal[at] == HOLD:
            continue
        stake = 1.0 / parts
        gross = exit_[at] / entry[at] - 1
        paid = gross - signals.funding[at]
        capital += stake * ((paid if signals.signal[at] == BUY else -paid) - signals.cost[at])
        points[int(signals.exit_ms[at])] = (100 * (capital - 1), 100 * (exit_[at] / entry[first] - 1))
    return [(time, *values) for time, values in sorted(points.items())]


@pytest.mark.parametrize("horizon_h", [1, 4, 5])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_each_signal_stakes_an_equal_part_and_holding_holds(horizon_h: int, count: int) -> None:
    rng = np.random.default_rng(count + horizon_h)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count + horizon_h + 1)))
    entry, exit_ = close[:count], close[horizon_h : count + horizon_h]
    letters = "".join(rng.choice(list("BSH"), count - 1)) + "B"
    every, horizon = {"every_ms": HOUR_MS, "horizon_ms": horizon_h * HOUR_MS}, horizon_h
    signals = judged(letters, exit_ / entry - 1, **every)
    curve = record_curve(signals, entry, exit_, HOUR_MS)
    assert curve is not None
    assert curve.parts == horizon
    points = list(zip(curve.time_ms.tolist(), curve.record_pct, curve.holding_pct, strict=True))
    expected = by_hand(signals, entry.tolist(), exit_.tolist(), curve.parts)
    assert np.array(points) == pytest.approx(np.array(expected), rel=1e-9, abs=1e-9)


def test_a_gain_of_a_fourth_of_the_capital_counts_for_a_fourth_and_a_hold_for_nothing() -> None:
    signals = judged("BHS", [0.04, 0.5, -0.02], every_ms=HOUR_MS, horizon_ms=4 * HOUR_MS, cost=0.0)
    prices = np.array([100.0, 100.0, 100.0]), np.array([104.0, 150.0, 98.0])
    curve = record_curve(signals, *prices, HOUR_MS)
    assert curve is not None
    assert curve.parts == 4
    assert curve.record_pct.tolist() == pytest.approx([0, 1.0, 1.5])
    assert curve.holding_pct.tolist() == pytest.approx([0, 4.0, -2.0])


def test_parts_are_rounded_up_and_without_a_schedule_are_as_many_as_really_were_open() -> None:
    signals = judged("BB", [0.01, 0.01], every_ms=2 * DAY_MS, horizon_ms=5 * HOUR_MS)
    prices = np.ones(2), np.ones(2)
    parts = [record_curve(signals, *prices, interval) for interval in (2 * HOUR_MS, 5 * HOUR_MS, None)]
    assert [curve.parts for curve in parts if curve] == [3, 1, 1]
    together = judged("BB", [0.01, 0.01], every_ms=HOUR_MS, horizon_ms=5 * HOUR_MS)
    curve = record_curve(together, *prices, None)
    assert curve is not None
    assert curve.parts == 2


def test_a_late_answer_never_makes_the_stakes_more_than_the_capital() -> None:
    entry, exit_ = np.array([1, 1, 2]) * HOUR_MS, np.array([3, 3, 4]) * HOUR_MS
    late = judged("BBB", [0.01] * 3)
    signals = JudgedSignals(
        late.execution_id, entry, entry, exit_, late.signal, late.r, late.cost, late.funding, late.confidence
    )
    curve = record_curve(signals, np.ones(3), np.ones(3), HOUR_MS)
    assert curve is not None
    assert curve.parts == 3, "two of a slot's interval, and one that came late"


def test_one_that_is_left_makes_room_for_one_that_is_entered_then() -> None:
    assert open_at_once(np.array([0, 5, 10]), np.array([5, 10, 15])) == 1
    assert open_at_once(np.array([0, 4, 10]), np.array([5, 10, 15])) == 2


def test_nothing_judged_has_no_curve_and_what_has_no_price_is_left_out() -> None:
    assert record_curve(JudgedSignals.none(), np.empty(0), np.empty(0), None) is None
    assert record_curve(judged("H", [0.01]), np.ones(1), np.ones(1), None) is None
    curve = record_curve(judged("BB", [0.02, np.nan]), np.ones(2), np.array([1.02, np.nan]), DAY_MS)
    assert curve is not None
    assert curve.record_pct.tolist() == pytest.approx([0, 1.7])


def test_of_many_points_the_extremes_the_first_and_the_last_stay() -> None:
    rng = np.random.default_rng(4)
    curves = [np.cumsum(rng.normal(0, 1, 10_000)) for _ in range(2)]
    kept = thinned(curves)
    assert len(kept) <= 400
    assert (kept[0], kept[-1]) == (0, 9_999)
    assert np.all(np.diff(kept) > 0)
    for curve in curves:
        assert {int(curve.argmin()), int(curve.argmax())} <= set(kept.tolist())
        parts = np.array_split(np.arange(1, 9_999), 99)
        assert all({int(part[curve[part].argmax()]), int(part[curve[part].argmin()])} <= set(kept) for part in parts)
    assert thinned([np.arange(400.0)]).tolist() == list(range(400))
    assert len(thinned([np.arange(401.0), np.zeros(401), np.ones(401)])) <= 400


async def _nobody(_done: int, _of: int, _doing: str) -> None:
    """Tell nobody how far it is."""


async def test_who_looks_at_a_curve_does_not_wait_for_a_slow_exchange(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be judged in a short time is pending, and a note says why; other questions take their time."""
    for name in ("SHORT_SETTLE_S", "SHORT_GATHER_S"):
        monkeypatch.setattr(performance, name, 0.05)
    exchange = MadeExchange()
    exchange.series["BTC/USD", "1h"] = walk(1)
    exchange.held = "candles"
    strategy = write_strategy(home, config={"exchange": "made"})
    enter_runs(home, strategy, [MadeRun(exchange.now_ms - 50 * HOUR_MS, "BUY")])
    market, journal = market_of(exchange, home), Journal(database_of(home), Home(home))
    scoring = Scoring(market, journal, StrategyFolders(Home(home), home / "none"), "made")
    now = from_ms(exchange.now_ms)
    with anyio.fail_after(10):
        scored = await scoring.answer(PerformanceQuestion(now, now, "mine", curve=True), _nobody)
    assert (scored.scores[0]["pending"], scored.curve["rows"]) == (1, [])
    assert "cannot be judged yet" in " ".join(scored.notes)
