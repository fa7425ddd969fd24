"""Everyone can use the page: axe-core finds nothing of any impact on any view, in both themes, at any size."""

import pytest

from tests.page.conftest import Site
from tests.page.opening import VIEWS, heading, opened_at, settled
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage
from tests.rigs.sample_strategies import PAUSED

PAST = "as_of=2026-05-18T09:30:00Z"
LARGEST = (3840, 2160)
TOO_SMALL = """() => [...document.querySelectorAll("header :is(button, nav a), main :is(select, .tabs > *)")]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 44)
    .map((node) => node.outerHTML)"""
WIDTH = "document.querySelector('main').firstElementChild.getBoundingClientRect().width"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
DARK = "rgb(11, 14, 20)"
HEADINGS = {
    "home": "Strategies",
    "strategy": PAUSED,
    "market": "Market",
    "costs": "Costs",
    "nothing": "There is no such page",
}
FONT_PX = "parseFloat(getComputedStyle(document.body).fontSize)"


def resized(opened: OpenPage, size: tuple[int, int]) -> None:
    opened.page.set_viewport_size({"width": size[0], "height": size[1]})
    opened.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not opened.is_wider_than_the_screen(), size


def in_theme(opened: OpenPage, theme: str) -> None:
    """Let the reader's system change its theme, and wait until the page is drawn in it."""
    before = opened.run(BACKGROUND)
    opened.page.emulate_media(color_scheme=theme)
    opened.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert opened.run(BACKGROUND) != before


def check(opened: OpenPage, whole: bool, part: str | None = None) -> None:
    """Look at a view that is open, as large as on a desktop, on a phone, and on the largest screen, in both themes.

    Where this is not whole, all is dark, and axe looks at a part of the desktop: others let it look at the light ones.
    """
    settled(opened)
    assert opened.violations(part) == []
    if whole:
        in_theme(opened, "light")
        assert opened.violations() == []
    resized(opened, PHONE)
    if whole:
        assert opened.violations() == []
        in_theme(opened, "dark")
        assert opened.violations() == []
    assert opened.run(TOO_SMALL) == []
    resized(opened, LARGEST)
    assert opened.run(WIDTH) > LARGEST[0] * 0.7
    assert opened.run(FONT_PX) >= 20


def test_axe_finds_nothing_and_each_view_fits_any_screen(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "", DESKTOP, dark=True) as opened:
        for name, place in {**VIEWS, "strategy": f"strategy/{PAUSED}"}.items():
            opened.run(f"location.hash = '#/{place}'")
            heading(opened, HEADINGS[name])
            assert opened.run(BACKGROUND) == DARK
            check(opened, whole=False, part=None if name == "home" else "main")  # what is around it is always the same
            resized(opened, DESKTOP)


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_in_either_theme_at_any_size(site: Site, chromium: Browser, view: str) -> None:
    with opened_at(site, chromium, VIEWS[view], DESKTOP, dark=True) as opened:
        check(opened, whole=True)


@pytest.mark.long
def test_axe_finds_nothing_in_the_past_with_a_problem_on_top(site: Site, chromium: Browser) -> None:
    """In `make test`, test_slider.py lets axe look at the bar and at what tells of the past."""
    with opened_at(site, chromium, f"strategy/nobody?{PAST}", DESKTOP, dark=True) as opened:
        opened.page.locator("#clock").click()
        opened.page.get_by_role("slider").wait_for()
        check(opened, whole=True)
