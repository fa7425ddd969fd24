"""The picture of a backtest: every trade is in it, long series keep their extremes, and the text says the same."""

from typing import Any

import numpy as np
import pytest

from mcp_server.charts.backtest_chart import MOST_SLOTS, BacktestChart, backtest_caption
from mcp_server.charts.backtest_panels import FEW_TRADES
from mcp_server.charts.chart import ThemeName
from mcp_server.charts.draw_backtest import draw_backtest
from mcp_server.charts.theme import THEMES
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.rules.series import Codes
from tests.charts.sample import Pixels, pixels, waves
from tests.rigs.backtests import alternating, backtest_of, sample_backtest
from tests.rigs.random_walk import random_walk

PRICE = slice(118, 495)
"""The rows of the panel of the price."""


def drawn(made: Simulated, **others: Any) -> Pixels:
    return pixels(draw_backtest(BacktestChart(made, **others)))


def count(picture: Pixels, color: str) -> int:
    wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return int((picture == wanted).all(axis=2).sum())


def traded_once(candles: Candles, entry: int, leaving: int, side: int = 1) -> Simulated:
    signals: Codes = np.zeros(len(candles), dtype=np.int8)
    signals[entry - 1], signals[leaving - 1] = side, -side
    return backtest_of(candles, signals, Assumptions(fee_bps=0, slippage_bps=0, side="both" if side < 0 else "long"))


def falling(count: int) -> Candles:
    """Return candles that lose a thousandth each."""
    close: Floats = 100 * 0.999 ** np.arange(1, count + 1, dtype=np.float64)
    opened: Floats = close / 0.999
    times = random_walk(count).open_time_ms
    return Candles(times, opened, opened, close, close, np.ones(count))


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_a_trade_is_joined_in_the_colour_of_its_result(theme: ThemeName) -> None:
    lost = drawn(traded_once(falling(100), 20, 80), theme=theme)[PRICE]
    colors = THEMES[theme]
    assert count(lost, colors.sell) > 200
    assert count(lost, colors.buy) == 0
    gained = drawn(backtest_of(falling(100), short_at(20, 100), Assumptions("both", 0, 0)), theme=theme)
    assert count(gained[PRICE], colors.buy) > 100
    assert count(gained[PRICE], colors.sell) == 0
    assert count(lost, colors.background) > 100_000


def short_at(position: int, length: int) -> Codes:
    signals: Codes = np.zeros(length, dtype=np.int8)
    signals[position] = -1
    return signals


def test_of_many_candles_a_pixel_keeps_the_extremes() -> None:
    calm = waves(50_000)
    high = calm.high.copy()
    high[31_234] *= 1.5
    candles = Candles(calm.open_time_ms, calm.open, high, calm.low, calm.close, calm.volume)
    made = backtest_of(candles, alternating(50_000, 9))
    chart, equity = BacktestChart(made), made.simulation.equity
    assert chart.coarse.count <= MOST_SLOTS
    assert chart.equity[2].min() == pytest.approx(equity.min() * 100)
    peaks = np.maximum.accumulate(np.append(1, equity))[1:]
    assert chart.drawdown[1].max() == pytest.approx(100 * (1 - equity / peaks).max())
    spike = drawn(made)[150:300, :1100]  # the rest of the price lies lower
    columns = np.flatnonzero((spike[:, :, 0] > 60).all(axis=0))
    assert len(columns) == 1
    assert columns[0] == pytest.approx(16 + (chart.coarse.groups[31_234] + 0.5) * 1_090 / chart.coarse.count, abs=4)


def test_a_trade_shorter_than_a_pixel_is_still_drawn() -> None:
    made = traded_once(falling(50_000), 25_000, 25_001)
    few = drawn(made)[PRICE]
    assert count(few, THEMES["dark"].sell) > 10
    many = backtest_of(falling(50_000), alternating(50_000, 300))
    assert len(many.simulation.trades) > FEW_TRADES
    columns = np.flatnonzero((drawn(many)[PRICE] == [0xFF, 0x52, 0x52]).all(axis=2).any(axis=0))
    assert len(columns) >= len(many.simulation.trades)


def test_the_ends_of_few_trades_are_marked_and_of_many_there_are_only_the_lines() -> None:
    few, many = alternating(1_000, 10), alternating(1_000, 7)
    trades = [len(backtest_of(falling(1_000), signals).simulation.trades) for signals in (few, many)]
    assert trades[0] <= FEW_TRADES < trades[1]
    marked, bare = (
        count(drawn(backtest_of(falling(1_000), signals))[PRICE], THEMES["dark"].sell) for signals in (few, many)
    )
    assert marked > 3 * bare


def test_the_equity_lies_beside_holding_and_both_begin_at_a_hundred() -> None:
    made = sample_backtest(300, 7)
    chart = BacktestChart(made)
    assert chart.holding[0][0] == 100
    assert chart.equity[3][-1] == pytest.approx(made.simulation.equity[-1] * 100)
    lines = THEMES["dark"].lines
    below = drawn(made)[500:]
    assert count(below, lines[0]) > 300
    assert count(below, lines[1]) > 300


def ruined() -> Simulated:
    walk = random_walk(40)
    columns = [column * np.where(np.arange(40) >= 20, 4, 1) for column in (walk.open, walk.high, walk.low, walk.close)]
    columns[0][20], columns[2][20] = walk.open[20], walk.low[20]
    candles = Candles(walk.open_time_ms, columns[0], columns[1], columns[2], columns[3], walk.volume)
    return backtest_of(candles, short_at(5, 40), Assumptions("both"))


def test_ruin_is_drawn_and_told() -> None:
    made = ruined()
    assert made.simulation.ruined_ms is not None
    assert count(drawn(made)[500:], THEMES["dark"].sell) > 100
    assert "It was ruined at 2026-01-0" in backtest_caption(BacktestChart(made))
    assert "Return -100 % after costs" in backtest_caption(BacktestChart(made))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(backtest_of(random_walk(2), np.zeros(2, dtype=np.int8)), id="two candles and no trade"),
        pytest.param(sample_backtest(500, 6, 1e-8), id="tiny prices"),
        pytest.param(sample_backtest(500, 6, 3e11), id="great prices", marks=pytest.mark.long),
    ],
)
def test_extremes_are_drawn(made: Simulated) -> None:
    picture = drawn(made, invented=True)
    assert picture.shape[1] == 1200
    assert count(picture, THEMES["dark"].muted) > 100


def test_a_gap_is_shaded_and_the_room_beside_few_candles_is_not() -> None:
    shade = THEMES["dark"].tinted(THEMES["dark"].muted, 0.11)
    whole = random_walk(8)
    kept = np.array([0, 1, 2, 6, 7])
    columns = (column[kept] for column in (whole.open, whole.high, whole.low, whole.close, whole.volume))
    gap = Candles(whole.open_time_ms[kept], *columns)
    none = np.zeros(8, dtype=np.int8)
    assert count(drawn(backtest_of(whole, none))[PRICE, :1_100], shade) == 0
    assert count(drawn(backtest_of(gap, none[:5]))[PRICE, :1_100], shade) > 10_000


def test_the_caption_says_what_is_drawn() -> None:
    made = sample_backtest(2_015, 20)
    text = backtest_caption(BacktestChart(made, invented=True))
    trades = made.simulation.trades
    assert trades.open[-1]
    for fact in (
        "Backtest of sample: BTC/USD 1h on kraken (invented prices), 2026-01-01T00:00Z to 2026-03-25T23:00Z",
        f"{len(trades)} trades, {int((trades.return_ratio > 0).sum())} gained, the last is still open at",
        "holding -2",
        "Each pixel is 3 candles, with their extremes",
    ):
        assert fact in text
    assert "It never traded" in backtest_caption(BacktestChart(backtest_of(random_walk(9), np.zeros(9, dtype=np.int8))))


def test_the_same_backtest_gives_the_same_picture() -> None:
    one, other = (draw_backtest(BacktestChart(sample_backtest(300, 7))) for _ in range(2))
    assert one == other
