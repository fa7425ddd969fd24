"""Reads RSS and Atom: the title, address, guid and date of each item, and nothing else.

The parser is expat, whose time grows with the length of a feed and no faster: `feedparser` takes hours for a long name
of an author, and holds up every thread. A document type is refused before any of its entities is read.
"""

import html
import re
from xml.parsers import expat

from mcp_server.adapters.news.encoding import text_of
from mcp_server.adapters.news.items import MOST_ITEMS, WrittenItem
from mcp_server.adapters.news.web import NotRead
from mcp_server.domain.news.told_time import told_ms

MOST_CHARACTERS = 20_000
"""Of one field; more is not kept."""

_PLAIN = frozenset({
    "", "http://www.w3.org/2005/Atom", "http://purl.org/atom/ns#", "http://purl.org/rss/1.0/",
    "http://my.netscape.com/rdf/simple/0.9/", "http://backend.userland.com/rss2",
})  # fmt: skip
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
_ABOUT = "http://www.w3.org/1999/02/22-rdf-syntax-ns# about"
_DATES = ("pubdate", "published", "issued")
"""When an item appeared. `updated` and `modified` say something else."""

_FEEDS = ("rss", "feed", "RDF")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_AMPERSAND = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos);)(#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|[a-zA-Z][a-zA-Z0-9]{1,31};)?"
)


class _Doctype(Exception):
    pass


def read_xml(body: bytes, content_type: str) -> tuple[list[WrittenItem], bool]:
    """Return the items of a feed, and whether it is whole: of one that breaks off, those that stand before that.

    Raises:
        NotRead: it is no RSS or Atom (`malformed`), or has a document type (`doctype`).
    """
    text = _NO_XML.sub("", text_of(body, content_type)).lstrip("\ufeff \t\r\n")
    try:
        reader, whole = _read(text)
        if not whole:
            reader, whole = _read(_AMPERSAND.sub(_mended, text))
    except _Doctype:
        raise NotRead("doctype") from None
    if not reader.is_feed or not (whole or reader.items):
        raise NotRead("malformed")
    return reader.items, whole


def _read(text: str) -> tuple["_FeedReader", bool]:
    reader = _FeedReader()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError:
        return reader, False
    return reader, True


def _refuse(*_: object) -> None:
    raise _Doctype


def _mended(match: re.Match[str]) -> str:
    """Return what an ampersand that XML does not know stands for: HTML's entities are common in feeds."""
    meant = html.unescape(match.group()) if match.group(1) else match.group()
    if meant == match.group():
        return f"&amp;{meant[1:]}"
    meant = _NO_XML.sub("", meant)
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(meant, meant)


class _FeedReader:
    """Collects the items. Only the children of an item are read, with all the text within each."""

    def __init__(self) -> None:
        self.items: list[WrittenItem] = []
        self.is_feed = False
        self._depth = 0
        self._item_depth = 0
        self._field: str | None = None
        self._fields: dict[str, list[str]] = {}
        self._text: list[str] = []
        self._length = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1:
            self.is_feed = local in _FEEDS
        elif not self._item_depth:
            if local in ("item", "entry") and namespace in _PLAIN and len(self.items) < MOST_ITEMS:
                self._item_depth = self._depth
                self._fields = {"about": [attributes[_ABOUT]]} if _ABOUT in attributes else {}
        elif self._depth == self._item_depth + 1:
            self._start_field(namespace, local.lower(), attributes)

    def _start_field(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        self._field, self._text, self._length = None, [], 0
        if namespace == _DUBLIN_CORE and local == "date":
            self._field = "dates"
        elif namespace not in _PLAIN:
            return
        elif local in _DATES:
            self._field = "dates"
        elif local == "link" and "href" in attributes:
            if attributes.get("rel", "alternate") == "alternate":
                self._fields.setdefault("link", []).append(attributes["href"][:MOST_CHARACTERS])
        elif local == "guid":
            self._field = "id" if attributes.get("isPermaLink", "true").strip().lower() == "false" else "permalink"
        elif local in ("title", "link", "id"):
            self._field = local

    def text(self, data: str) -> None:
        if self._field is not None and self._length < MOST_CHARACTERS:
            self._text.append(data[: MOST_CHARACTERS - self._length])
            self._length += len(data)

    def end(self, _: str) -> None:
        if self._item_depth and self._depth == self._item_depth:
            self.items.append(_item(self._fields))
            self._item_depth = 0
        elif self._item_depth and self._depth == self._item_depth + 1 and self._field is not None:
            self._fields.setdefault(self._field, []).append("".join(self._text).strip())
            self._field = None
        self._depth -= 1


def _item(fields: dict[str, list[str]]) -> WrittenItem:
    def first(*names: str) -> str | None:
        return next((text for name in names for text in fields.get(name, ()) if text), None)

    moments = {told_ms(date) for date in fields.get("dates", ())}
    published_ms = moments.pop() if len(moments) == 1 else None  # two that differ leave a doubt
    link = first("link", "permalink")
    url = None if link is None else link.replace("&amp;", "&")
    return WrittenItem(first("title") or "", url, first("id", "permalink", "about"), published_ms)
