"""The market tools as a host meets them: the composed server on stand-in exchanges, called by a real MCP client."""

import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from gc import collect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic import SecretStr

from mcp_server import errors
from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.app import build_server, tool_files
from mcp_server.chains.access import Access
from mcp_server.chains.catalog import Catalog
from mcp_server.chains.chains import Chains
from mcp_server.charts.artist import Artist
from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import KIND, RETRYABLE, Retryable, TraderError
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.moment import DEADLINE_S
from mcp_server.news.news import News
from mcp_server.overview_cache import OverviewCache
from mcp_server.scoring.record_sentences import RecordSentences
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.queries.ask import Queries
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.strict_tool import StrictTool
from mcp_server.toolkit import Kit
from tests.rigs.stand_in_exchange import StandInExchange

EXCHANGES = ("binance", "kraken", "coinbase")
TOOLS = ("get_price", "get_ohlcv", "get_order_book", "get_derivatives", "find_markets")
NOW_MS = 1_768_472_430_000  # 2026-01-15T10:20:30Z
BEARER = "t0ken-of-this-server"
PROMPT_S = 20
"""Nothing may take longer, however busy the machine is; it is below the deadline of any question."""


def settings_on(home: Path, rig: StandInExchange, **elsewhere: StandInExchange) -> ServerSettings:
    """Put every exchange on one stand-in, but those that are named on another."""
    urls = {name: elsewhere.get(name, rig).url for name in EXCHANGES}
    return ServerSettings(home=home, exchange="coinbase", exchange_urls=urls, token=SecretStr(BEARER))


def server_on(home: Path, rig: StandInExchange, **elsewhere: StandInExchange) -> MCPServer[Any]:
    """Compose the server; its clock is the present of the stand-in's world, however wrong the exchanges' own is."""
    return build_server(settings_on(home, rig, **elsewhere), clock=lambda: from_ms(rig.now_ms))


@asynccontextmanager
async def calling(home: Path, rig: StandInExchange, **elsewhere: StandInExchange) -> AsyncIterator[Client]:
    """Connect to a server of one's own, as a host does: what fails in it comes as a result."""
    async with Client(server_on(home, rig, **elsewhere), raise_exceptions=False) as client:
        yield client


@asynccontextmanager
async def of_two_minds(
    home: Path, rig: StandInExchange, deadline_s: float
) -> AsyncIterator[tuple[MCPServer[Any], MCPServer[Any]]]:
    """Give two servers over the same adapters and candles: one with the real deadline, and one that is in a hurry.

    With the patient one everything can be made ready for the one whose deadline a test can wait for.
    """
    at = Home(home)
    database = Database(at.database, prepare=at.prepare)
    candle_cache = CandleCache(CandleStore(database))
    exchanges: dict[str, CcxtExchange] = {}

    def exchange(name: str) -> CcxtExchange:
        return exchanges.setdefault(name, CcxtExchange(name, rig.url))  # nothing is opened before the first question

    def clock() -> datetime:
        return from_ms(rig.now_ms)

    folders = StrategyFolders(at, examples_folder())

    def serving(deadline_s: float) -> MCPServer[Any]:
        kit = Kit(
            market=Market(exchange, candle_cache, clock, tuple, deadline_s=deadline_s),
            chains=Chains(lambda: Catalog(home), Access({}, {}, keys={}, clock=clock), clock),
            news=News(database, home, clock),
            strategies=folders,
            journal=Journal(database, at),
            clock=clock,
            default_exchange="coinbase",
            as_of=None,
            files={},
            home=at,
            overviews=OverviewCache(at, database, folders, Decimal(5), _not_listed),
            queries=Queries(),
            artist=Artist(),
        )
        files = tool_files()
        return MCPServer("two minds", tools=[StrictTool.of(files[name], kit) for name in TOOLS], log_level="WARNING")

    try:
        yield serving(DEADLINE_S), serving(deadline_s)
    finally:
        await candle_cache.close()
        for adapter in exchanges.values():
            await adapter.close()


def _not_listed() -> RecordSentences:
    raise AssertionError("no strategy is listed here")


class _NoRequest(Context[Any, Any]):
    """The context of a call that came over no protocol, so without headers and of no client."""

    @property
    def headers(self) -> Mapping[str, str] | None:
        return None

    @property
    def request_context(self) -> Any:
        return SimpleNamespace(request=None)

    @property
    def session(self) -> Any:
        return SimpleNamespace(client_params=None)


async def refusal(server: MCPServer[Any], tool: str, arguments: dict[str, Any]) -> type[TraderError]:
    """Call a tool beside the protocol and return the class of the error that it ends in."""
    result = await server.call_tool(tool, arguments, _NoRequest())
    assert isinstance(result, CallToolResult)
    assert result.is_error, "it was to fail"
    meta = result.meta or {}
    kind: type[TraderError] = getattr(errors, meta[KIND])
    assert meta.get(RETRYABLE, False) is (kind is Retryable)
    return kind


def text_of(result: CallToolResult) -> str:
    """Give what a host that knows only text is shown."""
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def check_told(text: str, *secrets: str) -> None:
    """Check that an error is one for people: short, and silent about how this server reaches the exchanges."""
    assert text.strip()
    assert len(text) <= 600, text
    for unwanted in ("Error executing tool", "failed unexpectedly", "Traceback", "://", "127.0.0.1", "localhost"):
        assert unwanted not in text
    for secret in secrets:
        assert not re.search(rf"(?<![0-9]){re.escape(secret)}(?![0-9])", text)  # a port may be digits of a number asked


def ports_of(*rigs: StandInExchange) -> list[str]:
    """Give where stand-ins listen: what no text may say."""
    return [rig.url.rpartition(":")[2] for rig in rigs]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Check that by the end of the block every session and connection was closed: those who left one say so."""
    kept = _Kept()
    logging.getLogger().addHandler(kept)
    try:
        yield
        collect()
    finally:
        logging.getLogger().removeHandler(kept)
    assert not [said for said in kept.said if "Unclosed" in said or "release all resources" in said]
