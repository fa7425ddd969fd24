"""Which coins headlines name: what one headline costs, and a month of them for one coin, in processor time."""

import sys
import time
from itertools import cycle, islice

from mcp_server.domain.news.item import NewsItem
from mcp_server.news.aliases import package_subjects
from tests.news.test_subjects import ALL

MONTH = 16_000
ONE_US, MONTH_MS = 50.0, 60.0
"""The most that all coins of one headline, and one coin in a month of headlines, may cost."""


def test_the_coins_of_a_headline_cost_microseconds_and_a_month_of_headlines_milliseconds() -> None:
    subjects = package_subjects()
    began = time.process_time()
    for one in islice(cycle(ALL), MONTH):
        subjects.of(one.headline, crypto_source=one.crypto)
    each_us = (time.process_time() - began) / MONTH * 1e6
    items = [
        NewsItem(number, "wire", str(number), None, one.headline, "press" if one.crypto else "news", None, 0, number)
        for number, one in enumerate(islice(cycle(ALL), MONTH))
    ]
    month_ms = {}
    for base in ("BTC", "ETH", "LINK", "S", "QZX"):
        matcher, began = subjects.matcher(base), time.process_time()
        for item in items:
            matcher(item)
        month_ms[base] = (time.process_time() - began) * 1e3
    figures = ", ".join(f"{base} {cost:.1f} ms" for base, cost in month_ms.items())
    sys.stdout.write(f"\nall coins of a headline: {each_us:.1f} us; one coin in {MONTH:,} headlines: {figures}")
    assert each_us <= ONE_US
    assert max(month_ms.values()) <= MONTH_MS, figures
