"""The base rate, and what was known of it at each entry: against pandas on real candles, and against a plain loop."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.series import BUY, HOLD, SELL
from mcp_server.domain.scoring.base_rate import LEAST_MOMENTS, base_rate, known_shares
from mcp_server.domain.scoring.signals import JudgedSignals
from tests.rigs.sampled import sampled
from tests.scoring.walks import HOUR_MS, record, walk

REAL = Path(__file__).parents[3] / "shared" / "data" / "coinbase-BTC-USD-1h.csv"


@pytest.mark.skipif(not REAL.exists(), reason="real candles lie beside a developer's checkout only")
@pytest.mark.parametrize(("hours", "buy_pct", "sell_pct"), [(24, 47.6, 41.4), (4, 36.8, 32.4)])
def test_on_real_candles_the_base_rates_are_those_that_pandas_computes(
    hours: int, buy_pct: float, sell_pct: float
) -> None:
    rows = pd.read_csv(REAL)
    candles = Candles(
        rows["timestamp"].to_numpy(), *(rows[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    )
    ends = np.array([0, len(rows) - hours])
    rate = base_rate(candles, "1h", record(candles, ends, [BUY, SELL], hours))
    change = (rows["close"].shift(1 - hours) / rows["open"] - 1).dropna()
    assert rate.moments == len(change)
    assert rate.buy == pytest.approx((change > 0.003).mean(), abs=1e-12)
    assert rate.sell == pytest.approx((change < -0.003).mean(), abs=1e-12)
    assert rate.buy == pytest.approx(buy_pct / 100, abs=0.0005)
    assert rate.sell == pytest.approx(sell_pct / 100, abs=0.0005)
    assert rate.weighted == pytest.approx(np.mean([change > 0.003, change < -0.003]))


def with_gaps(rng: np.random.Generator, count: int) -> Candles:
    """A walk without some of its candles."""
    whole = walk(rng, count)
    there = rng.random(count) > 0.1
    columns = (whole.open, whole.high, whole.low, whole.close, whole.volume)
    return Candles(whole.open_time_ms[there], *(column[there] for column in columns))


def mixed_record(rng: np.random.Generator, candles: Candles, horizons: tuple[int, ...]) -> JudgedSignals:
    """Signals of several horizons and costs at any of the candles, in order of their entries."""
    entry_ms = np.sort(rng.choice(candles.open_time_ms, 60, replace=False))
    length = rng.choice(horizons, 60) * HOUR_MS
    some = np.zeros(60)
    signal = rng.choice(np.array([BUY, SELL, HOLD], dtype=np.int8), 60)
    cost = rng.choice([0.0, 0.003, 0.01], 60)
    return JudgedSignals(np.arange(60), entry_ms, entry_ms, entry_ms + length, signal, some, cost, some, some)


def moments_plainly(
    candles: Candles, horizon_ms: int, cost: float, fundings: dict[int, np.ndarray] | None
) -> list[tuple[int, dict[int, bool]]]:
    """Each candle with a candle at its exit: when it opens, and which directions would have been right."""
    closes = {
        at + HOUR_MS: price for at, price in zip(candles.open_time_ms.tolist(), candles.close.tolist(), strict=True)
    }
    moments = []
    for place, (at, opened) in enumerate(zip(candles.open_time_ms.tolist(), candles.open.tolist(), strict=True)):
        paid = 0.0 if fundings is None else float(fundings[horizon_ms][place])
        if at + horizon_ms in closes and not np.isnan(paid):
            r = closes[at + horizon_ms] / opened - 1
            moments.append((at, {BUY: r - paid - cost > 0, SELL: paid - r - cost > 0}))
    return moments


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("seed", sampled(range(4), 4))
def test_shares_are_those_of_a_plain_loop_over_candles_with_gaps(seed: int, swap: bool) -> None:
    rng = np.random.default_rng(seed)
    candles = with_gaps(rng, 1_600)
    judged = mixed_record(rng, candles, (1, 7))
    fundings = None
    if swap:
        some = rng.normal(0, 0.003, len(candles))
        fundings = {hours * HOUR_MS: np.where(rng.random(len(candles)) < 0.05, np.nan, some) for hours in (1, 7)}
    shares, rate = known_shares(candles, "1h", judged, fundings), base_rate(candles, "1h", judged, fundings)
    first, last = judged.entry_ms[judged.directed].min(), judged.entry_ms[judged.directed].max()
    weighted = []
    for row in range(len(judged)):
        side, at = int(judged.signal[row]), int(judged.entry_ms[row])
        if side == HOLD:
            assert np.isnan([shares.share[row], shares.limit[row]]).all()
            assert shares.kind[row] == -1
            continue
        horizon_ms = int(judged.exit_ms[row]) - at
        moments = moments_plainly(candles, horizon_ms, float(judged.cost[row]), fundings)
        known = [right[side] for opened, right in moments if opened + horizon_ms <= at]
        assert shares.independent[row] == pytest.approx(len(known) * HOUR_MS / horizon_ms)
        if len(known) < LEAST_MOMENTS:
            assert np.isnan([shares.share[row], shares.limit[row]]).all()
        else:
            assert shares.share[row] == pytest.approx(np.mean(known), abs=1e-12)
        before = [right[side] for opened, right in moments if opened < at]
        after = [right[side] for opened, right in moments if opened + horizon_ms <= judged.exit_ms[row]]
        assert (shares.right_before[row], shares.moments_before[row]) == (sum(before), len(before))
        assert (shares.right_after[row], shares.moments_after[row]) == (sum(after), len(after))
        until = [right for opened, right in moments if opened <= last]
        span = [right for opened, right in moments if first <= opened <= last]
        weighted.append([right[side] for right in max(span, until[-LEAST_MOMENTS:], key=len)])
    assert 0 < np.isfinite(shares.limit[judged.directed]).mean() < 1
    assert rate.weighted == pytest.approx(np.mean([np.mean(right) for right in weighted]), abs=1e-12)
    assert rate.moments == max(map(len, weighted))


def test_a_record_that_spans_little_is_compared_with_the_thousand_moments_up_to_its_end() -> None:
    candles = walk(np.random.default_rng(1), 3_000)
    at = np.arange(2_500, 2_510)
    rate = base_rate(candles, "1h", record(candles, at, [BUY] * 10, 6))
    up_to_its_end = record(candles, np.arange(1_510, 2_510), [BUY] * 1_000, 6)
    assert rate.moments == LEAST_MOMENTS
    assert rate.buy == rate.weighted == pytest.approx(up_to_its_end.right.mean())


def test_a_record_of_holds_alone_and_one_without_candles_have_no_base_rate() -> None:
    candles = walk(np.random.default_rng(1), 1_200)
    holds = record(candles, np.arange(1_100, 1_110), [HOLD] * 10, 6)
    assert base_rate(candles, "1h", holds).weighted is None
    assert np.isnan(known_shares(candles, "1h", holds).limit).all()
    buys = record(candles, np.arange(1_100, 1_110), [BUY] * 10, 6)
    rate = base_rate(Candles.empty(), "1h", buys)
    assert (rate.buy, rate.sell, rate.weighted, rate.moments) == (None, None, None, 0)
    assert np.isnan(known_shares(Candles.empty(), "1h", buys).limit).all()


def test_later_candles_change_nothing_that_was_known_at_an_entry() -> None:
    candles = walk(np.random.default_rng(2), 2_000)
    judged = record(candles, np.arange(1_100, 1_500), np.tile([BUY, SELL], 200), 24)
    now = known_shares(candles, "1h", judged)
    then = known_shares(candles.slice(0, 1_523), "1h", judged)
    assert (now.limit == then.limit).all()
    assert (now.right_after == then.right_after).all()


def test_in_99_of_100_markets_the_limit_is_above_the_true_share_though_horizons_overlap() -> None:
    rng = np.random.default_rng(3)
    below, hours, markets = 0, 24, 400
    for _ in range(markets):
        candles = walk(rng, 1_100)
        shares = known_shares(candles, "1h", record(candles, np.array([1_050]), [BUY], hours, 0.0))
        assert shares.independent[0] == pytest.approx(1_027 / hours)
        below += shares.limit[0] < 0.5
    assert below / markets <= 0.015


def test_the_limit_is_that_of_wilson() -> None:
    candles = walk(np.random.default_rng(4), 1_200)
    shares = known_shares(candles, "1h", record(candles, np.array([1_150]), [SELL], 10))
    share, independent, limit = shares.share[0], shares.independent[0], shares.limit[0]
    # The limit is the true share of which the seen one lies 2.326 deviations below.
    assert (limit - share) / np.sqrt(limit * (1 - limit) / independent) == pytest.approx(2.3263478740408408)
