"""When the stories about a coin began, over a past that is longer than what is kept in memory."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.domain.timeframes import to_ms
from tests.news.collected import HOUR_MS, Fetch, collect, news_of
from tests.rigs.sampled import sampled

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
START_MS = to_ms(NOW - timedelta(days=95))


@pytest.mark.parametrize(("base", "name"), sampled([("BTC", "Bitcoin"), ("QZX", "$QZX")], 2))
def test_over_a_long_past_the_stories_are_those_of_each_part_of_it(home: Path, base: str, name: str) -> None:
    words = ("alpha", "bravo", "delta", "gamma", "kappa", "sigma", "omega", "theta", "lambda", "epsilon")
    told = [f"{name} {words[n % 10]} and {words[n // 10 % 10]} in {words[n * 7 % 10]}" for n in range(60)]
    fetches: list[Fetch] = [
        (START_MS + number * 37 * HOUR_MS, [headline, "Rain in Lisbon"]) for number, headline in enumerate(told)
    ]
    collect(home, fetches)
    news, end_ms = news_of(home, NOW), to_ms(NOW)
    whole = news.story_times(base, START_MS - 1, news.collection(end_ms)).tolist()
    assert whole == [at_ms for at_ms, _ in fetches if at_ms <= end_ms]
    parts = [START_MS - 1, *range(START_MS + 20 * 24 * HOUR_MS, end_ms, 20 * 24 * HOUR_MS), end_ms]
    begun = [
        news.story_times(base, after, news.collection(until)).tolist() for after, until in itertools.pairwise(parts)
    ]
    assert [at for part in begun for at in part] == whole
    assert news.story_times(base, START_MS - 1, news.collection(end_ms + 10**10)).tolist() == whole
