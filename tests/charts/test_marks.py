"""Signals on a chart: at the candle that was closed when they were given, and none from after the as-of."""

from datetime import datetime, timedelta

import pytest

from mcp_server.charts.caption import caption
from mcp_server.charts.chart import Mark, Marks, Side, marks_of
from mcp_server.domain.timeframes import from_ms
from tests.charts.sample import AS_OF_MS, DARK, chart, columns_of, drawn, places, waves

NOW = from_ms(AS_OF_MS)
CANDLES = waves(40)


def _marks(*signals: tuple[datetime, str | None]) -> Marks:
    return marks_of("mine", signals, CANDLES, "1h", AS_OF_MS)


def test_a_signal_belongs_to_the_last_candle_that_was_closed() -> None:
    closed = from_ms(int(CANDLES.open_time_ms[30])) + timedelta(hours=1)
    assert _marks((closed, "BUY")).marks == (Mark(30, "BUY"),)
    assert _marks((closed - timedelta(milliseconds=1), "BUY")).marks == (Mark(29, "BUY"),)
    assert _marks((closed + timedelta(minutes=59), "SELL")).marks == (Mark(30, "SELL"),)


def test_a_signal_at_a_missing_candle_belongs_to_the_one_before() -> None:
    holed = waves(40, holes=[20, 21])
    during = from_ms(int(CANDLES.open_time_ms[22]))
    assert marks_of("mine", [(during, "BUY")], holed, "1h", AS_OF_MS).marks == (Mark(19, "BUY"),)


def test_what_came_later_or_before_what_is_drawn_is_left_out() -> None:
    first_close = from_ms(int(CANDLES.open_time_ms[0])) + timedelta(hours=1)
    outside = [(NOW + timedelta(milliseconds=1), "BUY"), (first_close - timedelta(milliseconds=1), "SELL")]
    assert _marks(*outside) == Marks("mine")
    assert _marks((NOW, "BUY"), (first_close, "SELL")).marks == (Mark(0, "SELL"), Mark(39, "BUY"))


def test_holds_are_counted_and_several_signals_of_a_candle_share_an_arrow() -> None:
    marks = _marks((NOW, "BUY"), (NOW, "BUY"), (NOW, "SELL"), (NOW, "HOLD"), (NOW, None))
    assert marks == Marks("mine", (Mark(39, "BUY", 2), Mark(39, "SELL", 1)), holds=1)
    text = caption(chart(CANDLES, marks=marks))
    assert text.endswith("Signals of 'mine' marked: 2 BUY, 1 SELL (1 HOLD not drawn).")


@pytest.mark.parametrize(("side", "color"), [("BUY", DARK.buy), ("SELL", DARK.sell)])
def test_an_arrow_is_at_its_candle_below_for_buy_and_above_for_sell(side: Side, color: str) -> None:
    marks = Marks("mine", (Mark(10, side),))
    picture = drawn(chart(CANDLES, marks=marks))
    arrow = places(picture[130:560], color)
    slot = (1200 - 16 - 84) / 40
    assert len(arrow) > 50
    assert abs(arrow[:, 1].mean() - (16 + 10.5 * slot)) < slot
    candle = [row for row, column in places(picture[130:560], DARK.down) if abs(column - arrow[:, 1].mean()) < slot / 3]
    candle += [row for row, column in places(picture[130:560], DARK.up) if abs(column - arrow[:, 1].mean()) < slot / 3]
    if side == "BUY":
        assert arrow[:, 0].min() > max(candle)
    else:
        assert arrow[:, 0].max() < min(candle)


def test_no_arrow_is_where_no_signal_is() -> None:
    for marks in (None, Marks("mine", (), holds=3)):
        picture = drawn(chart(CANDLES, marks=marks))
        assert columns_of(picture, DARK.buy, top=130) == []
        assert columns_of(picture, DARK.sell, top=130) == []


def test_arrows_at_both_ends_stay_on_the_picture() -> None:
    marks = Marks("mine", (Mark(0, "BUY", 12), Mark(39, "SELL", 12)))
    picture = drawn(chart(CANDLES, marks=marks))
    assert columns_of(picture, DARK.buy, top=130)[0] >= 5
    assert columns_of(picture, DARK.sell, top=130)[-1] <= 1190
