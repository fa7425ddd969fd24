"""Reads a feed if it has changed and its robots.txt allows it: what it holds, or why it was not read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import anyio
import anyio.to_thread

from mcp_server.adapters.news.encoding import text_of
from mcp_server.adapters.news.items import told_items
from mcp_server.adapters.news.json_feeds import read_json
from mcp_server.adapters.news.robots import OUR_NAME, Robots, robots_of
from mcp_server.adapters.news.web import NotRead, Web, WebAnswer
from mcp_server.adapters.news.xml_feed import read_xml
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import Told

MOST_S = 30.0
"""The time for one reading, with robots.txt, redirects and parsing."""

ROBOTS_S = 86_400.0
"""A robots.txt is asked for once in this time."""

MOST_RETRY_S = 7 * 86_400.0
_MOST_VALIDATOR, _MOST_DATE = 500, 64
_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, application/json;q=0.9, */*;q=0.1"
_CRAWLED = ("feed", "binance")
"""Forms of which robots.txt speaks. The others are documented interfaces, made for programs."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a feed sent to be asked with again, so that it can answer that nothing has changed."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one request to a feed came to.

    `status` is one of:

    - `ok`, with `told`: the items, in the feed's order;
    - `unchanged`: the feed says so; `told` is None;
    - `malformed`: no feed of its form. Of an XML feed that breaks off, `told` has the items before that;
    - `refused`: an error of the service's own, in JSON;
    - `doctype`, `too_large`, `unknown_compression`: refused unread;
    - `timeout`, `unreachable`, `broken_off`: no whole answer;
    - `not_https`, `invalid_address`, `private_address`, `too_many_redirects`: its address, or one it redirects to;
    - `robots`: its robots.txt asks us to stay away;
    - `http_429` and the like: another status of HTTP.

    `validators` are for the next request. `retry_after_s` is how long the feed asks us to wait, at most a week.
    """

    status: str
    told: list[Told] | None = None
    validators: Validators | None = None
    retry_after_s: float | None = None

    @property
    def undated(self) -> int:
        """How many items have no certain time."""
        return sum(item.published_ms is None for item in self.told or ())


class NewsReader:
    """Reads feeds over the internet. Use it as a context manager, or close it at the end.

    Args:
        clock: our time, against which a `Retry-After` that is a date is counted.
        contact: how publishers reach who runs this, for the User-Agent, like an email address.
        stand_in: the base URL of a program on loopback that answers in place of every feed's host; for tests.
        web: what gets addresses; None: the internet.
        most_s: the time for one reading.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        contact: str | None = None,
        stand_in: str | None = None,
        web: Web | None = None,
        most_s: float = MOST_S,
    ) -> None:
        self._clock = clock
        self._stand_in = stand_in
        self._web = web or Web(stand_in)
        self._most_s = most_s
        self._agent = user_agent(contact)
        self._robots: dict[str, tuple[float, Robots]] = {}
        self._parsing = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> NewsReader:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self, feed: Feed, known: Validators | None = None) -> Reading:
        """Read a feed, if it has changed since `known`. Whatever the feed does, this returns."""
        try:
            with anyio.fail_after(self._most_s):
                return await self._read(feed, known)
        except TimeoutError:
            return Reading("timeout", validators=known)
        except NotRead as error:
            return Reading(error.status, validators=known)

    async def close(self) -> None:
        """Close what is open."""
        await self._web.close()

    async def _read(self, feed: Feed, known: Validators | None) -> Reading:
        url = self._address(feed.url)
        if feed.form in _CRAWLED and not await self._may_read(url):
            return Reading("robots", validators=known)
        language = "en-US,en;q=0.9" if feed.language == "en" else feed.language
        headers = {"user-agent": self._agent, "accept": _ACCEPT, "accept-language": language}
        if known is not None and known.etag:
            headers["if-none-match"] = known.etag
        if known is not None and known.last_modified:
            headers["if-modified-since"] = known.last_modified
        answer = await self._web.get(url, headers)
        if answer.status == 304 and known is not None:
            return Reading("unchanged", validators=known)
        if answer.status != 200:
            return Reading(f"http_{answer.status}", validators=known, retry_after_s=self._retry_after(answer))
        items, whole = await anyio.to_thread.run_sync(
            _parsed, feed, answer, limiter=self._parsing, abandon_on_cancel=True
        )
        return Reading("ok", items, _validators(answer)) if whole else Reading("malformed", items)

    def _address(self, url: str) -> str:
        if self._stand_in is None:
            return url
        base, own = urlsplit(self._stand_in), urlsplit(url)
        return urlunsplit((base.scheme, base.netloc, own.path, own.query, ""))

    async def _may_read(self, url: str) -> bool:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        at, robots = self._robots.get(site, (0.0, None))
        if robots is None or time.monotonic() - at > ROBOTS_S:
            robots = await self._robots_of(site)
            self._robots[site] = time.monotonic(), robots
        return robots.allows(urlunsplit(("", "", parts.path or "/", parts.query, "")))

    async def _robots_of(self, site: str) -> Robots:
        """Return a site's rules. One that cannot be read, in a third of the time, forbids nothing."""
        headers = {"user-agent": self._agent, "accept": "text/plain"}
        with suppress(NotRead), anyio.move_on_after(self._most_s / 3):
            answer = await self._web.get(f"{site}/robots.txt", headers)
            return await anyio.to_thread.run_sync(
                lambda: robots_of(text_of(answer.body)), limiter=self._parsing, abandon_on_cancel=True
            )
        return Robots()

    def _retry_after(self, answer: WebAnswer) -> float | None:
        text = answer.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return min(float(text), MOST_RETRY_S)
        try:
            at = parsedate_to_datetime(text[:_MOST_DATE])
            seconds = (at - self._clock()).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):  # no date, or one without a zone
            return None
        return min(max(seconds, 0.0), MOST_RETRY_S)


def user_agent(contact: str | None) -> str:
    """Return who we say that we are. Without a contact it says so, because publishers ask for one."""
    return f"{OUR_NAME}/{version(OUR_NAME)} ({f'+{contact}' if contact else 'no contact given'}; reads headlines)"


def _parsed(feed: Feed, answer: WebAnswer) -> tuple[list[Told], bool]:
    """Return the items of an answer, and whether it is whole."""
    if feed.form == "feed":
        written, whole = read_xml(answer.body, answer.headers.get("content-type", ""))
    else:
        written, whole = read_json(feed.form, answer.body), True
    return told_items(written, feed.url), whole


def _validators(answer: WebAnswer) -> Validators | None:
    """Return what can be sent back: visible ASCII that is not long."""
    values = [answer.headers.get(name, "") for name in ("etag", "last-modified")]
    etag, modified = (
        text if text and len(text) <= _MOST_VALIDATOR and text.isascii() and text.isprintable() else None
        for text in values
    )
    return Validators(etag, modified) if etag or modified else None
