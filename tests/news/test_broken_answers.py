"""Whatever a server sends in place of an answer, and whatever stands in its headers, a reading returns and says why."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mcp_server.adapters.news.reader import NewsReader, Reading
from mcp_server.adapters.news.web import Web
from mcp_server.domain.news.feed import Feed
from tests.rigs.news_feeds import Story, news_feeds

FEED = Feed("gdelt", "https://gdelt.example/gdelt", "news", "gdelt")  # no robots.txt is asked for
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def sending(raw: bytes) -> AsyncIterator[str]:
    """Serve these bytes to whoever connects, and then hang up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (WHOLE, "ok"), (b"", "broken_off"), (b"\x16\x03\x01 TLS?", "broken_off"), (b"<rss/>", "broken_off"),
        (WHOLE[:-1], "broken_off"), (HEAD, "broken_off"), (HEAD + b"Content-Length: -5\r\n\r\n{}", "broken_off"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "broken_off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", "broken_off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "broken_off"),
        (HEAD + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n{}", "broken_off"), (HEAD + b"\x00: y\r\n\r\n{}", "broken_off"),
        (b"HTTP/1.1 999 What\r\n\r\n", "http_999"), (b"HTTP/1.1 20 OK\r\n\r\n", "broken_off"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "malformed"), (b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + WHOLE, "ok"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "too_many_redirects"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://" + b"a" * 300 + b"/\r\n\r\n", "invalid_address"),
    ],
)  # fmt: skip
async def test_what_is_no_whole_answer_of_http_has_broken_off(raw: bytes, status: str) -> None:
    async with sending(raw) as url, NewsReader(stand_in=url) as reader:
        assert (await reader.read(FEED)).status == status


ODD = [
    "", " ", "gzip", "deflate", "br", "identity", "text/xml; charset=punycode", "text/xml; charset=\"", "x" * 5_000,
    "-1", "0", "9" * 400, "Mon, 99 Xyz 99999 99:99:99 +9999", "https://[", "https://a..b/", "//", "?", "#",
    "\u00ff\u00fe",
    'W/"x"', "*", "javascript:alert(1)", "https://.example/", "https://-/", "https://" + "a" * 64 + ".example/",
]  # fmt: skip
NAMES = ["content-type", "content-encoding", "location", "etag", "last-modified", "retry-after", "set-cookie", "link"]


async def test_odd_headers_and_statuses_are_no_trouble() -> None:
    chance = random.Random(1)  # noqa: S311 (a plan that is the same each time)

    async def no_such_name(host: str, port: int) -> Sequence[str]:
        raise OSError(host)

    with news_feeds() as rig:
        feed = rig["coindesk"]
        feed.stories = [Story("Bitcoin rises", published="Mon, 02 Mar 2026 12:00:00 GMT")]
        async with NewsReader(stand_in=rig.url, web=Web(rig.url, no_such_name)) as reader:
            known = None
            for _ in range(100):
                feed.status = chance.choice([200, 200, 200, 204, 206, 301, 302, 304, 307, 400, 410, 429, 500, 599])
                feed.headers = {name: chance.choice(ODD) for name in chance.sample(NAMES, 3)}
                answer = await reader.read(feed.feed, known)
                assert isinstance(answer, Reading), (feed.status, feed.headers)
                assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= 604_800
                known = answer.validators
            feed.status, feed.headers = 200, {}
            assert (await reader.read(feed.feed, known)).status == "ok"
