"""Addresses of pages: which of them are one, and which only look alike."""

import pytest

from mcp_server.domain.news.item import Told
from mcp_server.domain.news.same_story import canonical_url, shared_addresses

PAGE = "https://www.coindesk.com/markets/2026/05/01/bitcoin-slides/"


@pytest.mark.parametrize(
    "other",
    [
        "https://coindesk.com/markets/2026/05/01/bitcoin-slides",
        "http://www.coindesk.com/markets/2026/05/01/bitcoin-slides/#comments",
        "https://WWW.CoinDesk.com:443/markets/2026/05/01/bitcoin-slides/?utm_source=rss&UTM_Medium=feed",
        "https://www.coindesk.com/markets/2026/05/01/bitcoin-slides?fbclid=abc&gclid=1&mc_cid=2",
    ],
)
def test_an_address_is_one_however_it_is_reached(other: str) -> None:
    assert canonical_url(other) == canonical_url(PAGE) == "coindesk.com/markets/2026/05/01/bitcoin-slides"


@pytest.mark.parametrize(
    "other",
    [
        "https://www.coindesk.com/markets/2026/05/02/bitcoin-slides/",
        "https://www.coindesk.com/Markets/2026/05/01/bitcoin-slides/",
        "https://www.coindesk.com/markets/2026/05/01/bitcoin-slides/?page=2",
        "https://www.coindesk.com/markets/2026/05/01/bitcoin-slides/?id=utm_source",
        "https://www2.coindesk.com/markets/2026/05/01/bitcoin-slides/",
        "https://www.coindesk.com:8443/markets/2026/05/01/bitcoin-slides/",
    ],
)
def test_an_address_that_only_looks_alike_is_another(other: str) -> None:
    assert canonical_url(other) != canonical_url(PAGE)


def test_parameters_may_stand_in_any_order() -> None:
    one, other = (canonical_url(f"https://a.example/news?{query}") for query in ("id=1&lang=en", "lang=en&id=1"))
    assert one == other == "a.example/news?id=1&lang=en"


@pytest.mark.parametrize(
    "text", ["https://a.example", "https://a.example/", "https://www.a.example/?utm_source=x", "javascript:alert(1)"]
)
def test_what_names_no_page_has_no_address(text: str) -> None:
    assert canonical_url(text) is None


@pytest.mark.parametrize("text", ["", "https://[::1", "https://a:b:c/d", "https://a.example:99999/x", "https:///x"])
def test_what_is_no_address_at_all_has_none(text: str) -> None:
    assert canonical_url(text) is None


def test_an_address_that_a_feed_gives_to_several_items_is_shared() -> None:
    told = [Told(guid, f"https://a.example/{path}", guid, None) for guid, path in [("1", "x"), ("2", "x"), ("3", "y")]]
    assert shared_addresses([*told, told[2], Told("4", None, "d", None)]) == {"a.example/x"}
