"""Gathers what a strategy's check needs to know of the world: its market, recent candles, and what its runs have cost.

An exchange that can't be asked, or a journal that another program holds, never fails a check: it is a warning there.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_server.domain.strategy.checks.check import Facts
from mcp_server.domain.strategy.checks.rules import history, wake_rules
from mcp_server.domain.strategy.finding import Finding, of_text, warning
from mcp_server.errors import NotFound, TraderError

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.strategy.checks.budget import Costs
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.market.market import Market
    from mcp_server.storage.journal.runs import Journal

LIMIT_S = 12.0
"""Together, exchange and journal may take so long."""

_MOST_CANDLES = 2_000
"""Beyond these an indicator is a little unsettled, which changes little of how often a rule held."""

_FEW = 10
"""Without rules, so many candles show that a market is alive."""

_LATER = "Check it again when the exchange answers; a run needs it too."


async def gather(strategy: Strategy, market: Market, journal: Journal, exchange: str, now: datetime) -> Facts:
    """Gather the facts around a strategy whose files have no error, from both sources at once.

    Args:
        strategy: what is checked.
        market: knows the candles.
        journal: knows the runs.
        exchange: which one it will run on.
        now: the latest moment that counts.
    """
    found: list[Finding] = []
    candles: list[Candles] = []
    costs: list[Costs] = []

    async def ask_exchange() -> None:
        late = f"{exchange!r} did not answer within {LIMIT_S:g} s."
        try:
            with anyio.fail_after(LIMIT_S):
                candles.append(await _candles(strategy, market, exchange, now))
        except NotFound as error:
            place = "exchange" if str(error).startswith("Unknown exchange") else "trading_pair"
            found.append(of_text("error", f"config.json {place}", str(error), "find_markets lists them."))
        except TraderError as error:
            found.append(of_text("warning", "config.json trading_pair", f"It could not be looked up. {error}", _LATER))
        except TimeoutError:
            found.append(warning("config.json trading_pair", f"It could not be looked up. {late}", _LATER))

    async def ask_journal() -> None:
        with anyio.move_on_after(LIMIT_S):
            try:
                work = anyio.to_thread.run_sync(journal.costs, strategy.name, abandon_on_cancel=True)
                costs.append(await work)
            except TraderError:
                return  # the estimate says that it is unknown

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_exchange)
        if strategy.engine == "claude":
            tasks.start_soon(ask_journal)
    if candles and not len(candles[0]):
        pair = strategy.config.trading_pair
        remedy = "find_markets lists those that are traded."
        found.append(warning("config.json trading_pair", f"{exchange!r} has no recent candles of {pair!r}.", remedy))
    return Facts(now, candles[0] if candles else None, tuple(found), costs[0] if costs else None)


async def _candles(strategy: Strategy, market: Market, exchange: str, now: datetime) -> Candles:
    """Give recent candles: as many as its rules need, or a few where it has none."""
    rules, wake = strategy.config.rules, strategy.config.wake
    asked = [rules] if rules else []
    asked += [wake_rules(rules, wake)] if wake else []
    count = await anyio.to_thread.run_sync(lambda: max([history(each, _MOST_CANDLES) for each in asked], default=_FEW))
    held = await market.candles(exchange, strategy.config.trading_pair, strategy.timeframe, count, now)
    return held.candles
