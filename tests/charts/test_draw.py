"""What is on the picture, and where: looked at pixel by pixel."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mcp_server.charts.caption import caption
from mcp_server.charts.draw import draw
from mcp_server.charts.theme import THEMES
from mcp_server.domain.candles import Candles
from mcp_server.domain.chart_layout import study_of
from mcp_server.domain.indicators.catalog import names
from mcp_server.domain.indicators.parse import parse_spec
from tests.charts.sample import DARK, chart, columns_of, drawn, pixels, places, waves

HEADING_PX, PRICE_PX = 120, 500
"""Rows of the picture: the price is drawn between these, whatever is below."""


def _flat(price: float, count: int = 40) -> Candles:
    times, one = waves(count).open_time_ms, np.full(count, price)
    return Candles(times, one, one, one, one, np.zeros(count))


@pytest.mark.parametrize(
    ("count", "theme"),
    [
        (120, "light"),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in [(20, "dark"), (500, "light"), (20, "light"), (120, "dark"), (500, "dark")]
        ),
    ],
)
def test_a_picture_is_1200_by_800_on_the_themes_background(count: int, theme: Any) -> None:
    png = draw(chart(waves(count), ["ema(20)", "rsi(14)"], theme=theme))
    picture = pixels(png)
    assert picture.shape == (800, 1200, 3)
    colors = THEMES[theme]
    assert len(places(picture, colors.background)) > 800 * 1200 / 2
    assert len(places(picture, colors.down)) > 300
    assert len(places(picture, colors.lines[0])) > 300
    assert len(png) < 150_000


def test_it_grows_with_its_panels_and_leaves_the_price_its_room() -> None:
    specs = ["rsi(14)", "macd", "atr(14)", "obv", "cdldoji", "cdlhammer", "ema(9) of volume"]
    picture = drawn(chart(waves(120), specs))
    assert picture.shape[1] == 1200
    assert 1100 < picture.shape[0] < 1300


@pytest.mark.long
def test_the_same_chart_is_the_same_bytes() -> None:
    """In `make test`, test_artist.py compares what two processes draw."""
    subject = chart(waves(60), ["bbands(20)", "macd"])
    assert draw(subject) == draw(subject)


def test_a_candle_that_fell_is_filled_and_one_that_rose_is_hollow() -> None:
    candles = waves(20)
    picture = drawn(chart(candles))[HEADING_PX - 20 : PRICE_PX]
    slot = 1200 / 21
    fell, rose = places(picture, DARK.down), places(picture, DARK.up)
    inside = places(picture, DARK.tinted(DARK.up, 0.3))
    falling = int((candles.close < candles.open).sum())
    assert falling * slot * 0.4 < len({int(column) for _, column in fell if column < 1070})
    assert len(inside) > 1_000
    assert {int(row) for row, _ in rose}.issuperset({int(row) for row, _ in inside})


@pytest.mark.parametrize("simulated", ["protanopia", "deuteranopia"])
@pytest.mark.parametrize("theme", THEMES.values())
def test_up_and_down_differ_for_who_sees_no_red_or_no_green(theme: Any, simulated: str) -> None:
    """By the matrices of Machado, Oliveira and Fernandes (2009), severity 1, on linear light; distances in Lab."""
    matrix = {
        "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
        "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    }[simulated]
    one, other = (_lab(np.array(matrix) @ _linear(color)) for color in (theme.up, theme.down))
    assert np.linalg.norm(one - other) > 20


def _linear(color: str) -> Any:
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab(linear: Any) -> Any:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    scaled = to_xyz @ np.clip(linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_what_lies_on_the_price_is_inside_of_its_panel_and_an_oscillator_below() -> None:
    with_ema = drawn(chart(waves(120), ["ema(20)"]))
    rows = places(with_ema[HEADING_PX:], DARK.lines[0])[:, 0] + HEADING_PX
    assert rows.min() > HEADING_PX
    assert rows.max() < 660
    with_rsi = drawn(chart(waves(120), ["rsi(14)"]))
    rows = places(with_rsi[HEADING_PX:], DARK.lines[0])[:, 0] + HEADING_PX
    assert rows.min() > 630


def test_a_missing_candle_leaves_a_shaded_hole_that_no_line_crosses() -> None:
    holes = [30, 31, 32]
    whole, holed = (chart(waves(60, holes=missing), ["ema(5)"]) for missing in ([], holes))
    shaded = DARK.tinted(DARK.muted, 0.11)
    assert len(places(drawn(whole)[HEADING_PX:PRICE_PX], shaded)) < 50
    picture = drawn(holed)[HEADING_PX:PRICE_PX]
    counts = Counter(int(column) for _, column in places(picture, shaded))
    hole = [column for column, count in counts.items() if count > 200]
    assert len(hole) == pytest.approx(3 * (1200 - 16 - 84) / 60, abs=6)
    for color in (DARK.down, DARK.lines[0]):  # the last candle rose: the line at its close has the other colour
        assert not set(hole) & set(columns_of(picture, color))
    assert "57 closed candles (3 missing)" in caption(holed)


def test_undefined_values_leave_holes_in_lines() -> None:
    subject = chart(waves(60), ["ema(5)"])
    values = subject.columns["ema_5"].copy()
    values[20:40] = np.nan
    holed = dataclasses.replace(subject, columns={"ema_5": values})
    before, after = (columns_of(drawn(c), DARK.lines[0], top=HEADING_PX, bottom=600) for c in (subject, holed))
    gap = set(before) - set(after)
    assert 250 < len(gap) < 400


@pytest.mark.parametrize("values", ["all undefined", "one alone"])
def test_undefined_columns_and_a_single_value_are_drawn(values: str) -> None:
    subject = chart(waves(30), ["ema(5)", "rsi(5)", "macd(3,5,2)"])
    columns = {name: np.full(30, np.nan) for name in subject.columns}
    if values == "one alone":
        for column in columns.values():
            column[10] = 100.0
    picture = drawn(dataclasses.replace(subject, columns=columns))
    dots = len(places(picture[HEADING_PX:PRICE_PX], DARK.lines[0]))
    assert (dots > 0) == (values == "one alone")
    assert "ema_5 undefined" in caption(dataclasses.replace(subject, columns=columns))


@pytest.mark.parametrize(
    "price", [1e-12, *(pytest.param(price, marks=pytest.mark.long) for price in (3.7e13, 8.1e-6, 1.0, 100_000.0))]
)
def test_any_price_can_be_drawn(price: float) -> None:
    picture = drawn(chart(waves(60, price=price), ["ema(20)", "bbands(20)", "atr(14)"]))
    assert len(places(picture[HEADING_PX:PRICE_PX], DARK.down)) > 300


@pytest.mark.parametrize("price", [1e-8, pytest.param(5.0, marks=pytest.mark.long)])
def test_prices_that_never_moved_are_a_line(price: float) -> None:
    picture = drawn(chart(_flat(price), ["rsi(14)"]))
    assert len(columns_of(picture, DARK.up, top=HEADING_PX, bottom=PRICE_PX)) > 500


def test_one_candle_is_a_chart() -> None:
    candles = waves(30).slice(29)
    subject = chart(candles)
    assert drawn(subject).shape == (800, 1200, 3)
    assert "1 closed candle 2026" in caption(subject)


def test_hostile_and_unknown_letters_are_letters() -> None:
    plain = chart(waves(20))
    for symbol in ("$\\frac{1}{0}$_^/USDT", "币安人生/USDT", "A\nB/C", "W" * 60):
        assert drawn(dataclasses.replace(plain, symbol=symbol)).shape == (800, 1200, 3)


def one_of_each_shape() -> list[str]:
    """Return an indicator for each way in which one is drawn; to lay out all 263 takes two seconds."""
    shapes = {tuple(drawing.shape for drawing in study_of(parse_spec(name)).drawings): name for name in names()}
    assert len(shapes) > 10
    return [*shapes.values()]


@pytest.mark.parametrize("few", [("rainbow", "supertrend"), pytest.param((), marks=pytest.mark.long)])
def test_one_indicator_of_each_shape_is_drawn(few: Sequence[str]) -> None:
    candles, last = waves(400), slice(-120, None)
    bare = draw(dataclasses.replace(chart(candles), candles=candles.slice(-120)))
    for name in few or one_of_each_shape():
        subject = chart(candles, [name])
        columns = {column: values[last] for column, values in subject.columns.items()}
        shown = dataclasses.replace(subject, candles=candles.slice(-120), columns=columns)
        assert draw(shown) != bare, name
        assert all(f"{column} " in caption(shown) for column in columns), name


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_candles_of_a_pixels_width_stand_out_from_a_band_as_from_the_page(theme: Any) -> None:
    def shades_apart(count: int) -> int:
        """Return how far the fill of a band is from the page, in shades of 256."""
        picture = pixels(draw(chart(waves(count), ["bbands(20,2)"], theme=theme)))[HEADING_PX:PRICE_PX, :1060]
        colors, counts = np.unique(picture @ [256 * 256, 256, 1], return_counts=True)
        page, fill = (int(color).to_bytes(3) for color in colors[np.argsort(counts)[:-3:-1]])
        return max(abs(one - other) for one, other in zip(page, fill, strict=True))

    assert shades_apart(500) <= 9
    assert shades_apart(60) >= 20
