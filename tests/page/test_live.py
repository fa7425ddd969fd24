"""The page stays true by itself: what changes appears, and a connection that is lost is told of and comes back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.page.conftest import Site
from tests.page.opening import heading, opened_at
from tests.page.strategy_facts import kept_as_it_was
from tests.page.test_costs import table
from tests.rigs import warm
from tests.rigs.browser import Browser, OpenPage
from tests.rigs.sample_strategies import TREND

MARKET = "market?symbol=BTC/USDT"
REFUSED = "error: Failed to load resource: net::ERR_FAILED"
HIDE = "hidden => Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })"
LOOK = "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))"


@contextmanager
def unreachable(opened: OpenPage) -> Iterator[None]:
    """Let no call reach the server until the block ends; the browser's own complaints of it are expected."""
    opened.page.route("**/mcp", lambda route: route.abort())
    yield
    opened.page.unroute("**/mcp")
    opened.complaints[:] = [line for line in opened.complaints if line != REFUSED]


def other_process(site: Site, *arguments: str) -> None:
    """Run the command line on the same home."""
    environment = {**os.environ, "TRADER_HOME": str(site.server.home), "TRADER_EXCHANGE": "simulated"}
    code, _, error = warm.run(arguments, environment, site.server.home, 60)
    assert code == 0, error


def status(opened: OpenPage, text: str) -> Any:
    """Wait until the page tells of its connection."""
    told = opened.page.locator("#status").filter(has_text=text)
    told.wait_for()
    return told


@pytest.mark.long
def test_what_another_process_changes_appears_by_itself(site: Site, chromium: Browser) -> None:
    with kept_as_it_was(site, TREND), opened_at(site, chromium) as opened:
        card = opened.page.locator("main .card", has=opened.page.get_by_role("link", name=TREND, exact=True))
        card.get_by_text("scheduled").wait_for()
        opened.page.evaluate("window.sameDocument = true")
        for command, state in (("pause", "paused"), ("resume", "scheduled")):
            other_process(site, "strategies", command, TREND)
            card.get_by_text(state, exact=True).wait_for()
        assert opened.run("window.sameDocument") is True


def test_what_changes_is_asked_for_within_three_seconds(site: Site, chromium: Browser) -> None:
    """Another process changes it; the browser's clock stands still but for the three seconds after that."""
    context = chromium.context()
    context.clock.install(time=site.now)
    page = context.new_page()
    try:
        page.goto(site.url)
        card = page.locator("main .card", has=page.get_by_role("link", name=TREND, exact=True))
        card.get_by_text("scheduled", exact=True).wait_for()
        page.evaluate("window.sameDocument = true")
        page.clock.pause_at(site.now + timedelta(minutes=1))
        with kept_as_it_was(site, TREND):
            other_process(site, "strategies", "pause", TREND)
            page.clock.run_for(3_000)
            card.get_by_text("paused", exact=True).wait_for()
        assert page.evaluate("window.sameDocument") is True
    finally:
        context.close()


def test_a_lost_connection_is_told_and_comes_back_by_itself(site: Site, chromium: Browser) -> None:
    """A view that was opened meanwhile is filled then: with the costs that were known at its moment."""
    with opened_at(site, chromium, "nonsense?as_of=2026-05-18T23:59:00Z") as opened:
        assert opened.page.locator("#status").inner_text() == ""
        with unreachable(opened):
            opened.run("location.hash = '#/costs?as_of=2026-05-18T23:59:00Z'")
            assert status(opened, "Connection lost. Trying again").get_attribute("role") == "status"
        status(opened, "Connected again.")
        assert opened.page.locator("#problems").inner_text() == ""
        assert [*table(opened, "Costs by day (UTC)")] == ["2026-05-18"]
        assert opened.page.locator("meter").count() == 0, "what the budget was is not kept"


def test_one_slow_answer_is_no_lost_connection(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "costs") as opened:
        held: list[Any] = []

        def hold(route: Any) -> None:
            if released:
                route.continue_()
            else:
                held.append(route)

        released = False
        with opened.page.expect_request("**/mcp"):  # its next turn asks, and is not answered
            opened.page.route("**/mcp", hold)
        heading(opened, "Costs")
        assert opened.page.locator("#status").inner_text() == ""
        released = True
        with opened.page.expect_response("**/mcp"):
            for route in held:
                route.continue_()
        assert opened.page.locator("#status").inner_text() == ""


def test_a_page_that_nobody_looks_at_rests_and_asks_at_once_when_it_is_looked_at(site: Site, chromium: Browser) -> None:
    with chromium.open(f"{site.url}health", fresh=True) as opened:
        opened.page.clock.install(time=site.now)
        opened.page.goto(f"{site.url}#/{MARKET}")
        opened.page.locator(".chart canvas").first.wait_for()
        with opened.page.expect_request("**/mcp"):
            opened.page.clock.fast_forward(3_000)
        opened.page.evaluate(HIDE, True)
        opened.page.clock.fast_forward(15_000)  # turns that were under way come to their end
        opened.page.wait_for_load_state("networkidle")
        before = len(opened.requests)
        for _ in range(10):
            opened.page.clock.fast_forward(60_000)
        assert len(opened.requests) == before
        opened.page.evaluate(HIDE, False)
        with opened.page.expect_request("**/mcp"):
            opened.run(LOOK)
