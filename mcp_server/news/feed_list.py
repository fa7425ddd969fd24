"""Which feeds are collected: the package's list, and what the home's `feeds.json` adds, changes or turns off."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mcp_server.domain.error_hints import invalid_keys, nearest
from mcp_server.domain.news.feed import Feed, FeedForm, NewsKind
from mcp_server.errors import Misconfigured
from mcp_server.storage.files import Unreadable, read_object
from mcp_server.storage.strategies.unchanged import NEVER, Stamp, kept_under, stamp_of

FILE = "feeds.json"

MOST_FEEDS = 50

GUIDE = "See docs/guides/news.md."


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("write an address that begins with https://")
    if parts.username or parts.password:
        raise ValueError("leave user and password out: only feeds that need neither are collected")
    return url


class FeedEntry(BaseModel):
    """One feed of `feeds.json`. A feed of the package needs only the keys that change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True)

    source: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    url: Annotated[str, Field(max_length=1000, pattern=r"^\S+$"), AfterValidator(_https)] | None = None
    kind: NewsKind | None = None
    form: FeedForm | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    every_minutes: float | None = Field(default=None, ge=1, le=1440)
    terms: str | None = Field(default=None, max_length=500)


class FeedsFile(BaseModel):
    """The home's `feeds.json`. `off` names sources that are not collected; `replace` leaves the package's out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feeds: tuple[FeedEntry, ...] = ()
    off: tuple[str, ...] = ()
    replace: bool = Field(default=False, strict=True)


class FeedList:
    """The feeds of one home. `trouble` says why its `feeds.json` cannot be used; what was valid goes on until then."""

    def __init__(self, home: Path, package: Sequence[Feed] | None = None) -> None:
        self._file = home / FILE
        self._package = package
        self._feeds: tuple[Feed, ...] | None = None
        self._stamp: Stamp = NEVER
        self.trouble: Misconfigured | None = None

    def feeds(self) -> tuple[Feed, ...]:
        """Return the feeds; the file is read again only after it has changed."""
        stamp = stamp_of(self._file)
        if self._feeds is None or stamp != self._stamp:
            self._stamp = kept_under(stamp, time.time())
            package = package_feeds() if self._package is None else self._package
            try:
                self._feeds, self.trouble = feeds_of(package, _read(self._file)), None
            except Misconfigured as error:
                self._feeds, self.trouble = tuple(package) if self._feeds is None else self._feeds, error
        return self._feeds


@cache
def package_feeds() -> tuple[Feed, ...]:
    """Return the feeds of the package's list."""
    text = (files("mcp_server.news") / "data" / FILE).read_text("utf-8")
    return tuple(Feed(**entry) for entry in json.loads(text)["feeds"])


def feeds_of(package: Sequence[Feed], content: Mapping[str, Any]) -> tuple[Feed, ...]:
    """Return the feeds that a `feeds.json` makes of the package's.

    Raises:
        Misconfigured: the content is not valid; the remedy says what to write.
    """
    try:
        own = FeedsFile.model_validate(content)
    except ValidationError as error:
        first, *others = invalid_keys(error, FeedsFile, secret=True)  # an address may hold a key
        more = f" And {len(others)} more." if others else ""
        raise _invalid(f"{first.path}: {first.problem}{more}", first.remedy) from None
    known = {} if own.replace else {feed.source: feed for feed in package}
    for source in own.off:
        if source not in known:
            raise _invalid(f"off: there is no feed {source!r}.", nearest(source, known))
    kept = {source: feed for source, feed in known.items() if source not in own.off}
    named: set[str] = set()
    for entry in own.feeds:
        if entry.source in named:
            raise _invalid(f"feeds: {entry.source!r} is there twice.", "Give each feed a source of its own.")
        if entry.source in own.off:
            raise _invalid(f"{entry.source!r} is in 'feeds' and in 'off'.", "Keep it in one of them.")
        named.add(entry.source)
        kept[entry.source] = _feed(entry, known.get(entry.source))
    if len(kept) > MOST_FEEDS:
        raise _invalid(f"{len(kept)} feeds are too many.", f"List at most {MOST_FEEDS}.")
    return tuple(kept.values())


def _feed(entry: FeedEntry, known: Feed | None) -> Feed:
    """Return a feed of its own, or a known one with what changes of it."""
    changed = entry.model_dump(exclude={"every_minutes"}, exclude_none=True)
    if entry.every_minutes is not None:
        changed["every_s"] = 60 * entry.every_minutes
    for key in ("url", "kind") if known is None else ():
        if key not in changed:
            raise _invalid(
                f"feeds: {entry.source!r} has no {key!r}.", "A feed that the package does not have needs it."
            )
    feed = Feed(**changed) if known is None else replace(known, **changed)
    if (feed.kind == "index") != (feed.form == "fear_greed"):
        raise _invalid(f"feeds: {entry.source!r} is an index in one of 'kind' and 'form' alone.", "Leave both out.")
    return feed


def _read(file: Path) -> Mapping[str, Any]:
    """Return the content of a `feeds.json`; that of one that does not exist is empty."""
    try:
        return read_object(file)
    except FileNotFoundError:
        return {}
    except Unreadable as error:
        raise Misconfigured(f"{error.problem} The feeds known before go on.", error.remedy) from None


def _invalid(problem: str, remedy: str) -> Misconfigured:
    return Misconfigured(f"{FILE} of the home is not valid: {problem}", f"{remedy} {GUIDE}")
