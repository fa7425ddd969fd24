"""Reads the JSON of four services: Binance's and OKX's announcements, GDELT's articles, and the Fear & Greed index."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mcp_server.adapters.news.items import WrittenItem
from mcp_server.adapters.news.web import NotRead
from mcp_server.domain.news.feed import FeedForm
from mcp_server.domain.news.told_time import compact_ms, number_ms
from mcp_server.domain.text import cleaned

_CODE = re.compile(r"[A-Za-z0-9_-]{1,150}", re.ASCII)
_MOST_WORD = 40


def read_json(form: FeedForm, body: bytes) -> list[WrittenItem]:
    """Return the items of an answer; what is no item is left out.

    Raises:
        NotRead: it is no JSON, or not of the service's form (`malformed`), or an error of the service's (`refused`).
    """
    try:
        answer = json.loads(body, strict=False)
        return list(_READERS[form](answer))
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        raise NotRead("malformed") from None


def _binance(answer: Any) -> Iterator[WrittenItem]:
    _check(answer["code"] == "000000")
    for catalog in answer["data"]["catalogs"]:
        for article in catalog["articles"]:
            code = article.get("code")
            if not isinstance(code, str) or not _CODE.fullmatch(code):
                code = None
            url = None if code is None else f"https://www.binance.com/en/support/announcement/{code}"
            yield WrittenItem(_text(article.get("title")), url, code, number_ms(article.get("releaseDate")))


def _okx(answer: Any) -> Iterator[WrittenItem]:
    """Read `pTime`, when an announcement appeared; `businessPTime` is what its page shows."""
    _check(answer["code"] == "0")
    for page in answer["data"]:
        for detail in page["details"]:
            url = _text(detail.get("url")) or None
            yield WrittenItem(_text(detail.get("title")), url, url, number_ms(detail.get("pTime")))


def _gdelt(answer: Any) -> Iterator[WrittenItem]:
    """Read `seendate`, when GDELT first saw an article: no publisher's time. It answers `{}` where there is none."""
    for article in answer["articles"] if answer != {} else ():
        url = _text(article.get("url")) or None
        yield WrittenItem(_text(article.get("title")), url, url, compact_ms(article.get("seendate")))


def _fear_greed(answer: Any) -> Iterator[WrittenItem]:
    _check((answer.get("metadata") or {}).get("error") is None)
    for day in answer["data"]:
        started_ms, value = number_ms(day.get("timestamp"), unit_ms=1000), _text(day.get("value"))
        if started_ms is None or not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > 100:
            continue
        word = cleaned(_text(day.get("value_classification")), _MOST_WORD)
        yield WrittenItem(
            f"Fear & Greed Index {int(value)}" + (f": {word}" if word else ""),
            "https://alternative.me/crypto/fear-and-greed-index/",
            datetime.fromtimestamp(started_ms / 1000, UTC).date().isoformat(),
            started_ms,
            float(value),
        )


def _check(well: bool) -> None:
    """Tell an error from an answer without items: a service sends both with status 200."""
    if not well:
        raise NotRead("refused")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


_READERS: Mapping[str, Callable[[Any], Iterator[WrittenItem]]] = {
    "binance": _binance, "okx": _okx, "gdelt": _gdelt, "fear_greed": _fear_greed,
}  # fmt: skip
