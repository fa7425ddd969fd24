"""Entry, exit and return of decisions, against a plain loop over one candle after another."""

import numpy as np
import pytest

from mcp_server.domain.backtest.decisions import decide_slots
from mcp_server.domain.candles import Candles
from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms, judge
from mcp_server.domain.scoring.signals import JudgedSignals
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import TIMEFRAMES, candle_open_ms, timeframe_ms

DAY_MS = 86_400_000


def market(rng: np.random.Generator, timeframe: str, count: int) -> Candles:
    """A random walk from which some candles are missing, also several in a row."""
    length = timeframe_ms(timeframe)
    begin = candle_open_ms(int(rng.integers(1_500_000_000_000, 1_700_000_000_000)), timeframe)
    times = begin + np.arange(count, dtype=np.int64) * length
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, count)))
    opened = close * np.exp(rng.normal(0, 0.01, count))
    there = rng.random(count) > 0.15
    there[int(rng.integers(count)) :][: int(rng.integers(6))] = False
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    columns = (opened[there], high[there], low[there], close[there], np.ones(count)[there])
    return Candles(times[there], *columns)


def plainly(
    candles: Candles, timeframe: str, decided_ms: int, answered_ms: int, horizon_ms: int
) -> tuple[int, int, float | None, float | None]:
    """Entry, exit and their prices, from the sentences of the definition and by looking at each candle."""
    length = timeframe_ms(timeframe)
    grid = candle_open_ms(decided_ms, timeframe) - length
    while grid < decided_ms:
        grid += length
    if answered_ms >= grid + length:
        while grid < answered_ms:
            grid += length
    close = grid
    while close + length <= grid + horizon_ms:
        close += length
    opens = dict(zip(candles.open_time_ms.tolist(), candles.open.tolist(), strict=True))
    closes = {
        opened + length: price for opened, price in zip(candles.open_time_ms.tolist(), candles.close, strict=True)
    }
    return grid, close, opens.get(grid), closes.get(close) if close > grid else None


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_entry_exit_and_prices_are_those_of_a_plain_loop(timeframe: str) -> None:
    rng = np.random.default_rng(TIMEFRAMES[timeframe])
    length = timeframe_ms(timeframe)
    for _ in range(10):
        candles = market(rng, timeframe, 60)
        begin = int(candles.open_time_ms[0]) - 3 * length
        count = 60
        decided = begin + rng.integers(0, 66 * length, count)
        aligned = rng.random(count) < 0.5
        decided = np.where(aligned, decided // length * length + candle_open_ms(0, timeframe) % length, decided)
        late = rng.choice([0, 1, 30_000, length - 1, length, length + 1, 3 * length], count)
        answered = decided + late
        horizon = int(rng.choice([length // 2, length, length + 1, 5 * length, 5 * length - 1]))

        entry = entry_open_ms(decided, answered, timeframe)
        exit_ = exit_close_ms(entry, timeframe, horizon)
        prices = judge(candles, timeframe, entry, exit_)

        for place in range(count):
            at, until, opened, closed = plainly(candles, timeframe, int(decided[place]), int(answered[place]), horizon)
            assert (at, until) == (entry[place], exit_[place])
            for price, value in ((opened, prices.entry[place]), (closed, prices.exit[place])):
                assert np.isnan(value) if price is None else value == price
            whole = opened is not None and closed is not None
            assert np.isfinite(prices.r[place]) == whole
            if opened is not None and closed is not None:
                assert prices.r[place] == closed / opened - 1


def test_an_answer_within_the_candle_is_entered_where_a_backtest_fills() -> None:
    rng = np.random.default_rng(7)
    for timeframe, schedule in (
        ("1h", {"interval": "1h"}),
        ("4h", {"interval": "1h"}),
        ("1h", {"cron": "7 */3 * * *"}),
    ):
        candles = market(rng, timeframe, 200)
        start, end = int(candles.open_time_ms[0]), int(candles.open_time_ms[-1]) + timeframe_ms(timeframe)
        config = Config.model_validate(
            {
                "name": "x",
                "trading_pair": "BTC/USDT",
                **schedule,
                "engine": "rules",
                "rules": {"timeframe": timeframe, "buy": "close > 0"},
            }
        )
        decisions = decide_slots(config, timeframe, candles, np.ones(len(candles), np.int8), start, end)
        answered = decisions.slot_ms + timeframe_ms(timeframe) // 2
        entry = entry_open_ms(decisions.slot_ms, answered, timeframe)
        prices = judge(candles, timeframe, entry, exit_close_ms(entry, timeframe, DAY_MS))
        filled = decisions.fill >= 0
        assert filled.any()
        assert not filled.all()
        assert (candles.open_time_ms[decisions.fill[filled]] == entry[filled]).all()
        assert (candles.open[decisions.fill[filled]] == prices.entry[filled]).all()
        assert np.isnan(prices.entry[~filled]).all()


def signals(signal: list[int], r: list[float], funding: list[float]) -> JudgedSignals:
    count = len(signal)
    times = np.arange(count, dtype=np.int64)
    known = np.full(count, np.nan)
    return JudgedSignals(
        times, times, times, times + 1, np.array(signal, np.int8), np.array(r), np.full(count, 0.003),
        np.array(funding), known,
    )  # fmt: skip


def test_buy_and_sell_are_right_above_all_costs_and_hold_is_neither() -> None:
    judged = signals([1, 1, -1, -1, 0, 0, 0], [0.01, 0.003, -0.01, 0.01, 0.5, 0.003, -0.0031], [0.0] * 7)
    assert judged.net[:4] == pytest.approx([0.007, 0.0, 0.007, -0.013])
    assert np.isnan(judged.net[4:]).all()
    assert judged.right.tolist() == [True, False, True, False, False, False, False]
    assert judged.quiet.tolist() == [False, False, False, False, False, True, False]
    assert judged.directed.tolist() == [True] * 4 + [False] * 3


def test_a_long_pays_the_fundings_that_a_short_receives() -> None:
    judged = signals([1, -1], [0.01, 0.01], [0.002, 0.002])
    assert judged.net == pytest.approx([0.01 - 0.003 - 0.002, -0.01 - 0.003 + 0.002])


def test_picked_signals_keep_all_that_is_known_of_them() -> None:
    judged = signals([1, 0, -1], [0.01, 0.02, 0.03], [0.0, 0.1, 0.2])
    picked = judged.pick(judged.directed)
    assert picked.execution_id.tolist() == [0, 2]
    assert picked.r.tolist() == [0.01, 0.03]
    assert picked.funding.tolist() == [0.0, 0.2]
    assert len(picked) == 2
