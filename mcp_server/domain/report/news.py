"""The part of a report in Markdown that lists the headlines that sub-agents saw. They are strangers' text."""

from typing import Any

from mcp_server.domain.news.in_trace import Links, ShownHeadline, ShownNews, news_seen
from mcp_server.domain.report.text import code, inline
from mcp_server.domain.text import counted


def news_section(trace: Any, links: Links) -> list[str]:
    """Return the parts of the section, none where no sub-agent saw news.

    Args:
        trace: what happened on the way of a run.
        links: addresses of headlines whose answer tells none.
    """
    shown = news_seen(trace, links)
    return ["## News that sub-agents saw", *map(_call, shown)] if shown else []


def _call(news: ShownNews) -> str:
    about = f" about {inline(news.asset)}" if news.asset else ""
    as_of = f", as of {news.as_of}" if news.as_of else ""
    withheld = ", ".join(f"{count} {inline(why.replace('_', ' '))}" for why, count in news.withheld.items())
    facts = f"{counted(len(news.headlines), 'headline')}{about}{as_of}{f'; withheld: {withheld}' if withheld else ''}"
    lines = [f"- {_line(headline)}" for headline in news.headlines]
    more = ["- … and more than is kept"] if news.cut else []
    return "\n".join([f"Shown to {inline(news.agent, 80)}: {facts}.", "", *lines, *more]).rstrip()


def _line(headline: ShownHeadline) -> str:
    link = code(headline.url) if headline.url else ""
    when = f"first seen {headline.first_seen_at}" if headline.first_seen_at else ""
    withheld = f"withheld: {inline(headline.withheld)}" if headline.withheld else ""
    return ", ".join(
        filter(None, (f"“{inline(headline.headline)}”", inline(headline.source, 40), when, link, withheld))
    )
