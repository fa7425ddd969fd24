"""Whoever starts the server is told where the page is."""

import pytest

from mcp_server.http.pages.where import where_the_page_is


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"), ("localhost", "http://localhost:8000/"), ("::1", "http://[::1]:8000/"),
        ("192.168.1.20", "http://192.168.1.20:8000/"), ("::", "http://[::1]:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),  # noqa: S104
    ],
)  # fmt: skip
def test_it_is_an_address_that_opens_on_this_machine(host: str, address: str) -> None:
    assert where_the_page_is(host, 8000, []).startswith(f"Open {address} in a browser")


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.20"])
def test_one_address_needs_no_more_words(host: str) -> None:
    assert where_the_page_is(host, 8000, []).endswith("/ in a browser.")


def test_a_server_on_all_addresses_says_which_one_other_devices_take() -> None:
    assert "on another device, this machine's address" in where_the_page_is("0.0.0.0", 8000, [])  # noqa: S104


def test_public_names_are_told() -> None:
    names = ["trader.example", "trader.fly.dev"]
    for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104
        assert where_the_page_is(host, 8000, names).endswith(", or trader.example or trader.fly.dev from elsewhere.")
