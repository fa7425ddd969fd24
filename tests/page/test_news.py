"""A run whose sub-agents saw news shows the headlines: links to https alone, and no markup of strangers."""

from datetime import timedelta
from typing import Any

import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, SlotRow, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.news.store import NewsStore
from tests.page.conftest import Site
from tests.page.opening import opened_at
from tests.page.strategy_facts import selected, with_strategy
from tests.rigs.browser import PHONE, Browser
from tests.rigs.news_trace import news_answer, news_call, news_trace
from tests.rigs.sample_runs import SampleRun

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

MARKUP = "<img src=x onerror=alert(1)> ![x](https://evil.example/x.png)"
SWAPPED = "https://swapped.example/a"
"""The server's answer has a script in place of this address: the page looks for itself."""

SEEN = "2026-05-20T08:40:30Z"


def test_a_run_shows_the_news_that_its_sub_agents_saw(site: Site, chromium: Browser) -> None:
    database, name = site.sample.database, "shows-news"
    told = [Told("g", "https://wire.example/fall?a=1&b=2", "Bitcoin falls", None)]
    NewsStore(database).enter(NewsFetch("wire", 0, "ok", 1), Feed("wire", "https://wire.example/feed", "press"), told)
    ((news_id,),) = selected(site, "SELECT id FROM news WHERE guid = 'g'")
    rules = {"timeframe": "15m", "indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 30)"}
    config = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "15m", "rules": rules}
    strategy, then = parse_strategy(name, config, None), site.now - timedelta(minutes=5)
    brief = [[news_id, None, SEEN, "wire", "Bitcoin falls", 0], [10**9, None, None, "unknown", MARKUP, 0]]
    links = ["javascript:alert(1)", "http://plain.example", "https://safe.example/a", "//evil.example", SWAPPED]
    full = [
        [0, SEEN, "wire", f"Headline {place}", url, "undated" if place == 1 else None]
        for place, url in enumerate(links)
    ]
    calls = [
        news_call(news_answer(brief, withheld={"undated": 2, "dated_in_the_future": 1})),
        news_call(news_answer(full, ["id", "first_seen_at", "source", "headline", "url", "withheld"])),
        news_call("Nothing was collected by then.", is_error=True),
    ]
    outcome = Outcome(Status.SUCCESS, Signal("BUY", None, "why", 0.1, {}), trace=news_trace(*calls), **NOTHING_SPENT)
    run = SampleRun(strategy, SlotRow(Status.RUNNING, then, then), outcome, trigger="manual", began_at=then)

    def swap(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(SWAPPED, "javascript:alert(2)"))

    with (
        with_strategy(site, strategy, [run]) as (run_id,),
        opened_at(site, chromium, f"strategy/{name}", PHONE) as opened,
    ):
        opened.page.route("**/mcp", swap)
        opened.page.locator(f"#run-{run_id}").get_by_role("button").click()
        detail = opened.page.locator("tr.detail")
        expect(detail.get_by_role("heading", name="News that its sub-agents saw")).to_be_visible()
        expect(detail).to_contain_text("news-agent saw 2 headlines about BTC, as of 20 May")
        expect(detail).to_contain_text("withheld: 2 undated, 1 dated in the future")
        items = detail.locator("ul.news > li")
        expect(items).to_have_count(7)
        expect(items.first).to_contain_text("wire, first seen 20 May")
        expect(items.nth(1)).to_contain_text(f"{MARKUP} unknown, first seen at an unknown time")
        expect(items.nth(3)).to_contain_text(", withheld: undated")
        link = items.first.get_by_role("link", name="Bitcoin falls")
        expect(link).to_have_attribute("href", "https://wire.example/fall?a=1&b=2")
        expect(link).to_have_attribute("rel", "noreferrer noopener")
        assert detail.locator("a").evaluate_all("links => links.map((link) => link.href)") == [
            "https://wire.example/fall?a=1&b=2",
            "https://safe.example/a",
        ]
        assert detail.locator("img, script, iframe").count() == 0
        assert not opened.is_wider_than_the_screen()
        assert opened.violations("tr.detail") == []
        opened.page.unroute_all(behavior="ignoreErrors")
