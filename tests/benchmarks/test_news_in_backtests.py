"""What it takes to give a long backtest the news that its rules look at."""

import time
from pathlib import Path

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators.from_news import GivenNews
from mcp_server.domain.timeframes import DAY_MS, from_ms, timeframe_ms
from mcp_server.news.for_rules import with_news
from mcp_server.news.news import News
from mcp_server.storage.database import Database
from tests.benchmarks.news_year import ITEMS, fill
from tests.benchmarks.programs import say

UNTIL = 1_790_000_000_000 // DAY_MS * DAY_MS
CANDLES = 20_000
HOURS = (6, 24, 168)
MOST_S = 1.0
"""Processor time. All candles of an hour in a year take less, and so do fewer items."""


def test_a_year_of_news_is_counted_for_each_of_20_000_candles_within_a_second(tmp_path: Path) -> None:
    database = Database(tmp_path / "claude_trader.duckdb")
    fill(database, UNTIL)
    ones = np.ones(CANDLES)
    times = UNTIL - timeframe_ms("15m") * np.arange(CANDLES, 0, -1)
    candles = Candles(times, ones, ones, ones, ones, ones)
    news = News(database, tmp_path, lambda: from_ms(UNTIL + 1_000))
    wanted = [GivenNews("fear_greed", None), *(GivenNews("news_per_hour", hours) for hours in HOURS)]
    began = time.process_time()
    given = with_news(news, candles, "15m", "BTC/USDT", wanted).given
    took_s = time.process_time() - began
    say(f"{len(given)} columns of news at {CANDLES:,} candles, of {ITEMS:,} headlines: {took_s:.2f} s of a processor")
    assert len(given) == len(wanted)
    assert took_s < MOST_S
