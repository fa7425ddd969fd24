"""Finding indicators by what people call them and by what they want to know."""

from collections.abc import Sequence

import pytest

from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.search import search
from tests.rigs.sampled import some_or_all


@pytest.mark.parametrize(
    ("query", "among_the_first"),
    [
        ("trend strength", ["adx"]),
        ("bollinger bands", ["bbands"]),
        ("relative strength index", ["rsi"]),
        ("standard deviation", ["stddev"]),
        ("parabolic sar", ["sar", "sarext"]),
        ("ichimoku cloud", ["ichimoku"]),
        ("heikin ashi", ["ha"]),
        ("stop loss distance", ["atr", "cksp"]),
        ("volume flow money", ["cmf", "mfi"]),
        ("bullish engulfing", ["cdlengulfing"]),
        ("hammer candle", ["cdlhammer"]),
        ("choppy sideways market", ["chop"]),
        ("support resistance pivot", ["fractal", "cpr"]),
        ("moving average without lag", ["hma"]),
        ("annualised volatility", ["hvol"]),
        ("z-score", ["zscore"]),
        ("correlation", ["correl"]),
        ("squeeze", ["squeeze"]),
        ("channel breakout", ["donchian"]),
        ("RSI(14)", ["rsi"]),
        ("macd", ["macd"]),
        ("bolinger", ["bbands"]),
        ("the VWAP indicator", ["vwap"]),
        ("news", ["news_per_hour", "fear_greed"]),
        ("headlines in the press", ["news_per_hour"]),
    ],
)
def test_what_is_meant_is_among_the_first_four(query: str, among_the_first: list[str]) -> None:
    assert set(among_the_first) <= {entry.name for entry in search(query)[:4]}


@pytest.mark.parametrize("names", some_or_all(catalog.all_names(), 5))
def test_every_entry_is_found_first_by_its_own_name(names: Sequence[str]) -> None:
    for name in names:
        assert search(name)[0].name == name


def test_an_empty_query_gives_all_the_well_known_first_and_idle_words_give_none() -> None:
    everything = [entry.name for entry in search("  ")]

    assert sorted(everything) == sorted(catalog.all_names())
    assert everything[:2] == ["rsi", "macd"]
    assert search("what is the indicator") == []
    assert search("§$%") == []
    assert search("xyzzyplugh") == []
