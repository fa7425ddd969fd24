"""Which rows tell one story: by guid, by address, by headlines that are nearly equal; and which only look so."""

import pytest

from mcp_server.domain.news.item import Told
from mcp_server.storage.news.entry import MOST_NEW
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk, told

pytestmark = pytest.mark.usefixtures("kept_in")

FOMC = "Federal Reserve issues FOMC statement"


def test_two_sources_that_tell_the_same_within_two_days_are_one_story(desk: NewsDesk) -> None:
    desk.enter(told("a", "SEC approves spot bitcoin ETFs"))
    desk.now_ms += 2 * DAY - MINUTE
    desk.enter(told("b", "SEC Approves Spot Bitcoin ETFs | Decrypt"), source="decrypt")
    desk.now_ms += 2 * MINUTE
    desk.enter(told("c", "SEC approves spot Bitcoin ETFs"), source="theblock")
    first, second, third = desk.everything()
    assert (first.story, second.story) == (first.id, first.id)
    assert third.story == first.id  # by the second, which was seen within two days


def test_what_is_told_again_later_than_that_is_another_story(desk: NewsDesk) -> None:
    desk.enter(told("a", "SEC approves spot bitcoin ETFs"))
    desk.now_ms += 2 * DAY + MINUTE
    desk.enter(told("b", "SEC approves spot bitcoin ETFs"), source="decrypt")
    assert len(desk.stories()) == 2


def test_one_address_is_one_story_whatever_the_headline(desk: NewsDesk) -> None:
    desk.enter(told("a", "Exchange hacked", url="https://www.a.example/hack/?utm_source=rss"))
    desk.now_ms += 3 * DAY
    desk.enter(told("b", "Everything about the hack", url="http://a.example/hack#top"), source="gdelt")
    assert desk.stories() == [["Exchange hacked", "Everything about the hack"]]


def test_a_front_page_and_an_address_of_many_items_name_no_story(desk: NewsDesk) -> None:
    desk.enter(told("a", "Exchange hacked", url="https://a.example/"), told("b", "Rates fall", url="https://a.example"))
    status = "https://a.example/status"
    desk.enter(told("c", "Login is slow", url=status), told("d", "Withdrawals are halted", url=status))
    assert len(desk.stories()) == 4
    desk.now_ms += HOUR
    desk.enter(told("d", "Withdrawals are halted", url=status), told("e", "All is well", url=status))
    assert len(desk.stories()) == 5


def test_a_headline_that_comes_back_under_another_guid_and_day_is_a_story_of_its_own(desk: NewsDesk) -> None:
    before = [told(f"fomc-{weeks}", FOMC, NOON - weeks * 42 * DAY) for weeks in range(3)]
    desk.enter(*before, source="fed", kind="regulator")
    desk.now_ms += DAY
    desk.enter(told("fomc-next", FOMC, NOON + DAY), *before, source="fed", kind="regulator")
    assert [len(story) for story in desk.stories()] == [1, 1, 1, 1]


def test_two_exchanges_that_say_the_same_of_themselves_tell_two_stories(desk: NewsDesk) -> None:
    for source in ("binance", "okx"):
        desk.enter(told("1", "Scheduled System Maintenance", url=None), source=source, kind="announcement")
    assert len(desk.stories()) == 2
    desk.enter(told("2", "Scheduled system maintenance"))
    assert len(desk.stories()) == 2


def test_a_source_that_names_its_items_anew_each_time_does_not_fill_the_store(desk: NewsDesk) -> None:
    for turn in range(5):
        desk.enter(told(f"random-{turn}", "Bitcoin rises", NOON - HOUR), told(f"none-{turn}", "Ether falls", url=None))
        desk.now_ms += 5 * MINUTE
    assert desk.stories() == [["Bitcoin rises"], ["Ether falls"]]


def test_a_headline_that_goes_back_and_forth_is_kept_once_each_way(desk: NewsDesk) -> None:
    for turn in range(6):
        desk.enter(told("a", ("Bitcoin rises", "Why bitcoin rises")[turn % 2]))
        desk.now_ms += 5 * MINUTE
    assert desk.stories() == [["Bitcoin rises", "Why bitcoin rises"]]


def test_a_time_in_the_future_or_beyond_all_calendars_neither_joins_nor_parts(desk: NewsDesk) -> None:
    never = [told("b", "Ether falls", 10**18), told("c", "Gold falls", -(10**18))]
    desk.enter(told("a", "Bitcoin rises", NOON + 27_000 * DAY), *never)
    desk.enter(told("d", "Bitcoin rises", NOON - HOUR), told("e", "Ether falls"), source="decrypt")
    assert [len(story) for story in desk.stories()] == [2, 2, 1]
    assert [item.published_ms for item in desk.everything()[1:3]] == [None, None]


def test_an_index_has_a_story_for_each_day_and_each_change_of_it(desk: NewsDesk) -> None:
    for day, value in enumerate((25.0, 25.0, 31.0)):
        desk.now_ms = NOON + day * DAY
        number = Told(f"day-{day}", "https://a.example/index", f"Fear & Greed Index {value:g}", desk.now_ms, value)
        desk.enter(number, source="fear_greed", kind="index")
    assert desk.everything() == []
    values = desk.store.seen(0, desk.now_ms + 1, index=True)
    assert [(item.value, item.story == item.id) for item in values] == [(25.0, True), (25.0, True), (31.0, True)]
    assert desk.store.index(NOON) is None
    latest = desk.store.index(NOON + DAY + 1)
    assert latest is not None
    assert (latest.guid, latest.value) == ("day-1", 25.0)


def test_of_a_fetch_that_is_all_new_the_rest_follows_with_the_next(desk: NewsDesk) -> None:
    many = [told(f"{number}", f"Coin {number} is listed") for number in range(MOST_NEW + 7)]
    assert desk.enter(*many) == MOST_NEW
    assert desk.enter(*many) == 7
    assert desk.enter(*many) == 0
    assert len(desk.stories()) == MOST_NEW + 7
