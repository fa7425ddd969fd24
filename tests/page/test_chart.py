"""The chart of the page by itself, in a real browser under the page's policy: what goes in is drawn and said."""

from collections.abc import Iterator
from typing import Any

import pytest

from mcp_server.storage.assets import FOLDER
from tests.rigs.browser import Browser, OpenPage
from tests.rigs.sampled import sampled

MINUS = "\N{MINUS SIGN}"
HOUR, WEEK = 3_600_000, 604_800_000
MONDAY = 1_772_409_600_000
"""2026-03-02T00:00Z."""

MAKE = """async (options) => {
  const { priceChart } = await import("/raw/chart.js");
  const box = document.createElement("div");
  document.querySelector("main").replaceChildren(box);
  window.former?.abort();
  window.former = new AbortController();
  window.chart = await priceChart(box, { ...options, signal: former.signal });
}"""
DRAWN = """() => chart.library.panes().map((pane) => pane.getSeries().map((series) => ({
  type: series.seriesType(), values: series.data().map((point) => point.value ?? point.close ?? null),
  times: series.data().map((point) => point.time), colors: series.data().map((point) => point.color ?? null),
})))"""


class Chart:
    """A chart in a page of its own."""

    def __init__(self, opened: OpenPage) -> None:
        self.page, self.complaints = opened.page, opened.complaints
        opened.page.route(
            "**/raw/*", lambda route: route.fulfill(path=FOLDER / "page" / route.request.url.split("/")[-1])
        )

    def make(self, **options: Any) -> "Chart":
        self.page.evaluate(MAKE, {"label": "BTC/USDT, 1h", **options})
        return self

    def set(self, name: str, *values: Any) -> None:
        self.page.evaluate("([name, values]) => void chart[name](...values)", [name, values])

    @property
    def drawn(self) -> list[list[dict[str, Any]]]:
        drawn: list[list[dict[str, Any]]] = self.page.evaluate(DRAWN)
        return drawn

    def indexes(self, times: list[int]) -> list[int]:
        """Return where on the axis moments are."""
        found: list[int] = self.page.evaluate(
            "(times) => times.map((at) => chart.library.timeScale().timeToIndex(at))", times
        )
        return found

    def until(self, condition: str) -> None:
        """Wait until the page makes something true."""
        self.page.evaluate(f"""async () => {{
          for (let frames = 600; !({condition}); frames -= 1) {{
            if (!frames) throw new Error("It did not come true.");
            await new Promise(requestAnimationFrame);
          }}
        }}""")

    @property
    def readout(self) -> str:
        return " ".join(str(self.page.inner_text(".readout")).split())

    def press(self, *keys: str) -> str:
        for key in keys:
            self.page.press("[role=application]", key)
        return self.readout


@pytest.fixture(scope="module")
def opened(empty: str, chromium: Browser) -> Iterator[OpenPage]:
    with chromium.open(f"{empty}#/costs", timezone_id="America/New_York") as opened:
        yield opened
        assert opened.complaints == []


@pytest.fixture
def chart(opened: OpenPage) -> Chart:
    return Chart(opened).make()


def candles(*closes: float, first: int = MONDAY, step: int = HOUR) -> list[list[float]]:
    """Make rows as get_ohlcv answers them, but for the form of the time."""
    return [[first + at * step, close, close * 1.01, close * 0.99, close, 7.5] for at, close in enumerate(closes)]


@pytest.mark.parametrize(
    ("close", "written"),
    sampled(
        [
            (1.2345678e-8, "0.000000012345678"),
            (9.8765432e11, "987,654,320,000"),
            (0.0000081, "0.0000081"),
            (91_626.33, "91,626.33"),
        ],
        2,
    ),
)
def test_prices_keep_their_digits_on_the_axis_and_in_words(chart: Chart, close: float, written: str) -> None:
    chart.set("setCandles", candles(close, close))
    assert f"close {written}" in chart.readout
    axis = "(price) => chart.library.panes()[0].getSeries()[0].priceFormatter().format(price)"
    assert chart.page.evaluate(axis, close) == written
    highest = chart.page.evaluate(
        "(price) => price.toLocaleString('en', { maximumSignificantDigits: 8 })", close * 1.01
    )
    assert f"highest {highest}." in (chart.page.get_attribute("[role=application]", "aria-label") or "")


def test_a_gap_keeps_its_width_and_lines_stop_at_it(chart: Chart) -> None:
    rows = candles(*range(100, 110))
    del rows[4:7]
    table = {"columns": ["open_time", "close", "ema_3"], "rows": [[row[0], row[4], row[4] + 1] for row in rows]}
    line = {"columns": ["ema_3"], "pane": 0, "shape": "line", "color": 1, "dashed": False, "levels": []}
    chart.set("setCandles", rows)
    chart.set(
        "setLines",
        [line, {**line, "shape": "turning", "columns": ["ema_3", "ema_3"]}, {**line, "shape": "bars"}],
        table,
    )
    ((price, _, ema, turning, bars),) = chart.drawn
    assert price["values"] == [100, 101, 102, 103, 107, 108, 109]
    assert ema["values"] == [101, 102, 103, 104, 108, 109, 110]
    assert [at for at, color in enumerate(ema["colors"]) if color == "transparent"] == [3]
    assert turning["colors"].index("transparent") == 3
    assert "transparent" not in bars["colors"]
    assert chart.indexes(price["times"]) == [0, 1, 2, 3, 7, 8, 9]
    assert "no candle" in chart.press("End", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert "close 103" in chart.press("ArrowLeft", "ArrowLeft", "ArrowLeft")


def test_a_gap_longer_than_any_screen_does_not_fill_the_memory(chart: Chart) -> None:
    rows = [*candles(1, 2), *candles(3, 4, first=MONDAY + 10**6 * HOUR)]
    chart.set("setCandles", rows)
    assert chart.indexes(chart.drawn[0][0]["times"]) == [0, 1, 302, 303]


def test_weeks_are_the_exchanges_own_and_hours_the_readers(chart: Chart) -> None:
    chart.set("setCandles", candles(5, 6, step=WEEK))
    assert "Mon 9 Mar 2026 UTC" in chart.readout.replace(",", "")
    chart.set("setCandles", candles(5, 6))
    assert "Sun 1 Mar 2026 20:00 (01:00 UTC)" in chart.readout.replace(",", "")
    ticks = "(ms) => chart.library.options().timeScale.tickMarkFormatter(ms / 1000, 2)"
    assert chart.page.evaluate(ticks, MONDAY) == "1 Mar, 19:00"
    assert chart.page.evaluate(ticks, MONDAY + 5 * HOUR) == "2 Mar"


def test_signals_stand_at_the_last_candle_that_had_opened_and_equal_ones_are_counted(chart: Chart) -> None:
    signals = [("BUY", 1.5, 7), ("SELL", 1, 8), ("BUY", 1, 9), ("HOLD", 5, 10), ("BUY", -1, 11)]
    marks = [{"signal": signal, "time": MONDAY + hours * HOUR, "id": key} for signal, hours, key in signals]
    chart.set("setCandles", candles(1, 2, 3))
    chart.set("setMarkers", marks)
    shown = chart.page.evaluate("chart.markers()")
    assert [(pin["time"] - MONDAY // 1000, pin["id"], pin["shape"], pin["text"]) for pin in shown] == [
        (3600, 9, "arrowUp", "BUY \N{MULTIPLICATION SIGN}2"),
        (3600, 8, "arrowDown", "SELL"),
        (7200, 10, "circle", "HOLD"),
    ]
    chart.set("setMarkers", [])
    assert chart.page.evaluate("chart.markers()") == []


def test_keys_move_zoom_and_say_the_values(chart: Chart) -> None:
    chart.set("setCandles", candles(*range(1, 501)))
    assert "close 500" in chart.readout
    assert "close 499" in chart.press("ArrowLeft", "ArrowLeft")
    assert "close 489" in chart.press("Shift+ArrowLeft")
    assert chart.page.get_attribute(".readout", "aria-live") == "polite"
    width = "(({ from, to }) => to - from)(chart.library.timeScale().getVisibleLogicalRange())"
    whole = chart.page.evaluate(width)
    chart.press("+")
    chart.until(f"Math.abs({width} / {whole} - 0.7) < 0.01")
    chart.press("-")
    chart.press("-")
    chart.until(f"{width} > {whole}")
    assert "close 1 " in chart.press("Home")
    chart.until("chart.library.timeScale().getVisibleLogicalRange().from <= 0")
    assert "close 500" in chart.press("End")


def test_the_readers_candle_stays_his_when_earlier_ones_arrive(chart: Chart) -> None:
    rows = candles(*range(1, 1001))
    chart.set("setCandles", rows[700:])
    chart.page.evaluate(
        """(rows) => {
      let from = 700;
      window.loads = 0;
      chart.onEarlier(async () => {
        loads += 1;
        from -= 350;
        if (from < 0) return false;
        chart.setCandles(rows.slice(from));
        return true;
      });
    }""",
        rows,
    )
    assert chart.page.evaluate("loads") == 0
    count = "chart.library.panes()[0].getSeries()[0].data().length"
    for close, more, loads in ((701, 650, 1), (351, 1000, 2), (1, 1000, 3)):
        assert f"close {close:,} " in chart.press("Home")
        chart.until(f"{count} === {more} && loads === {loads}")
        assert f"close {close:,} " in chart.readout
    chart.press("ArrowRight", "Home", "End", "Home")
    assert chart.page.evaluate("loads") == 3


def test_curves_hold_their_value_and_have_a_grid_of_their_own_or_that_of_the_candles(chart: Chart) -> None:
    record = {
        "name": "record",
        "tone": "line-1",
        "points": [[MONDAY, 0], [MONDAY + 30 * HOUR, 2.5], [MONDAY + 400 * HOUR, -1]],
    }
    chart.set("setCurves", [record])
    ((curve,),) = chart.drawn
    assert [curve["values"][at] for at in (0, 29, 30, 399, 400)] == [0, 0, 2.5, 2.5, -1]
    assert {one - other for one, other in zip(curve["times"][1:], curve["times"], strict=False)} == {HOUR // 1000}
    assert f"record {MINUS}1.00 %" in chart.readout
    assert "record 0.00 %" in chart.press("Home")
    assert "record +2.50 %" in chart.press(*["Shift+ArrowRight"] * 3)

    chart.make()
    chart.set("setCandles", candles(*range(1, 51)))
    chart.set("setCurves", [record])
    (_, (curve,)) = chart.drawn
    assert [curve["values"][at] for at in (0, 29, 30, 49)] == [0, 0, 2.5, 2.5]


def test_each_shape_is_drawn_and_its_values_are_said(chart: Chart) -> None:
    rows = candles(*range(1, 31))
    shapes = [
        (["ema"], 0, "line"), (["upper"], 0, "line"), (["of_volume"], "volume", "line"), (["sar"], 0, "dots"),
        (["trend", "direction"], 0, "turning"), (["hist"], 1, "bars"), (["hammer"], 2, "events"),
        (["open", "high", "low", "shut"], 3, "candles"),
    ]  # fmt: skip
    names = [name for columns, _, _ in shapes for name in columns]
    values = [
        [row[0], row[4], *((-1) ** at * (at + place + 1.0) for place in range(len(names)))]
        for at, row in enumerate(rows)
    ]
    layout = [
        {"columns": columns, "pane": pane, "shape": shape, "color": 1, "dashed": False, "levels": [3.0]}
        for columns, pane, shape in shapes
    ]
    chart.set("setCandles", rows)
    chart.set("setLines", layout, {"columns": ["open_time", "close", *names], "rows": values})
    drawn = chart.drawn
    assert [[series["type"] for series in pane] for pane in drawn] == [
        ["Candlestick", "Histogram", *["Line"] * 5], ["Histogram"], ["Line"], ["Candlestick"],
    ]  # fmt: skip
    assert set(drawn[0][6]["colors"][:-1]) == {"transparent"}  # it turns at each candle
    assert len(set(drawn[1][0]["colors"])) == 2
    assert drawn[3][0]["values"] == [row[-1] for row in values]
    assert all(
        f"{name} {MINUS}{abs(value):g}" in chart.readout for name, value in zip(names, values[-1][2:], strict=True)
    )
    height = chart.page.evaluate("document.querySelector('.chart').clientHeight")
    chart.set("setLines", [], {"columns": [], "rows": []})
    assert [len(pane) for pane in chart.drawn] == [2]
    assert chart.page.evaluate("document.querySelector('.chart').clientHeight") < height


def test_colours_follow_the_reader_at_once_and_nothing_is_left_of_a_removed_chart(chart: Chart) -> None:
    color = "chart.library.options().layout.background.color"
    chart.set("setCandles", candles(1, 2, 3))
    light = chart.page.evaluate(color)
    chart.page.emulate_media(color_scheme="dark")
    chart.until(f"{color} !== {light!r}")
    assert chart.page.evaluate("chart.library.panes()[0].getSeries()[0].options().downColor") == "rgb(244, 101, 95, 1)"
    chart.set("remove")
    assert chart.page.inner_html("[role=application]") == ""
    chart.page.emulate_media(color_scheme="light")
    chart.page.press("[role=application]", "ArrowLeft")


def test_a_scale_may_be_logarithmic(chart: Chart) -> None:
    mode = "chart.library.panes()[0].getSeries()[0].priceScale().options().mode"
    for log in (False, True):
        chart.make(log=log).set("setCandles", candles(1, 100, 10_000))
        assert chart.page.evaluate(mode) == int(log)
