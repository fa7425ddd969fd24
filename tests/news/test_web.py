"""An address of a stranger leads to the public internet or nowhere, and every answer has an end."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcp_server.adapters.news.web import MOST_BYTES, NotRead, Web
from mcp_server.domain.loopback import is_public
from tests.rigs.news_feeds import NewsFeeds, Story, news_feeds
from tests.rigs.tls_proxy import behind_tls

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2001:0:7f00:1::", "2001:db8::1", "", "localhost", "nonsense",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_ones_own_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "::ffff:1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


async def status_of(web: Web, url: str) -> str:
    try:
        return str((await web.get(url, {})).status)
    except NotRead as error:
        return error.status
    finally:
        await web.close()


def resolving(*addresses: str) -> Web:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Web(resolve=resolve)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_into_ones_own_network_is_refused(address: str) -> None:
    assert await status_of(resolving(address), "https://news.example/rss") == "private_address"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://news.example/rss", "not_https"), ("ftp://news.example/rss", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("https://127.0.0.1/", "private_address"), ("https://[::1]:8443/", "private_address"),
        ("https://[::ffff:127.0.0.1]/", "private_address"), ("https://user:secret@news.example/", "invalid_address"),
        ("https:///rss", "invalid_address"), ("https://[x/", "invalid_address"),
        ("https://a:99999/", "invalid_address"),
        ("", "not_https"), ("/rss", "not_https"), ("https://\u202e/", "invalid_address"),
    ],
)  # fmt: skip
async def test_an_address_that_is_no_public_https_one_is_refused(url: str, status: str) -> None:
    assert await status_of(Web(), url) == status


async def test_a_number_in_place_of_a_host_is_the_address_that_it_means() -> None:
    for host in ("2130706433", "0x7f000001", "127.1"):  # whatever the lookup makes of it, it is looked at after that
        assert await status_of(resolving("127.0.0.1"), f"https://{host}/") == "private_address"


async def test_a_name_without_an_address_is_unreachable() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert await status_of(Web(resolve=resolve), "https://news.example/rss") == "unreachable"


async def test_the_connection_goes_to_the_address_that_was_checked_and_the_certificate_is_the_names(
    tmp_path: Path,
) -> None:
    """A name that is looked up once more, for the connection, could lead elsewhere by then."""
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    with news_feeds() as rig, behind_tls(int(rig.url.rpartition(":")[2]), "news.example", tmp_path) as port:
        rig["coindesk"].stories = [Story("Bitcoin")]
        trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        allowed = {"127.0.0.1": True}.get
        web = Web(resolve=resolve, allowed=lambda address: bool(allowed(address)), tls=trusted)
        answer = await web.get(f"https://news.example:{port}/coindesk", {})
        assert b"Bitcoin" in answer.body
        assert looked_up == ["news.example"]
        assert rig["coindesk"].requests[0]["host"] == f"news.example:{port}"
        assert await status_of(web, f"https://news.example:{port}/coindesk") == "private_address"
        looked_up.clear()
        other = Web(resolve=resolve, allowed=lambda _: True, tls=trusted)
        assert await status_of(other, f"https://other.example:{port}/coindesk") == "unreachable", "not its certificate"


async def ends(rig: NewsFeeds, path: str = "/coindesk") -> str:
    return await status_of(Web(rig.url), rig.url + path)


async def test_what_is_longer_than_its_bound_is_not_read_on_however_it_is_packed() -> None:
    with news_feeds() as rig:
        feed = rig["coindesk"]
        feed.body = b"x" * MOST_BYTES
        assert await ends(rig) == "200"
        feed.body = b"x" * (MOST_BYTES + 1)
        assert await ends(rig) == "too_large"
        feed.gzipped = True
        assert await ends(rig) == "too_large"
        feed.huge = True
        assert await ends(rig) == "too_large"
        feed.gzipped = False
        assert await ends(rig) == "too_large"


async def test_packed_answers_are_unpacked_once_and_whole() -> None:
    with news_feeds() as rig:
        feed = rig["coindesk"]
        feed.stories, feed.gzipped = [Story("Bitcoin")], True
        web = Web(rig.url)
        assert b"Bitcoin" in (await web.get(f"{rig.url}/coindesk", {})).body
        await web.close()
        feed.gzipped, feed.body, feed.headers = False, b"\x1f\x8b\x08", {"content-encoding": "gzip"}
        assert await ends(rig) == "broken_off"
        feed.body = b"not packed"
        assert await ends(rig) == "broken_off"
        for coding in ("br", "gzip, gzip", "nonsense"):
            feed.headers = {"content-encoding": coding}
            assert await ends(rig) == "unknown_compression"


async def test_a_redirect_is_followed_to_where_one_may_read_and_not_for_ever() -> None:
    with news_feeds() as rig:
        rig["okx"].body = b"here"
        for status in (301, 302, 303, 307, 308):
            rig["coindesk"].redirect("/okx", status)
            web = Web(rig.url)
            assert (await web.get(f"{rig.url}/coindesk", {})).body == b"here"
            await web.close()
        for to, why in (
            ("http://news.example/", "not_https"), ("https://127.0.0.1/", "private_address"),
            ("/coindesk", "too_many_redirects"),
            ("https://169.254.169.254/latest/meta-data", "private_address"), ("https://[::1]/", "private_address"),
            ("javascript:alert(1)", "not_https"),
            (f"http://x@{rig.url[7:]}/okx", "not_https"), ("", "too_many_redirects"),
            ("https://[x/", "invalid_address"), ("file:///etc/passwd", "not_https"),
        ):  # fmt: skip
            rig["coindesk"].redirect(to)
            assert await ends(rig) == why, to


async def test_no_cookie_comes_back() -> None:
    with news_feeds() as rig:
        rig["coindesk"].headers = {"set-cookie": "seen=1; Path=/"}
        web = Web(rig.url)
        for _ in range(2):
            await web.get(f"{rig.url}/coindesk", {})
        await web.close()
        assert all("cookie" not in request for request in rig["coindesk"].requests)


async def test_nobody_there_is_unreachable() -> None:
    assert await status_of(Web("http://127.0.0.1:9"), "http://127.0.0.1:9/rss") == "unreachable"
