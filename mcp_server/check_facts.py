"""Gather what the check of a strategy needs to know: its market, recent candles, and what its runs have cost.

An exchange that cannot be asked, or a journal that another program holds, never fails a check: it becomes a warning.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_server.domain.strategy.checks.check import Facts
from mcp_server.domain.strategy.checks.rules import history, looked_at, wake_rules
from mcp_server.domain.strategy.finding import Finding, error, warning
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import NotFound, TraderError, UnknownExchange

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.strategy.checks.budget import Costs
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.market.history import History
    from mcp_server.market.market import Market
    from mcp_server.news.news import News
    from mcp_server.storage.journal.runs import Journal

LIMIT_S = 12.0
"""The exchange and the journal, asked at the same time, may take this long."""

_MOST_CANDLES = 2_000
"""With more candles, how often a rule held would hardly change."""

_CANDLES_WITHOUT_RULES = 10
"""Without rules, this many candles show that a market is alive."""

INDEX_KEY = "fear_greed"
DAY_HOURS = 24
_LATER = "Check it again when the exchange answers; a run needs it too."


async def gather(
    strategy: Strategy, market: Market, news: News, journal: Journal, exchange: str, now: datetime
) -> Facts:
    """Gather the facts around a strategy whose files have no error, from both sources at once.

    Args:
        strategy: the strategy to check.
        market: where its candles come from.
        news: those that its rules and sub-agents may look at.
        journal: where its runs are recorded.
        exchange: the exchange that it will run on.
        now: the latest moment to use.
    """
    findings: list[Finding] = []
    candles: list[Candles] = []
    costs: list[Costs] = []

    async def ask_exchange() -> None:
        try:
            with anyio.fail_after(LIMIT_S):
                recent = await _candles(strategy, market, news, exchange, now)
            candles.append(recent.candles)
            findings.extend(await anyio.to_thread.run_sync(_news_findings, news, recent))
        except NotFound as failure:
            place = "config.json exchange" if isinstance(failure, UnknownExchange) else "config.json trading_pair"
            findings.append(error(place, failure.problem, failure.remedy or "find_markets lists them."))
        except TraderError as failure:
            problem = f"It could not be looked up. {failure.problem}"
            findings.append(warning("config.json trading_pair", problem, failure.remedy or _LATER))
        except TimeoutError:
            problem = f"It could not be looked up. {exchange!r} did not answer within {LIMIT_S:g} s."
            findings.append(warning("config.json trading_pair", problem, _LATER))

    async def ask_journal() -> None:
        with anyio.move_on_after(LIMIT_S):
            try:
                work = anyio.to_thread.run_sync(journal.costs, strategy.name, abandon_on_cancel=True)
                costs.append(await work)
            except TraderError:
                return  # the estimate says that it is unknown

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_exchange)
        for place, symbol in _markets_of_agents(strategy):
            tasks.start_soon(_look_up, market, exchange, strategy.timeframe, symbol, now, place, findings)
        if strategy.engine == "claude":
            tasks.start_soon(ask_journal)
            findings.extend(await anyio.to_thread.run_sync(_news_of_agents, strategy, news, now))
    if candles and not len(candles[0]):
        pair = strategy.config.trading_pair
        remedy = "find_markets lists those that are traded."
        findings.append(warning("config.json trading_pair", f"{exchange!r} has no recent candles of {pair!r}.", remedy))
    return Facts(now, candles[0] if candles else None, tuple(findings), costs[0] if costs else None)


def _markets_of_agents(strategy: Strategy) -> list[tuple[str, str]]:
    return [
        (f"agents.json {name}.markets", symbol) for name, agent in strategy.agents.items() for symbol in agent.markets
    ]


async def _look_up(
    market: Market, exchange: str, timeframe: str, symbol: str, now: datetime, place: str, findings: list[Finding]
) -> None:
    """Warn of a market of a sub-agent that the exchange lacks; what else fails is said of the strategy's own market."""
    with anyio.move_on_after(LIMIT_S):
        try:
            await market.candles(exchange, symbol, timeframe, 1, now)
        except UnknownExchange:
            return
        except NotFound as failure:
            remedy = "Correct it, unless the sub-agent's prompt names another exchange for it."
            findings.append(warning(place, failure.problem, remedy))
        except TraderError:
            return


async def _candles(strategy: Strategy, market: Market, news: News, exchange: str, now: datetime) -> History:
    """Return recent candles with the news that the rules look at: as many as these need, or a few without rules."""
    from mcp_server.news.for_rules import with_news

    rules, wake, timeframe = strategy.config.rules, strategy.config.wake, strategy.timeframe
    needed = [rules] if rules else []
    needed += [wake_rules(rules, wake)] if wake else []
    count = await anyio.to_thread.run_sync(
        lambda: max([history(one, timeframe, _MOST_CANDLES) for one in needed], default=_CANDLES_WITHOUT_RULES)
    )
    wanted = await anyio.to_thread.run_sync(lambda: {given for one in needed for given in looked_at(one, timeframe)})
    recent = await market.candles(exchange, strategy.config.trading_pair, timeframe, count, now)
    given = (news, recent.candles, timeframe, recent.symbol, [*wanted])
    return replace(recent, candles=await anyio.to_thread.run_sync(with_news, *given))


def _news_of_agents(strategy: Strategy, news: News, now: datetime) -> list[Finding]:
    """Warn of sub-agents that ask for news, if there would be no answer now about the last day."""
    asking = [name for name, agent in strategy.agents.items() if "get_news" in agent.tools]
    if not asking:
        return []
    from mcp_server.news.question import NewsQuestion, ask_news

    try:
        ask_news(news, NewsQuestion(None, None, None, DAY_HOURS, 1, to_ms(now)))
    except TraderError as failure:
        remedy = "Let `claude-trader up` run first, TRADER_NEWS not off; as long as get_news fails, runs abstain."
        return [warning(f"agents.json {name}.tools", failure.problem, remedy) for name in asking]
    return []


def _news_findings(news: News, recent: History) -> list[Finding]:
    """Warn of news that has no value now, that belongs to no real market, or whose coin has no names that are known."""
    from mcp_server.domain.news.pairs import base_of

    given, place, base = recent.candles.given, "config.json rules.indicators", base_of(recent.symbol)
    missing = {column.why for column in given.values() if column.why and column.values[-1] != column.values[-1]}
    remedy = "`claude-trader up` collects news, unless TRADER_NEWS is off; without news the rules cannot decide."
    findings = [warning(place, why, remedy) for why in sorted(missing)]
    if given.keys() - {INDEX_KEY} and not news.subjects.is_curated(base):
        problem = f"No names of {base} are known, so only headlines with ${base}, a pair of it or its listing count."
        findings.append(warning(place, problem, "Expect few stories, or look at fear_greed alone."))
    if given and recent.simulated:
        problem = "The news that it looks at are real, while this market is invented."
        findings.append(warning(place, problem, "Learn from it how the rules work, not what they earn."))
    return findings
