"""The report of a run: one Markdown file that a person reads, with the chart beside it, drawn by the tool server."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from mcp_server.domain.news.in_trace import Links, news_seen
from mcp_server.domain.outcome import Ended
from mcp_server.domain.report.page import NO_CHART, markdown
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, TraderError, UpstreamRejected
from mcp_server.storage.files import put_new
from mcp_server.storage.home import Home, unwritable
from mcp_server.storage.news.links import links_of
from mcp_server.storage.sql import JournalDatabase
from runner.tool_server.client import Tools, connected
from runner.tool_server.server import Serving

DRAW_S = 30.0
"""How long the chart may take; without it the report is written all the same."""

MOST_INDICATORS = 10


def write_report(
    home: Home,
    strategy: Strategy,
    ended: Ended,
    picture: bytes | None,
    why_no_chart: str = NO_CHART,
    record: str = "",
    links: Links | None = None,
) -> Path:
    """Write the report of a run to `analysis/NAME/TIME.md` of the home, the chart beside it; return the report's path.

    TIME is the as-of in UTC. Where that file exists, it is another run's: then this run's number is added.

    Raises:
        Misconfigured: it cannot be written, or its folder leads out of `analysis/`.
    """
    folder = home.analysis / strategy.name
    home.make(folder)
    try:
        if folder.resolve().parent != home.analysis.resolve():
            raise Misconfigured(f"{str(folder)!r} leads out of {str(home.analysis)!r}.", "Remove that link.")
        for stem in _stems(ended):
            chart = f"{stem}.png" if picture is not None else None
            if chart and not put_new(folder / chart, picture or b""):
                continue
            text = markdown(strategy, ended, chart, why_no_chart, record, links)
            if put_new(folder / f"{stem}.md", text.encode()):
                return folder / f"{stem}.md"
            if chart:
                (folder / chart).unlink()
    except OSError as error:
        raise unwritable(folder, error) from None
    raise Misconfigured(f"{str(folder)!r} has too many reports of one moment.", "Move some away.")


async def report(
    home: Home,
    strategy: Strategy,
    ended: Ended,
    exchange: str,
    serving: Serving,
    record: str = "",
    database: JournalDatabase | None = None,
) -> Path:
    """Draw and write the report of a run; a tool server that cannot be reached costs the chart, not the report.

    `record` is the strategy's record so far in a few words, if it is known. `database` has the addresses of the news
    that sub-agents saw; while it cannot be read, the report lists them without.

    Raises:
        Misconfigured: as `write_report`.
    """
    try:
        async with serving() as address, connected(address) as tools:
            picture, why = await chart(tools, strategy, ended, exchange)
    except TraderError as error:
        picture, why = None, str(error).rstrip(".")
    links = await anyio.to_thread.run_sync(_links, database, ended) if database else None
    return await anyio.to_thread.run_sync(write_report, home, strategy, ended, picture, why, record, links)


async def chart(tools: Tools, strategy: Strategy, ended: Ended, exchange: str) -> tuple[bytes | None, str]:
    """Let the tool server draw the market as of a run, with the indicators of the rules; return why where it cannot."""
    arguments: dict[str, Any] = {
        "symbol": strategy.config.trading_pair,
        "exchange": exchange,
        "timeframe": strategy.timeframe,
        "as_of": ended.as_of.isoformat(),
    }
    specs = list(strategy.config.rules.indicators[:MOST_INDICATORS]) if strategy.config.rules else []
    why = NO_CHART
    try:
        with anyio.fail_after(DRAW_S):
            for extra in ({"indicators": specs} if specs else {}, {}):
                try:
                    return await tools.picture("draw_chart", {**arguments, **extra}), ""
                except UpstreamRejected as error:  # indicators that do not fit on one chart, say
                    why = str(error)
    except TimeoutError:
        why = f"it was not drawn within {DRAW_S:g} s"
    except TraderError as error:
        why = str(error)
    return None, why.rstrip(".")


def _links(database: JournalDatabase, ended: Ended) -> Links | None:
    trace = ended.outcome.trace
    if not news_seen(trace):
        return None
    with suppress(TraderError):
        return database.read(lambda connection: links_of(connection, trace))
    return None


def _stems(ended: Ended) -> Iterator[str]:
    time = ended.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    yield time
    yield f"{time}-{ended.execution_id}"
    for number in range(2, 1_000):
        yield f"{time}-{ended.execution_id}-{number}"
