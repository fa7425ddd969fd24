"""The time slider: the whole page as of any moment, by mouse, by keyboard, and by a link that is shared."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.page.conftest import Site
from tests.page.opening import goes, heading, opened_at
from tests.rigs.browser import PHONE, Browser, OpenPage

PAST = "2026-05-18T09:30:00Z"


def moments_asked(opened: OpenPage) -> list[str | None]:
    """Note as of which moment each further call is asked; None is now."""
    moments: list[str | None] = []

    def note(request: Any) -> None:
        if request.url.endswith("/mcp"):
            moments.append(request.headers.get("x-trader-as-of"))

    opened.page.on("request", note)
    return moments


def moment_in(url: str) -> datetime | None:
    """Return the moment in an address; None is now."""
    texts = parse_qs(urlsplit(url).fragment.partition("?")[2]).get("as_of")
    return None if texts is None else datetime.fromisoformat(texts[0])


def arrived(opened: OpenPage, wanted: Callable[[datetime | None], bool]) -> datetime | None:
    """Wait until the moment in the address is as wanted, and return it."""
    opened.page.wait_for_url(lambda url: wanted(moment_in(url)))
    return moment_in(opened.page.url)


def is_now(moment: datetime | None) -> bool:
    return moment is None


def is_past(moment: datetime | None) -> bool:
    return moment is not None


def slider(opened: OpenPage) -> Any:
    """Open the bar, and wait until it knows where the history begins."""
    opened.page.locator("#clock").click()
    opened.page.locator(".timebar[aria-busy=false]").wait_for()
    return opened.page.get_by_role("slider", name="Moment")


def test_a_shared_link_shows_the_page_as_of_its_moment(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, f"costs?as_of={PAST}") as opened:
        heading(opened, "Costs")
        assert opened.page.title() == "Costs · Claude Trader"
        asked = moments_asked(opened)
        assert opened.page.locator("#past").inner_text().startswith("You see what was known on 18 May, 09:30.")
        goes(opened, "Strategies")
        heading(opened, "Strategies")
        found = slider(opened)
        assert found.get_attribute("aria-valuetext") == "18 May, 09:30"
        assert opened.page.get_by_label("Moment, in your time zone").input_value() == "2026-05-18T09:30"
        assert asked[-1] is None  # the slider itself asks for its limits
        opened.page.get_by_role("button", name="Back to now").click()
        assert arrived(opened, is_now) is None
        assert opened.page.locator("#past").is_hidden()
        assert found.get_attribute("aria-valuetext") == "now"
        goes(opened, "Costs")
        assert moment_in(opened.page.url) is None


def test_the_slider_goes_from_the_first_run_to_now_by_keys_and_dragged_asks_only_for_where_it_rests(
    site: Site, chromium: Browser
) -> None:
    ((begin,),) = site.sample.database.read(
        lambda connection: connection.execute("SELECT min(started_at) FROM executions").fetchall()
    )
    begin = begin.replace(tzinfo=UTC, microsecond=0)
    with opened_at(site, chromium, "costs") as opened:
        found = slider(opened)
        assert datetime.fromtimestamp(int(found.get_attribute("min")) / 1000, UTC) == begin
        step = timedelta(milliseconds=int(found.get_attribute("step")))
        found.focus()
        opened.page.keyboard.press("ArrowLeft")
        back = arrived(opened, is_past)
        assert back is not None
        assert timedelta() < site.now - back <= step
        assert opened.page.locator("#past").is_visible()
        opened.page.keyboard.press("Home")
        assert arrived(opened, lambda moment: moment is not None and moment <= begin) == begin
        opened.page.keyboard.press("End")
        assert arrived(opened, is_now) is None
        asked = moments_asked(opened)
        opened.run("""() => {
            const range = document.querySelector("[type=range]"), middle = (Number(range.min) + Number(range.max)) / 2;
            for (let at = 0; at < 100; at++) {
                range.value = middle + at * range.step;
                range.dispatchEvent(new Event("input"));
            }
        }""")
        rested = arrived(opened, is_past)
        goes(opened, "Strategies")
        heading(opened, "Strategies")
        assert rested is not None
        assert {text for text in asked if text is not None} <= {rested.isoformat().replace("+00:00", "Z")}
        assert found.is_visible()
        opened.page.get_by_role("button", name="Back to now").click()
        assert arrived(opened, is_now) is None
        opened.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        a_day_back_and_forth_and_any_moment_by_the_field(site, opened)


def a_day_back_and_forth_and_any_moment_by_the_field(site: Site, opened: OpenPage) -> None:
    """Assert that of a page whose bar is open."""
    page, day = opened.page, timedelta(days=1)
    assert page.get_by_role("button", name="+1 day").is_disabled()
    page.get_by_role("button", name="1 day").first.click()
    assert arrived(opened, is_past) == site.now.replace(microsecond=0) - day
    page.get_by_role("button", name="+1 day").click()
    assert arrived(opened, is_now) is None
    page.get_by_label("Moment, in your time zone").fill("2026-05-17T08:15")
    assert arrived(opened, is_past) == datetime(2026, 5, 17, 8, 15, tzinfo=UTC)
    assert opened.violations("#past, .timebar") == []
    page.go_back()
    assert arrived(opened, is_now) is None
    page.get_by_label("Moment, in your time zone").fill("2031-01-01T00:00")
    assert moment_in(opened.page.url) is None
    assert page.locator("#past").is_hidden()


@pytest.mark.parametrize(
    "whole", [pytest.param(False, id="from the past"), pytest.param(True, id="from now", marks=pytest.mark.long)]
)
def test_the_page_goes_from_slot_to_slot_of_the_strategy_that_is_shown(
    site: Site, chromium: Browser, whole: bool
) -> None:
    slots = site.sample.database.read(
        lambda connection: connection.execute(
            "SELECT DISTINCT coalesce(scheduled_until, as_of) AS slot FROM executions e JOIN strategies s "
            "ON s.id = e.strategy_id WHERE s.name = 'btc-trend' AND started_at <= ? ORDER BY slot DESC LIMIT 2",
            [site.now.replace(tzinfo=None)],
        ).fetchall()
    )
    last, before = (slot.replace(tzinfo=UTC, microsecond=0) for (slot,) in slots)
    begin = "" if whole else f"?tab=files&as_of={last:%Y-%m-%dT%H:%M:%SZ}"
    with opened_at(site, chromium, f"strategy/btc-trend{begin}") as opened:
        slider(opened)
        back, forth = (opened.page.get_by_role("button", name=name) for name in ("Last slot", "Next slot"))
        if whole:
            back.click()
            assert arrived(opened, is_past) == last
        back.click()
        assert arrived(opened, lambda moment: moment is not None and moment < last) == before
        forth.click()
        due = arrived(opened, lambda moment: moment is not None and moment > before)
        assert due is not None
        assert last < due < last + timedelta(minutes=1)
        opened.page.get_by_text("You see what was known on 20 May").wait_for()
