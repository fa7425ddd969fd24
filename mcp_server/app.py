"""The composition root: puts settings, storage, exchanges, tools and prompts together into one MCP server."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # read when mcp imports pydantic: no links in error texts

from mcp_server.unsealed import NOTHING_SEALED, MCPServer  # before anything else imports mcp

# isort: split
from mcp_server.chains.access import Access
from mcp_server.chains.chains import Chains
from mcp_server.domain.families import FAMILIES, offered_about, whole
from mcp_server.domain.hidden_module import without
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.moment import DEADLINE_S
from mcp_server.news.news import News
from mcp_server.once_listed import OnceListed, run_imports
from mcp_server.prompts.arguments import PromptArguments
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal_database import journal_database
from mcp_server.strict_tool import StrictTool
from mcp_server.tool_files import ToolFiles, ToolsOnDemand
from mcp_server.toolkit import Kit, ToolFile

if TYPE_CHECKING:
    from mcp.server.extension import Extension

    from mcp_server.chains.catalog import Catalog
    from mcp_server.domain.exchange import Exchange, ExchangeInfo
    from mcp_server.scoring.record_sentences import RecordSentences
    from mcp_server.storage.sql import JournalDatabase

INSTRUCTIONS = (
    "{about} Candles are always closed ones. as_of answers as of a past moment. Symbols are like BTC/USD. "
    "age_s is the age of the data in seconds; simulated marks an invented market; note says what else to know of an "
    "answer."
)


def build_server(
    settings: ServerSettings,
    *,
    clock: Callable[[], datetime] | None = None,
    database: Database | None = None,
    journal_in: "JournalDatabase | None" = None,
    families: frozenset[str] | None = None,
    once_listed: Iterable[object] = (),
    for_a_run: bool = False,
) -> MCPServer[Any]:
    """Make the server with all of its tools and prompts. Nothing is opened or fetched until a tool needs it.

    Args:
        settings: what the operator decided.
        clock: gives the present as an aware datetime; the only clock that any tool uses. None: the journal's.
        database: the home's, where another part of this process uses it too.
        journal_in: so for what keeps the journal.
        families: of which tools are offered; None: all. Strategies may name the others too, as runs have other servers.
        once_listed: work to do, step by step, once the list of tools or a first call was answered; see `OnceListed`.
        for_a_run: offer tools alone, and in place of that work begin at the start what a run needs.
    """
    files = tool_files()
    families = frozenset(FAMILIES) if families is None else families
    offered = files.of(families)
    pages = whole(families) and not for_a_run
    kit = replace(
        make_kit(settings, files, clock=clock, database=database, journal_in=journal_in), offered=frozenset(offered)
    )

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        if for_a_run:
            ahead.begin()
        try:
            yield
        finally:
            ahead.end()
            await kit.close()

    def tool(file: ToolFile) -> StrictTool:
        return StrictTool.of(file, kit, kit.seen_calls, pages=pages)

    tools = ToolsOnDemand(offered, tool)
    ahead = OnceListed(run_imports(tools, offered) if for_a_run else once_listed)

    def bare() -> MCPServer[Any]:
        return MCPServer(
            "claude-trader",
            title="Claude Trader",
            version=version("claude-trader"),
            instructions=INSTRUCTIONS.format(about=offered_about(families)),
            extensions=[*(_apps() if pages else []), *_for_the_runner(settings, kit)],
            lifespan=lifespan,
            log_level="WARNING",
            request_state_security=NOTHING_SEALED,
            subscriptions=False,  # what is listed never changes while it runs
        )

    server = without("rich", bare)  # it would set up logs with it; ours have their handler
    server._tool_manager = tools
    if not for_a_run:
        from mcp_server.prompts.offer import offer

        offer(server, kit, offered, families)
    server.middleware.extend((PromptArguments(server), ahead))
    return server


def _apps() -> "list[Extension]":
    from mcp_server.prompts.apps import apps  # a run shows no pages

    return [apps()]


def _for_the_runner(settings: ServerSettings, kit: Kit) -> "list[Extension]":
    """Return what a server offers in addition to the runner that started it."""
    if settings.runner_token is None:
        return []
    from mcp_server.evaluations import Evaluations

    return [Evaluations(kit)]


def make_kit(
    settings: ServerSettings,
    files: Mapping[str, ToolFile],
    *,
    clock: Callable[[], datetime] | None = None,
    database: Database | None = None,
    journal_in: "JournalDatabase | None" = None,
    deadline_s: float = DEADLINE_S,
) -> Kit:
    """Make the parts that tools work with. Nothing is opened or fetched until one needs it; `Kit.close` ends them.

    Args:
        settings: what the operator decided.
        files: all tools of the program.
        clock: gives the present as an aware datetime; None: the journal's.
        database: the home's, where another part of this process uses it too.
        journal_in: so for what keeps the journal.
        deadline_s: how long any question to an exchange may take.
    """
    from mcp_server.charts.artist import Artist
    from mcp_server.overview_cache import OverviewCache
    from mcp_server.storage.candles.fundings import FundingStore
    from mcp_server.storage.candles.store import CandleStore
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.queries.ask import Queries
    from mcp_server.storage.strategies.folders import StrategyFolders

    home = Home(settings.home)
    database = database or Database(home.database, prepare=home.prepare)
    journal_in = journal_in or journal_database(database, settings.database_url)
    clock = clock or journal_in.now
    make_exchange = partial(_exchange, settings=settings, clock=clock)
    candles, fundings = CandleCache(CandleStore(database)), FundingStore(database)
    market = Market(make_exchange, candles, clock, _exchange_infos, fundings=fundings, deadline_s=deadline_s)
    chains = Chains(lambda: _catalog(settings.home), _chain_access(settings, clock), clock)
    strategies, journal = StrategyFolders(home, examples_folder()), Journal(journal_in, home)

    def sentences() -> "RecordSentences":
        from mcp_server.scoring.record_sentences import RecordSentences

        stored = Market(partial(_stored, clock=clock), candles, clock, tuple, fundings=fundings)
        return RecordSentences(stored, candles, journal.outcomes(strategies, settings.exchange))

    return Kit(
        market=market,
        chains=chains,
        news=News(journal_in, settings.home, clock),
        strategies=strategies,
        journal=journal,
        clock=clock,
        default_exchange=settings.exchange,
        as_of=settings.as_of,
        files=files,
        home=home,
        overviews=OverviewCache(home, journal_in, strategies, settings.budget_usd_per_day, sentences),
        queries=Queries(settings.database_url),
        artist=Artist(),
    )


def tool_files() -> ToolFiles:
    """Return the tool files, each of which is imported when it is first asked for."""
    return ToolFiles.all()


def _exchange(exchange_id: str, settings: ServerSettings, clock: Callable[[], datetime]) -> "Exchange":
    if exchange_id == "simulated":
        from mcp_server.adapters.simulated.exchange import SimulatedExchange

        return SimulatedExchange(clock)
    from mcp_server.adapters.ccxt.exchange import CcxtExchange

    return CcxtExchange(exchange_id, base_url=settings.exchange_urls.get(exchange_id))


def _stored(exchange_id: str, clock: Callable[[], datetime]) -> "Exchange":
    """Return an exchange that answers without the network: the invented one, else one that has nothing to say."""
    if exchange_id == "simulated":
        from mcp_server.adapters.simulated.exchange import SimulatedExchange

        return SimulatedExchange(clock)
    from mcp_server.adapters.unasked import UnaskedExchange

    return UnaskedExchange(exchange_id)


def _catalog(home: Path) -> "Catalog":
    from mcp_server.chains.catalog import Catalog

    return Catalog(home)


def _chain_access(settings: ServerSettings, clock: Callable[[], datetime]) -> Access:
    urls = [
        {chain: [url.get_secret_value() for url in urls] for chain, urls in setting.items()}
        for setting in (settings.chain_urls, settings.explorer_urls)
    ]
    keys = {name: key.get_secret_value() for name, key in settings.credentials.items()}
    return Access(*urls, keys=keys, clock=clock)


def _exchange_infos() -> "Sequence[ExchangeInfo]":
    from mcp_server.adapters.ccxt.client import exchange_infos

    return exchange_infos()
