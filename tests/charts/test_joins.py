"""Divergences on a chart: joined from pivot to pivot, on the price and on the oscillator, and none unconfirmed."""

from pathlib import Path

import anyio
import pytest

from mcp_server.charts.caption import caption
from mcp_server.charts.chart import Join, Joins
from tests.charts.sample import DARK, chart, columns_of, drawn, pixels, places, waves
from tests.rigs.hourly_candles import RECORDED
from tests.structure.pictures import REAL_PICTURES, draw_real

CANDLES = waves(40)
SLOT = (1200 - 16 - 84) / 40
ONE = Joins("rsi_14", (Join(18, 30, bullish=True, hidden=False),))


def test_both_lines_end_at_the_pivots_one_below_the_candles_and_one_on_the_oscillator() -> None:
    picture = drawn(chart(CANDLES, ["rsi(14)"], joins=ONE))
    for top, bottom in ((130, 520), (640, 790)):
        columns = columns_of(picture, DARK.buy, top=top, bottom=bottom)
        assert columns[0] == pytest.approx(16 + 18.5 * SLOT, abs=SLOT)
        assert columns[-1] == pytest.approx(16 + 30.5 * SLOT, abs=SLOT)
        assert len(columns) > 10 * SLOT
    assert len(places(picture[130:520], DARK.sell)) == 0


def test_a_bullish_one_joins_lows_and_a_bearish_one_highs() -> None:
    heights = []
    for bullish, color in ((True, DARK.buy), (False, DARK.sell)):
        joins = Joins("rsi_14", (Join(18, 30, bullish=bullish, hidden=False),))
        heights.append(places(drawn(chart(CANDLES, ["rsi(14)"], joins=joins))[130:520], color)[:, 0].mean())
    assert heights[0] > heights[1] + 10, "rows count from the top"


def test_a_hidden_one_is_dashed_and_a_bearish_one_has_its_own_colour() -> None:
    solid, dashed = (
        len(places(drawn(chart(CANDLES, ["rsi(14)"], joins=joins))[130:520], DARK.sell))
        for joins in (Joins("rsi_14", (Join(18, 30, bullish=False, hidden=hidden),)) for hidden in (False, True))
    )
    assert 0 < dashed < 0.8 * solid


def test_the_caption_counts_them() -> None:
    joins = Joins("rsi_14", (*ONE.joins, Join(3, 9, bullish=False, hidden=True)))
    text = caption(chart(CANDLES, ["rsi(14)"], joins=joins))
    assert "Confirmed divergences of rsi_14: 1 bullish, 1 bearish (1 hidden, dashed)" in text
    assert "divergences" not in caption(chart(CANDLES, ["rsi(14)"]))


@pytest.mark.long
def test_on_recorded_candles_divergences_make_a_picture(tmp_path: Path) -> None:
    """The tests above look at invented candles. `python -m tests.structure.pictures --real FOLDER` draws these."""
    if not RECORDED.is_file():
        pytest.skip("these moments have divergences on the recorded candles only")
    anyio.run(draw_real, tmp_path)
    for name in REAL_PICTURES:
        picture = pixels((tmp_path / name).read_bytes())
        panels = ((130, 520), (640, picture.shape[0]))
        for top, bottom in panels:
            assert sum(len(places(picture[top:bottom], color)) for color in (DARK.buy, DARK.sell)) > 50, name
