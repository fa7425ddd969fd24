"""Where indicators go: every entry of the catalogue has a place and a shape."""

import pytest

from mcp_server.domain.chart_layout import MOST_PANELS, Layout, layout, study_of
from mcp_server.domain.indicators.catalog import names
from mcp_server.domain.indicators.parse import parse_spec, parse_specs
from mcp_server.errors import BadInput
from tests.rigs.sampled import sampled


def _laid_out(*texts: str) -> Layout:
    return layout(parse_specs(texts))


@pytest.mark.parametrize("name", sampled(names(), 5))
def test_each_column_of_every_indicator_is_drawn_once(name: str) -> None:
    spec = parse_spec(name)
    assert sorted(study_of(spec).columns) == sorted(spec.columns)
    placed = layout([spec])
    assert len(placed.price) + len(placed.volume) + len(placed.panels) == 1


def test_prices_lie_on_the_price_volume_on_the_volume_and_the_rest_in_panels() -> None:
    placed = _laid_out("ema(50)", "bbands(20)", "vwap", "ema(20) of volume", "rsi(14)", "avgdev(14)")
    assert [study.title for study in placed.price] == ["ema(50)", "bbands(20)", "vwap"]
    assert [study.title for study in placed.volume] == ["ema(20) of volume"]
    assert [[study.title for study in panel] for panel in placed.panels] == [["rsi(14)"], ["avgdev(14)"]]


def test_an_average_lies_where_that_lies_which_it_averages() -> None:
    placed = _laid_out("ema(9) of rsi(14)", "rsi(14)", "sma(5) of ema(50)", "rsi(14) of volume")
    assert [study.title for study in placed.price] == ["sma(5) of ema(50)"]
    assert [[study.title for study in panel] for panel in placed.panels] == [
        ["ema(9) of rsi(14)", "rsi(14)"],
        ["rsi(14) of volume"],
    ]


def test_patterns_share_one_panel() -> None:
    placed = _laid_out("cdldoji", "rsi(14)", "cdlengulfing", "cdlhammer")
    assert [len(panel) for panel in placed.panels] == [3, 1]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("macd", ["line", "line", "bars"]),
        ("macd.hist", ["bars"]),
        ("bbands", ["band"]),
        ("bbands.upper", ["line"]),
        ("supertrend", ["turning"]),
        ("sar", ["dots"]),
        ("ichimoku", ["cloud", "line", "line"]),
        ("ha", ["candles"]),
        ("cdldoji", ["events"]),
    ],
)
def test_what_belongs_together_is_drawn_together(text: str, shapes: list[str]) -> None:
    assert [drawing.shape for drawing in study_of(parse_spec(text)).drawings] == shapes


def test_a_direction_is_no_price() -> None:
    assert _laid_out("supertrend.trend").price == ()


def test_too_many_panels_are_refused_by_name_with_what_to_do() -> None:
    six = ("rsi(14)", "macd", "atr(14)", "obv", "adx(14)", "cci(20)")
    with pytest.raises(
        BadInput, match=rf"^6 panels .*'adx\(14\)', 'cci\(20\)' need one each, and {MOST_PANELS} fit\. "
    ):
        _laid_out("ema(9)", *six)
    assert len(_laid_out(*six[:5]).panels) == MOST_PANELS
