"""A page that is opened where others were before finds nothing of theirs."""

from tests.page.conftest import Site
from tests.page.opening import opened_at
from tests.rigs.browser import Browser

STORE = "localStorage.setItem('theirs', '1'); document.cookie = 'theirs=1'"
FIND = "[localStorage.length, document.cookie, history.state, sessionStorage.length, window.theirs]"


def test_nothing_that_a_page_has_stored_is_there_for_the_next(site: Site, chromium: Browser) -> None:
    with opened_at(site, chromium, "nonsense") as opened:
        fresh = opened.run(FIND)
        opened.run(f"{STORE}; sessionStorage.setItem('theirs', '1'); window.theirs = 1")
        context = opened.page.context
    with opened_at(site, chromium, "nonsense") as opened:
        assert opened.page.context is context, "it is kept, as a new one takes a process of its own"
        assert opened.run(FIND) == fresh
