"""Which Host and which Origin a server answers to."""

import pytest

from mcp_server.http.allowed_hosts import AllowedHosts
from mcp_server.http.refusal import Refused

HERE = AllowedHosts("127.0.0.1", 8000)
EVERYWHERE = AllowedHosts("0.0.0.0", 8000, ["Trader.example."])  # noqa: S104 (it is only named)


def _refusal(names: AllowedHosts, host: str, origin: str | None = None) -> int | None:
    try:
        names.check(host, origin)
    except Refused as refused:
        return refused.status
    return None


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000"])
def test_on_this_machine_its_own_names_and_port_are_known(host: str) -> None:
    assert _refusal(HERE, host) is None
    assert _refusal(HERE, host, f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:1", "127.0.0.2:8000", "10.0.0.5:8000", "trader.example", "localhost", "[::1]:8000"],
)
def test_on_this_machine_nothing_else_is(host: str) -> None:
    assert _refusal(HERE, host) == 421


@pytest.mark.parametrize(
    "host",
    ["trader.example", "TRADER.example:443", "trader.example.", "10.0.0.5:8000", "[fd00::1]:8000", "localhost:8000"],
)
def test_beyond_it_public_names_and_every_address_are(host: str) -> None:
    """An address is no name that a stranger could point at this server."""
    assert _refusal(EVERYWHERE, host) is None
    assert _refusal(EVERYWHERE, host, f"https://{host}") is None


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "trader.example.evil.example", "eviltrader.example", "trader.example@evil.example",
        "evil@trader.example", "trader.example/", "trader.example:port", "trader.example:999999", "[::1",
        "10.0.0.5.nip.io", "trader.example#x", "trader.example?x", "trader.example\\evil",
    ],
)  # fmt: skip
def test_beyond_it_other_names_are_not(host: str) -> None:
    assert _refusal(EVERYWHERE, host) == 421
    assert _refusal(EVERYWHERE, "trader.example", f"https://{host}") == 403


@pytest.mark.parametrize("origin", ["", "null", "trader.example", "ftp://trader.example", "https:trader.example"])
def test_an_origin_is_a_web_page_of_this_server(origin: str) -> None:
    assert _refusal(EVERYWHERE, "trader.example", origin) == 403


def test_the_usual_port_may_be_left_out() -> None:
    assert _refusal(AllowedHosts("127.0.0.1", 80), "localhost") is None
    assert _refusal(AllowedHosts("::1", 8000), "[::1]:8000") is None
