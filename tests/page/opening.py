"""Opens the page of a site, and checks at the end that the browser has complained of nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.page.conftest import Site
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage

VIEWS = {
    "home": "",
    "strategy": "strategy/btc-trend",
    "market": "market?symbol=BTC/USDT",
    "costs": "costs",
    "nothing": "nonsense",
}
"""Places of each view, as they stand behind `#/`."""

SIZES = pytest.mark.parametrize(
    "size", [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone", marks=pytest.mark.long)]
)
"""Of screens. Whether each view fits a phone, test_access.py asks in `make test`, too."""

THEMES = pytest.mark.parametrize(
    "dark", [pytest.param(False, id="light"), pytest.param(True, id="dark", marks=pytest.mark.long)]
)
"""What each view looks like in both themes, test_access.py asks in `make test`, too."""

FOCUSED = "node => node === document.activeElement"


@contextmanager
def opened_at(
    site: Site, chromium: Browser, place: str = "", size: tuple[int, int] = DESKTOP, *, dark: bool = False
) -> Iterator[OpenPage]:
    """Open the page at a place (what stands behind `#/`), at the present of the site."""
    with chromium.open(f"{site.url}#/{place}", size, dark=dark, now=site.now) as opened:
        yield opened
        assert opened.complaints == []
        assert not opened.is_wider_than_the_screen()


def heading(opened: OpenPage, text: str) -> Any:
    """Wait for a view: it is there when its heading is."""
    found = opened.page.get_by_role("heading", level=1, name=text, exact=True)
    found.wait_for()
    return found


def settled(opened: OpenPage) -> None:
    """Wait until nothing of the view is still loading."""
    opened.page.locator("main h1").wait_for()
    opened.page.locator("main .skeleton").first.wait_for(state="detached")


def goes(opened: OpenPage, name: str) -> None:
    """Follow a link of the navigation."""
    opened.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
