"""The headlines that a run's sub-agents saw, read from what the journal keeps of it.

A trace may be of an earlier version, or of a person's own program: whatever shape it has, what can be read is told.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import iso_second, parse_moment
from mcp_server.errors import BadInput

TOOL = "get_news"
MOST_CALLS, MOST_HEADLINES = 20, 50
_BETWEEN = re.compile(r"[\s,]*")
_ROWS = re.compile(r'"rows"\s*:\s*\[')

Links = Mapping[tuple[int, str], str]
"""The addresses of news, by id and source, for answers that tell none."""


@dataclass(frozen=True, slots=True)
class ShownHeadline:
    """A headline as a sub-agent saw it, cleaned. `url` is an https address, None where there is none.

    `withheld` says why it was shown only as one that does not count.
    """

    id: int | None
    first_seen_at: str | None
    source: str
    headline: str
    url: str | None
    withheld: str | None = None


@dataclass(frozen=True, slots=True)
class ShownNews:
    """What one call of `get_news` showed a sub-agent.

    `asset` is the coin that it asked about. `withheld` counts what was kept from it, by why. `cut` says that it saw,
    or the trace keeps, more than these headlines.
    """

    agent: str
    asset: str | None
    as_of: str | None
    withheld: Mapping[str, int]
    headlines: Sequence[ShownHeadline]
    cut: bool


def news_seen(trace: Any, links: Links | None = None) -> list[ShownNews]:
    """Return the answers about news that sub-agents saw, in the order of a trace (`executions.trace`, as JSON values).

    Args:
        trace: what happened on the way of a run.
        links: addresses of headlines whose answer tells none.
    """
    agents = _objects(trace.get("sub_agents")) if isinstance(trace, Mapping) else []
    shown = (_shown(agent.get("name"), call, links or {}) for agent in agents for call in _objects(agent.get("calls")))
    return list(islice(filter(None, shown), MOST_CALLS))


def safe_link(url: Any) -> str | None:
    """Return an address if it is a plain https one, without a user and without characters that could deceive."""
    if not isinstance(url, str) or not url.startswith("https://") or len(url) > 2_000 or not url.isascii():
        return None
    if any(character in url for character in "\"'<>`\\{}|^") or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        return url if parts.hostname and "@" not in parts.netloc else None
    except ValueError:
        return None


def _shown(agent: Any, call: Mapping[str, Any], links: Links) -> ShownNews | None:
    result = call.get("result")
    if call.get("tool") != TOOL or call.get("is_error") is not False or not isinstance(result, str):
        return None
    facts, whole = _answer(result)
    columns, rows = facts.get("columns"), facts.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list) or "headline" not in columns:
        return None
    found = [dict(zip(map(str, columns), row, strict=False)) for row in rows if isinstance(row, list)]
    withheld = facts.get("withheld")
    counts = withheld.items() if isinstance(withheld, Mapping) else ()
    asset = facts.get("asset")
    return ShownNews(
        agent=cleaned(agent, 80) if isinstance(agent, str) else "",
        asset=cleaned(asset, 20) if isinstance(asset, str) else None,
        as_of=_moment(facts.get("as_of")),
        withheld={cleaned(str(why), 40): n for why, n in counts if isinstance(n, int) and abs(n) < 2**31},
        headlines=[_headline(row, links) for row in found[:MOST_HEADLINES]],
        cut=not whole or call.get("whole") is False or len(found) > MOST_HEADLINES or len(found) < len(rows),
    )


def _headline(row: Mapping[str, Any], links: Links) -> ShownHeadline:
    number, source = row.get("id"), row.get("source")
    id_ = number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63 else None
    named = cleaned(source, 40) if isinstance(source, str) else ""
    url = safe_link(row.get("url")) or (safe_link(links.get((id_, named))) if id_ is not None else None)
    headline = row.get("headline")
    text = cleaned(headline, 300) if isinstance(headline, str) else ""
    why = cleaned(row["withheld"], 40) if isinstance(row.get("withheld"), str) else None
    return ShownHeadline(id_, _moment(row.get("first_seen_at")), named, text, url, why)


def _answer(text: str) -> tuple[dict[str, Any], bool]:
    """Return an answer's facts, and whether it is whole; of one that is cut, the rows that are whole."""
    decode = json.JSONDecoder().raw_decode
    try:
        facts = decode(text.lstrip())[0]
        return (facts, True) if isinstance(facts, dict) else ({}, True)
    except (ValueError, RecursionError):
        begun = _ROWS.search(text)
    if begun is None:
        return {}, False
    try:
        facts = decode(text[: begun.end()].lstrip() + "]}")[0]
    except (ValueError, RecursionError):
        return {}, False
    return {**facts, "rows": list(_whole_rows(text, begun.end()))}, False


def _whole_rows(text: str, at: int) -> Iterator[Any]:
    decode = json.JSONDecoder().raw_decode
    while between := _BETWEEN.match(text, at):
        try:
            row, at = decode(text, between.end())
        except (ValueError, RecursionError):
            return
        yield row


def _moment(value: Any) -> str | None:
    try:
        return iso_second(parse_moment(value)) if isinstance(value, str) and len(value) < 40 else None
    except BadInput:
        return None


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
