"""A backtest decides at each close as a run did then, which knew nothing of what was collected later."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.candles import Candles
from mcp_server.domain.news.item import Told
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.series import SIGNALS
from mcp_server.domain.rules.verdict import Verdict
from mcp_server.domain.strategy.format import Rules
from mcp_server.domain.timeframes import from_ms
from mcp_server.news.for_rules import with_news
from tests.news.collected import HOUR_MS, Fetch, collect, news_of
from tests.rigs.random_walk import START_MS, random_walk

MINUTE_MS, HALF_HOUR_MS = 60_000, 30 * 60_000
COUNT = 40
CLOSES_MS = START_MS + HALF_HOUR_MS * np.arange(1, COUNT + 1)
RULES = compile_rules(
    Rules(
        indicators=("news_per_hour(2)", "sma(2) of news_per_hour(1)", "fear_greed"),
        buy="news_per_hour_2 > 0.6 OR sma_2_of_news_per_hour_1 > prev(sma_2_of_news_per_hour_1, 2)",
        sell="fear_greed > 70",
    ),
    "30m",
)
HEADLINES = (
    "Bitcoin climbs above $90,000", "Bitcoin climbs above $91,000", "BTC miners sell what they hold",
    "A bank offers bitcoin to its clients", "Ethereum developers agree on a date", "Rain is expected in Lisbon",
)  # fmt: skip


@st.composite
def told(draw: st.DrawFn, at_ms: int) -> Told:
    """Draw an item: of a known guid it is an edit, and its publisher dates it anyhow, or not at all."""
    number = draw(st.integers(0, 9))
    dated = draw(st.sampled_from([None, at_ms - 60_000, at_ms - 30 * HOUR_MS, at_ms + HOUR_MS, 4_070_908_800_000]))
    return Told(f"g{number}", f"https://example.org/{number}", draw(st.sampled_from(HEADLINES)), dated)


@st.composite
def collections(draw: st.DrawFn) -> list[Fetch]:
    """Draw readings 20 to 80 minutes apart, some of them in vain, from anywhere before or within the candles."""
    at_ms = START_MS + draw(st.integers(-180, 300)) * MINUTE_MS
    fetches: list[Fetch] = []
    while at_ms < CLOSES_MS[-1]:
        kind = draw(st.sampled_from(["items", "items", "items", "index", "failed"]))
        if kind == "items":
            fetches.append((at_ms, draw(st.lists(told(at_ms), max_size=3))))
        else:
            fetches.append((at_ms, None if kind == "failed" else draw(st.sampled_from([10.0, 50.0, 90.0]))))
        at_ms += draw(st.sampled_from([20, 30, 45, 60, 80])) * MINUTE_MS
    return fetches


def candles_by(until_ms: int) -> Candles:
    walk = random_walk(COUNT)
    times = START_MS + HALF_HOUR_MS * np.arange(COUNT)
    return Candles(times, walk.open, walk.high, walk.low, walk.close, walk.volume).closed_by(until_ms, "30m")


def decided(home: Path, now_ms: int, until_ms: int) -> Verdict:
    """Decide at a close, in a home that is asked at another moment."""
    news = news_of(home, from_ms(now_ms))
    return RULES.decide(with_news(news, candles_by(until_ms), "30m", "BTC/USDT", RULES.news))


def check(fetches: list[Fetch], closes_ms: list[int]) -> None:
    with TemporaryDirectory() as folder:
        whole, end_ms = Path(folder) / "whole", int(CLOSES_MS[-1])
        whole.mkdir()
        collect(whole, fetches)
        candles = with_news(news_of(whole, from_ms(end_ms)), candles_by(end_ms), "30m", "BTC/USDT", RULES.news)
        signals = RULES.series(candles).signals()
        for close_ms in closes_ms:
            then = Path(folder) / str(close_ms)
            then.mkdir()
            collect(then, [fetch for fetch in fetches if fetch[0] <= close_ms])
            verdict = decided(then, close_ms, close_ms)
            assert verdict.signal == SIGNALS[int(signals[np.searchsorted(CLOSES_MS, close_ms)])]
            assert verdict == decided(whole, end_ms, close_ms)


some_closes = st.lists(st.sampled_from(CLOSES_MS.tolist()), min_size=1, max_size=3, unique=True)


@settings(max_examples=3, deadline=None)
@given(collections(), some_closes)
def test_a_backtest_decides_at_each_close_as_a_run_did_that_knew_nothing_later(
    fetches: list[Fetch], closes_ms: list[int]
) -> None:
    check(fetches, closes_ms)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(collections(), some_closes)
def test_in_many_collections_a_backtest_decides_as_runs_did(fetches: list[Fetch], closes_ms: list[int]) -> None:
    check(fetches, closes_ms)


def test_the_collections_drawn_lead_to_all_kinds_of_decisions(tmp_path: Path) -> None:
    """Else the property above would hold of nothing."""
    edited = Told("g1", "https://example.org/1", HEADLINES[1], int(CLOSES_MS[20]) - 60_000)
    fetches: list[Fetch] = [(int(at), []) for at in CLOSES_MS - 5 * MINUTE_MS]
    fetches += [(int(CLOSES_MS[20]) - 10, [HEADLINES[0], HEADLINES[2], edited]), (int(CLOSES_MS[3]), 10.0)]
    collect(tmp_path, [*fetches, (int(CLOSES_MS[30]), 90.0)])
    news = news_of(tmp_path, from_ms(int(CLOSES_MS[-1])))
    candles = with_news(news, candles_by(int(CLOSES_MS[-1])), "30m", "BTC/USDT", RULES.news)
    assert set(RULES.series(candles).signals().tolist()) == set(SIGNALS)
