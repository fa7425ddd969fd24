"""Ten feeds on loopback whose every answer a test sets: a real HTTP program, for readers and collectors of news."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mcp_server.domain.news.feed import Feed, FeedForm, NewsKind
from tests.rigs.loopback import served

HUGE_BYTES = 50_000_000
ATOM = "http://www.w3.org/2005/Atom"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><rss version='2.0'><channel><item><title>&j;</title></item></channel></rss>"
).encode()
"""An entity bomb: a billion words, if somebody reads it."""


@dataclass
class Story:
    """One item as its feed writes it. `published` is the text that stands there: a date, words, or nothing.

    In a JSON feed `published` is in the service's own form (`when` makes it); `value` is the index of Fear & Greed.
    """

    headline: str
    url: str | None = "https://news.example/story"
    guid: str | None = None
    published: str | None = None
    updated: str | None = None
    value: str = "25"


def rss(stories: Sequence[Story], *, encoding: str = "utf-8", declared: str | None = None) -> bytes:
    """Write RSS 2.0. `declared` is the encoding that it claims, "" for none."""
    items = "".join(
        f"<item><title>{escape(story.headline)}</title>"
        + (f"<link>{escape(story.url)}</link>" if story.url is not None else "")
        + (f'<guid isPermaLink="false">{escape(story.guid)}</guid>' if story.guid is not None else "")
        + (f"<pubDate>{escape(story.published)}</pubDate>" if story.published is not None else "")
        + (f"<atom:updated>{escape(story.updated)}</atom:updated>" if story.updated is not None else "")
        + "<description>A text that nobody keeps.</description></item>"
        for story in stories
    )
    channel = f"<title>A feed</title><link>https://news.example/</link>{items}"
    return _declared(f'<rss version="2.0" xmlns:atom="{ATOM}"><channel>{channel}</channel></rss>', encoding, declared)


def atom(stories: Sequence[Story], *, encoding: str = "utf-8", declared: str | None = None) -> bytes:
    """Write Atom 1.0."""
    entries = "".join(
        f'<entry><title type="text">{escape(story.headline)}</title>'
        + (f'<link href="{escape(story.url, {chr(34): "&quot;"})}"/>' if story.url is not None else "")
        + (f"<id>{escape(story.guid)}</id>" if story.guid is not None else "")
        + (f"<published>{escape(story.published)}</published>" if story.published is not None else "")
        + (f"<updated>{escape(story.updated)}</updated>" if story.updated is not None else "")
        + '<content type="html">A text that nobody keeps.</content></entry>'
        for story in stories
    )
    return _declared(f'<feed xmlns="{ATOM}"><title>A feed</title>{entries}</feed>', encoding, declared)


def binance(stories: Sequence[Story]) -> bytes:
    """Write Binance's list of announcements; `guid` is an article's code, `published` its time in ms."""
    articles = [
        {"id": number, "code": story.guid, "title": story.headline, "type": 1, "releaseDate": _number(story.published)}
        for number, story in enumerate(stories, 280_001)
    ]
    catalog = {
        "catalogId": 48, "parentCatalogId": None, "icon": "https://public.example/48.png",
        "catalogName": "New Cryptocurrency Listing", "description": None, "catalogType": 1, "total": 1819,
        "articles": articles, "catalogs": [],
    }  # fmt: skip
    data = {"catalogs": [catalog]}
    return _json({"code": "000000", "message": None, "messageDetail": None, "data": data, "success": True})


def okx(stories: Sequence[Story]) -> bytes:
    """Write OKX's announcements; `published` is the time in ms, as text, as OKX writes it."""
    details = [
        {
            "annType": "announcements-new-listings", "businessPTime": story.published or "",
            "pTime": story.published or "", "title": story.headline, "url": story.url or "",
        }
        for story in stories
    ]  # fmt: skip
    return _json({"code": "0", "data": [{"details": details, "totalPage": "123"}], "msg": ""})


def gdelt(stories: Sequence[Story]) -> bytes:
    """Write GDELT's list of articles; `published` is its `seendate`, like `20260313T101500Z`."""
    articles = [
        {
            "url": story.url or "", "url_mobile": "", "title": story.headline, "seendate": story.published or "",
            "socialimage": "", "domain": "news.example", "language": "English", "sourcecountry": "United States",
        }
        for story in stories
    ]  # fmt: skip
    return _json({"articles": articles})


def fear_greed(stories: Sequence[Story]) -> bytes:
    """Write the index; a story's headline is its word, `published` the start of its day in seconds, as text."""
    data = [
        {"value": story.value, "value_classification": story.headline, "timestamp": story.published or ""}
        for story in stories
    ]
    return _json({"name": "Fear and Greed Index", "data": data, "metadata": {"error": None}})


WRITERS = {"rss": rss, "atom": atom, "binance": binance, "okx": okx, "gdelt": gdelt, "fear_greed": fear_greed}
TYPES = {"rss": "application/rss+xml", "atom": "application/atom+xml"}


@dataclass
class StandInFeed:
    """One feed. Set any field at any time: it holds from the next request on.

    Attributes:
        feed: what a reader is given; its https address leads here where the reader is told of the stand-in.
        form: a key of `WRITERS`.
        stories: what it tells.
        body: this instead of the stories, byte for byte.
        content_type: of the answer; None: the usual one of its form, "" none at all.
        status: of the answer; `headers` come with it (`Retry-After`, `Location`).
        etag: sent, and answered by 304 where it comes back; so is `last_modified`.
        gzipped: the answer is compressed.
        trickle: one byte a second, without end.
        huge: 50 MB, of one item without end; with `gzipped` they come as 50 kB.
        requests: the headers of each request that came.
    """

    feed: Feed
    form: str = "rss"
    stories: list[Story] = field(default_factory=list)
    body: bytes | None = None
    content_type: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified: str | None = None
    gzipped: bool = False
    trickle: bool = False
    huge: bool = False
    requests: list[Mapping[str, str]] = field(default_factory=list)

    def redirect(self, to: str, status: int = 302) -> None:
        """Answer with a redirect from now on."""
        self.status, self.headers = status, {"location": to}

    def answer(self, request: Request) -> Response:
        self.requests.append(dict(request.headers))
        headers = {**self._validators(), **self.headers}
        if self._unchanged(request):
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(self.form, "application/json") if self.content_type is None else self.content_type
        if kind:
            headers["content-type"] = kind
        if self.trickle:
            return StreamingResponse(_trickle(), headers=headers)
        if self.huge and not self.gzipped:
            return StreamingResponse(_huge(), headers=headers)
        body = WRITERS[self.form](self.stories) if self.body is None else self.body
        if self.gzipped:
            headers["content-encoding"] = "gzip"
            body = _huge_gzipped() if self.huge else gzip.compress(body, mtime=0)
        return Response(body, self.status, headers)

    def _validators(self) -> dict[str, str]:
        return {
            name: value
            for name, value in (("etag", self.etag), ("last-modified", self.last_modified))
            if value is not None
        }

    def _unchanged(self, request: Request) -> bool:
        asked = request.headers
        same_tag = self.etag is not None and asked.get("if-none-match") == self.etag
        same_time = self.last_modified is not None and asked.get("if-modified-since") == self.last_modified
        return self.status == 200 and (same_tag or (same_time and "if-none-match" not in asked))


TEN: Sequence[tuple[str, NewsKind, FeedForm, str]] = (
    ("binance", "announcement", "binance", "binance"), ("okx", "announcement", "okx", "okx"),
    ("coindesk", "news", "feed", "rss"), ("theblock", "news", "feed", "rss"),
    ("cointelegraph", "news", "feed", "rss"), ("decrypt", "news", "feed", "atom"),
    ("sec", "regulator", "feed", "rss"), ("fed", "regulator", "feed", "rss"),
    ("fear_greed", "index", "fear_greed", "fear_greed"), ("gdelt", "news", "gdelt", "gdelt"),
)  # fmt: skip
"""Source, kind, form as the reader knows it, and the writer."""


@dataclass
class NewsFeeds:
    """Feeds, by their source. `url` is where they are served; `robots` is their robots.txt, None for 404."""

    feeds: dict[str, StandInFeed] = field(default_factory=dict)
    url: str = ""
    robots: str | None = None
    robots_trickles: bool = False
    robots_requests: int = 0

    def __getitem__(self, source: str) -> StandInFeed:
        return self.feeds[source]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(Request(scope, receive))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == "/robots.txt":
            self.robots_requests += 1
            if self.robots_trickles:
                return StreamingResponse(_trickle())
            return Response(status_code=404) if self.robots is None else Response(self.robots, media_type="text/plain")
        feeds = [feed for feed in self.feeds.values() if urlsplit(feed.feed.url).path == path]
        return feeds[0].answer(request) if feeds else Response(status_code=404)


@contextlib.contextmanager
def news_feeds(feeds: Sequence[Feed] | None = None) -> Iterator[NewsFeeds]:
    """Serve feeds at the paths of their addresses: the ten, each `https://SOURCE.example/SOURCE`, or those given."""
    rig = NewsFeeds()
    for source, kind, form, written in TEN if feeds is None else ():
        feed = Feed(source, f"https://{source}.example/{source}", kind, form)
        rig.feeds[source] = StandInFeed(feed, form=written)
    for feed in feeds or ():
        rig.feeds[feed.source] = StandInFeed(feed, form="rss" if feed.form == "feed" else feed.form)
    with served(rig) as url:
        rig.url = url
        yield rig


async def _trickle() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(1)


async def _huge() -> AsyncIterator[bytes]:
    yield b"<rss version='2.0'><channel><item><title>"
    for _ in range(HUGE_BYTES // 100_000):
        yield b"x" * 100_000


@cache
def _huge_gzipped() -> bytes:
    return gzip.compress(b"<rss version='2.0'><channel><item><title>" + b"x" * HUGE_BYTES, 6, mtime=0)


def _declared(markup: str, encoding: str, declared: str | None) -> bytes:
    name = encoding if declared is None else declared
    text = (f'<?xml version="1.0" encoding="{name}"?>' if name else "") + markup
    return text.encode(encoding, "xmlcharrefreplace")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _number(text: str | None) -> object:
    return int(text) if text is not None and text.isdecimal() else text
