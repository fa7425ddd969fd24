"""Up is never drawn as down: each of two colours and shapes is looked for where only the other may be."""

import numpy as np
import pytest

from mcp_server.charts.chart import Mark, Marks, Side
from mcp_server.domain.candles import Candles, Floats
from tests.charts.sample import DARK, Pixels, chart, drawn, waves

COUNT = 40
DRAWING = slice(300, 1080)
"""Columns that hold neither words nor numbers."""

PRICE, VOLUME, BELOW = slice(150, 540), slice(620, 780), slice(600, 780)
"""Rows: VOLUME where there are no panels, BELOW where the last one is."""

SIGNS = pytest.mark.parametrize(("sign", "color", "other"), [(1, DARK.up, DARK.down), (-1, DARK.down, DARK.up)])


def _steady(sign: int) -> Candles:
    """Candles that all rise, or all fall."""
    opened: Floats = 1_000 + 5.0 * sign * np.arange(COUNT, dtype=np.float64)
    close: Floats = opened + 5.0 * sign
    high, low = np.maximum(opened, close) + 1, np.minimum(opened, close) - 1
    return Candles(waves(COUNT).open_time_ms, opened, high, low, close, np.full(COUNT, 7.0, dtype=np.float64))


def _places(picture: Pixels, rows: slice, color: str) -> Pixels:
    """List the rows of the pixels that have a colour, or nearly so."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    near = np.abs(picture[rows, DRAWING] - wanted).max(axis=2) <= 2
    return np.argwhere(near)[:, 0]


def _points_up(rows: Pixels) -> bool:
    """Return whether a mark is broader at its foot than at its head."""
    middle = (rows.min() + rows.max()) / 2
    return bool((rows > middle).sum() > (rows < middle).sum())


def _faint(color: str) -> str:
    return DARK.tinted(color, 0.6)


@SIGNS
def test_candles_and_volume_have_the_colour_of_their_direction(sign: int, color: str, other: str) -> None:
    picture = drawn(chart(_steady(sign)))
    assert len(_places(picture, PRICE, color)) > 500
    assert len(_places(picture, PRICE, other)) == 0
    assert len(_places(picture, VOLUME, _faint(color))) > 5_000
    assert len(_places(picture, VOLUME, _faint(other))) == 0


@SIGNS
def test_a_histogram_has_the_colour_of_its_sign(sign: int, color: str, other: str) -> None:
    columns = {"macd_3_6_2_hist": sign * np.linspace(1.0, 2.0, COUNT)}
    picture = drawn(chart(_steady(-sign), ["macd(3,6,2).hist"], columns=columns))
    below = slice(690, 780)
    assert len(_places(picture, below, _faint(color))) > 5_000
    assert len(_places(picture, below, _faint(other))) == 0


@SIGNS
def test_a_pattern_points_where_it_says(sign: int, color: str, other: str) -> None:
    columns = {"cdldoji": np.where(np.arange(COUNT) == 20, 100.0 * sign, 0.0)}
    picture = drawn(chart(_steady(-sign), ["cdldoji"], columns=columns))
    mark = _places(picture, BELOW, color)
    assert len(mark) > 10
    assert len(_places(picture, BELOW, other)) == 0
    assert _points_up(mark) is (sign > 0)


@pytest.mark.parametrize(("side", "color"), [("BUY", DARK.buy), ("SELL", DARK.sell)])
def test_an_arrow_points_up_for_buy_and_down_for_sell(side: Side, color: str) -> None:
    arrow = _places(drawn(chart(_steady(1), marks=Marks("mine", (Mark(20, side),)))), PRICE, color)
    assert _points_up(arrow) is (side == "BUY")
