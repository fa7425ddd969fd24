"""News as of any moment: the same whatever was asked before, and never with what was first seen later."""

import random
from pathlib import Path

import numpy as np
import pytest

from mcp_server.domain.news.item import NewsItem
from mcp_server.domain.news.stories import FRESH_MS, SAME_STORY_MS, beginnings, counted, stories, trouble_of
from mcp_server.domain.timeframes import from_ms
from mcp_server.news.news import News
from mcp_server.news.recent import KEPT_DAYS, RecentItems
from mcp_server.storage.database import Database
from tests.news.random_days import random_days
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk, told

SEEDS = [(3, 20), *(pytest.param(seed, 60, marks=pytest.mark.long) for seed in range(1, 8))]


@pytest.fixture
def desk(home: Path) -> NewsDesk:
    return NewsDesk(Database(home / "claude_trader.duckdb"))


def news_at(desk: NewsDesk, at_ms: int | None = None) -> News:
    """Return a facade of its own whose clock is the desk's, or stands at a moment."""
    return News(desk.database, desk.database.path.parent, lambda: from_ms(desk.now_ms if at_ms is None else at_ms))


@pytest.mark.parametrize(("seed", "fetches"), SEEDS)
def test_a_rate_at_a_time_is_what_a_home_that_ends_there_says(desk: NewsDesk, seed: int, fetches: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    moments = random_days(desk, chance, fetches)
    desk.now_ms += HOUR
    times = np.array(chance.sample(moments, len(moments)), dtype=np.int64)
    news = news_at(desk)
    for hours in (1, 24):
        rates, index = news.per_hour("BTC", times, hours), news.fear_greed(times)
        for place in range(0, len(times), 25):
            cut = news_at(desk, int(times[place]))
            alone = times[place : place + 1]
            np.testing.assert_array_equal(cut.per_hour("BTC", alone, hours), rates[place : place + 1])
            np.testing.assert_array_equal(cut.fear_greed(alone), index[place : place + 1])
        assert hours == 24 or (rates[np.isfinite(rates)] > 0).any(), "gaps may leave no whole day"
    assert np.isfinite(index).any()
    assert (news.per_hour("BTC", times[:0], 1).shape, news.fear_greed(times[:0]).shape) == ((0,), (0,))


@pytest.mark.parametrize(
    ("seed", "rounds"), [(2, 3), *(pytest.param(n, 6, marks=pytest.mark.long) for n in range(1, 8))]
)
def test_what_is_kept_in_memory_is_what_the_database_says(desk: NewsDesk, seed: int, rounds: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    news = news_at(desk)
    for _ in range(rounds):
        random_days(desk, chance, 5)
        desk.now_ms += chance.choice([HOUR, DAY, 20 * DAY, 50 * DAY])
        for _ in range(4):
            until_ms = desk.now_ms - chance.choice([0, 1, HOUR, 3 * DAY, 40 * DAY])
            after_ms = until_ms - chance.choice([HOUR, 33 * DAY, 60 * DAY])
            assert list(news.seen(after_ms, until_ms)) == desk.store.seen(after_ms, until_ms)
            assert news.collection(until_ms) == desk.store.collection(until_ms)


def test_a_question_reads_only_what_is_new_and_nothing_that_is_to_come(desk: NewsDesk) -> None:
    asked: list[tuple[int, int]] = []

    def read(after_ms: int, until_ms: int) -> list[NewsItem]:
        asked.append((after_ms, until_ms))
        return desk.store.seen(after_ms, until_ms)

    desk.enter(told("a"))
    now = desk.now_ms + HOUR
    recent = RecentItems(read, lambda: now + HOUR)
    assert [item.guid for item in recent.between(0, now)] == ["a"], "further back than is kept"
    assert asked == [(now - KEPT_DAYS * DAY, now), (0, now)]
    for until in (now, now - 30 * MINUTE, now + HOUR):
        assert [item.guid for item in recent.between(now - DAY, until)] == ["a"]
    assert asked[2:] == [(desk.now_ms, now + HOUR)]
    news = news_at(desk)
    later = desk.now_ms + DAY
    assert list(news.seen(0, later)) == [], "it was entered a moment after the present"
    desk.now_ms += 1
    assert [item.guid for item in news.seen(0, later)] == ["a"]


def test_a_clock_that_was_days_ahead_leaves_nothing_unseen_once_it_is_right(desk: NewsDesk) -> None:
    news = news_at(desk)
    desk.enter(told("a"))
    for back_ms, late in ((3 * DAY - HOUR, "b"), (HOUR // 2, "c")):
        desk.now_ms += 3 * DAY
        ahead_ms = desk.now_ms
        assert news.seen(0, ahead_ms)
        assert news.collection(ahead_ms).until_ms == ahead_ms
        desk.now_ms -= back_ms
        desk.enter(told(late))
        desk.now_ms += 1
        for until_ms in (desk.now_ms, ahead_ms + HOUR):
            desk.now_ms = max(desk.now_ms, until_ms)
            since_ms = until_ms - 30 * DAY
            assert list(news.seen(since_ms, until_ms)) == desk.store.seen(since_ms, until_ms)
            assert news.collection(until_ms) == desk.store.collection(until_ms)
        assert news.seen(desk.now_ms - 30 * DAY, desk.now_ms)[-1].guid == late


def item(id_: int, at_ms: int, story: int, headline: str = "x", source: str = "a") -> NewsItem:
    return NewsItem(id_, source, str(id_), None, headline, "press", at_ms, at_ms, story)


def test_a_story_begins_with_the_first_headline_about_the_subject_and_anew_after_two_days() -> None:
    rows = [
        (item(1, NOON, 1, "first"), None),
        (item(2, NOON + HOUR, 1, "second"), "x"),
        (item(3, NOON + 2 * HOUR, 1, "other's", "b"), None),
        (item(4, NOON + 3 * HOUR, 1, "edited"), "x"),
        (item(5, NOON + 4 * HOUR, 5), None),
        (item(6, NOON + 3 * HOUR + SAME_STORY_MS, 1), "x"),
        (item(7, NOON + 4 * HOUR + 2 * SAME_STORY_MS, 1), "x"),
    ]
    items, aliases = [row[0] for row in rows], [row[1] for row in rows]
    begun = beginnings(items, aliases, 0)
    found = stories(items, aliases, begun)
    assert [(story.first.id, [later.id for later in story.later]) for story in found] == [(2, [3, 4, 6]), (7, [])]
    for until, wording in [(4, "edited"), (3, "second")]:
        assert stories(items[1:until], aliases[1:until], [0])[0].headline == wording, "of the source that told it first"
    assert stories(items, aliases, begun[1:]) == found[1:]
    assert (stories(items, aliases, []), counted(items, begun, {})) == (
        [],
        [items[1].first_seen_ms, items[6].first_seen_ms],
    )
    later = beginnings(items[3:], aliases[3:], NOON + 3 * HOUR)
    assert [items[3:][place].id for place in later] == [7], "it had begun before, however far back that is not known"


def test_only_what_was_new_when_it_was_seen_is_counted() -> None:
    def dated(published_ms: int | None) -> NewsItem:
        return NewsItem(1, "a", "1", None, "x", "press", published_ms, NOON, 1)

    cases = {NOON: 1, NOON - FRESH_MS: 1, NOON - FRESH_MS - 1: 0, NOON + 1: 0, None: 0}
    for published, expected in cases.items():
        begun = beginnings([dated(published)], ["x"], 0)
        assert len(counted([dated(published)], begun, {"a": [0]})) == expected, published
        assert len(begun) == (trouble_of(dated(published)) is None)


def test_of_a_source_that_is_read_anew_only_what_is_an_hour_old_is_counted_for_an_hour(desk: NewsDesk) -> None:
    def read(source: str, *headlines: str, hours: int = 5) -> None:
        dated = (desk.now_ms - hours * HOUR for _ in headlines)
        desk.enter(*map(told, headlines, headlines, dated), source=source, kind="press")

    def counts() -> int:
        desk.now_ms += 10
        return round(float(news_at(desk).per_hour("BTC", np.array([desk.now_ms]), 24)[0]) * 24)

    desk.now_ms -= 9 * DAY
    read("late")
    for _ in range(8):
        read("wire")
        desk.now_ms += DAY
    for _ in range(60):
        read("wire")
        desk.now_ms += HOUR // 2
    read("wire", "Bitcoin rises")
    assert counts() == 1
    for source in ("new", "late"):
        before = counts()
        read(source, *(f"BTC {source} of {number}0 dollars" for number in range(2, 12)))
        assert counts() == before, "what it had already is shown, not counted"
        read(source, f"Bitcoin and {source} news", hours=0)
        assert counts() == before + 1
        for _ in range(2):
            desk.now_ms += HOUR // 2
            read("wire")
        read(source, f"Fund with {source} buys BTC")
        assert counts() == before + 2
    assert len(news_at(desk).seen(NOON - DAY, desk.now_ms)) == 25
