"""The JSON of each service, as it is sent, and with anything wrong in any place of it."""

import json
import random
from typing import Any

import pytest

from mcp_server.adapters.news.items import told_items
from mcp_server.adapters.news.json_feeds import read_json
from mcp_server.adapters.news.web import NotRead
from mcp_server.domain.news.feed import FeedForm
from mcp_server.domain.news.item import Told
from tests.acceptance.hostile_texts import HALVES, TEXTS, hidden
from tests.chains.test_wicked_answers import WICKED, places, spoiled
from tests.rigs.news_feeds import WRITERS, Story

NOON_MS = 1_772_452_800_000
FORMS: tuple[FeedForm, ...] = ("binance", "okx", "gdelt", "fear_greed")
DATES = {"binance": str(NOON_MS), "okx": str(NOON_MS), "gdelt": "20260302T120000Z", "fear_greed": "1772409600"}


def told(form: FeedForm, body: bytes) -> list[Told]:
    return told_items(read_json(form, body), "https://news.example/")


def test_binances_announcement_has_its_page_and_its_time() -> None:
    story = Story("Binance Will List Example (EXA)", guid="80889caa7146492f9de2a2627fa30a4d", published=str(NOON_MS))
    url = "https://www.binance.com/en/support/announcement/80889caa7146492f9de2a2627fa30a4d"
    assert told("binance", WRITERS["binance"]([story])) == [Told(str(story.guid), url, story.headline, NOON_MS)]


def test_okxs_announcement_has_the_time_at_which_it_appeared() -> None:
    url = "https://www.okx.com/help/okx-to-list-exa"
    body = WRITERS["okx"]([Story("OKX to list EXA", url, published=str(NOON_MS))])
    shown_later = body.replace(b'"businessPTime": "1772452800000"', b'"businessPTime": "1772539200000"')
    assert shown_later != body
    assert told("okx", shown_later) == [Told(url, url, "OKX to list EXA", NOON_MS)]


def test_gdelts_article_has_the_time_at_which_gdelt_first_saw_it() -> None:
    url = "https://paper.example/a"
    body = WRITERS["gdelt"]([Story("Bitcoin , again", url, published="20260302T120000Z")])
    assert told("gdelt", body) == [Told(url, url, "Bitcoin , again", NOON_MS)]
    assert told("gdelt", b"{}") == []


def test_the_index_is_a_number_of_its_utc_day() -> None:
    body = WRITERS["fear_greed"]([Story("Extreme \u202eFear", published="1772409600", value="25")])
    url = "https://alternative.me/crypto/fear-and-greed-index/"
    headline = "Fear & Greed Index 25: Extreme Fear"
    assert told("fear_greed", body) == [Told("2026-03-02", url, headline, 1_772_409_600_000, 25.0)]


@pytest.mark.parametrize("value", ["101", "-1", "25.5", "", "NaN", "1e1", "\u0665", "0025"])
def test_an_index_that_is_no_number_from_0_to_100_is_left_out(value: str) -> None:
    assert told("fear_greed", WRITERS["fear_greed"]([Story("Fear", published="1772409600", value=value)])) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("date", [None, "", "yesterday", "2099", "1772452800.5", "-5", "2026-03-02T12:00:00"])
def test_a_time_in_any_other_form_is_none(form: FeedForm, date: str | None) -> None:
    items = told(form, WRITERS[form]([Story("Bitcoin", published=date)]))
    assert [item.published_ms for item in items] == ([] if form == "fear_greed" else [None])


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_of_the_services_form_is_malformed(form: FeedForm) -> None:
    bodies = (b"", b"[]", b"null", b'{"a": 1}', b"<html>", b"[" * 100_000, b"\xff\xfe", b'{"data": 5, "articles": 5}')
    for body in (*bodies, b"Please limit requests to one every 5 seconds."):
        with pytest.raises(NotRead) as refused:
            told(form, body)
        assert refused.value.status == "malformed"


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("binance", b'{"code": "000002", "message": "illegal parameter", "data": {"catalogs": []}, "success": false}'),
        ("okx", b'{"code": "50011", "msg": "Too Many Requests", "data": []}'),
        ("fear_greed", b'{"name": "Fear and Greed Index", "data": [], "metadata": {"error": "Too many requests"}}'),
    ],
)
def test_an_error_of_the_service_is_no_list_without_items(form: FeedForm, body: bytes) -> None:
    with pytest.raises(NotRead) as refused:
        told(form, body)
    assert refused.value.status == "refused"


@pytest.mark.parametrize("form", FORMS)
def test_anything_in_any_place_is_items_or_malformed(form: FeedForm) -> None:
    chance = random.Random(1)  # noqa: S311 (a plan that is the same each time)
    sent = json.loads(WRITERS[form]([Story("Bitcoin", guid="g", published=DATES[form])] * 2))
    everywhere: list[tuple[Any, ...]] = list(places(sent))
    for _ in range(200):
        body = json.dumps(spoiled(sent, chance.choice(everywhere), chance.choice(WICKED))).encode()
        try:
            items = told(form, body)
        except NotRead:
            continue
        right = (None, NOON_MS, 1_772_409_600_000)
        assert all(item.published_ms in right and not hidden(item.headline) for item in items), body[:500]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_hides_in_a_text_comes_out(form: FeedForm) -> None:
    for text in (*TEXTS, *HALVES):
        story = Story(text, f"https://news.example/{text}", text, DATES[form], value=text)
        good = Story(text, text, text, DATES[form])
        for item in told(form, WRITERS[form]([story, good])):
            assert not hidden(item.headline + item.guid + (item.url or "")), text[:40]
            assert len(item.guid) <= 200
