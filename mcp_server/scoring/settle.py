"""Judges the signals whose horizon is over: one pass over each series of candles, and what fits is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import numpy as np

from mcp_server.domain.scoring.outcomes import Prices, judge
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.text import cleaned, counted
from mcp_server.domain.timeframes import DAY_MS, from_ms, timeframe_ms, to_ms
from mcp_server.errors import BadInput, NotSupported, TraderError
from mcp_server.scoring.over_runs import OverRuns
from mcp_server.scoring.paid_fundings import PaidFundings, paid_fundings
from mcp_server.scoring.series import Allowance, Gathered, series_for
from mcp_server.storage.candles.store import Series
from mcp_server.storage.journal.outcomes import SettledOutcome
from mcp_server.together import together

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.candles import Floats, Mask, Times
    from mcp_server.market.market import Market
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.journal.outcomes import DueRun, Outcomes

GONE_MS = 7 * DAY_MS
"""So long after its exit a signal is void if its market is gone by then, or its fundings were never published."""

AT_ONCE = 8
"""So many series are gathered at a time."""

MOST_KEPT = 2_000
"""No more outcomes are written in one call: runs that wait for the file to enter their own row must not wait long."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Signals of one market whose horizon is over, but which cannot be judged yet."""

    series: Series
    count: int
    why: str

    def __str__(self) -> str:
        of = cleaned(f"{self.series.symbol} on {self.series.exchange} ({self.series.timeframe})", 120)
        return f"{counted(self.count, 'signal')} of {of} cannot be judged yet: {self.why}."


@dataclass(slots=True)
class Settlement:
    """What could be settled, and what could not. `not_kept` says why the outcomes could not be written."""

    outcomes: list[SettledOutcome] = field(default_factory=list)
    unsettled: list[Unsettled] = field(default_factory=list)
    not_kept: TraderError | None = None


async def settle_due(
    outcomes: Outcomes,
    market: Market,
    as_of: datetime,
    now: datetime,
    within_s: float,
    *,
    keep: bool,
    strategy: str | None = None,
) -> Settlement:
    """Settle the signals whose horizon was over ten minutes before a moment.

    Args:
        outcomes: the journal's.
        market: where candles and fundings are had.
        as_of: nothing later is used.
        now: the present.
        within_s: for how long candles may be gathered.
        keep: write the outcomes into the journal, the oldest first; under a past as-of nothing is written. Where it
            cannot be written they are known all the same, and judged anew by the next call.
        strategy: settle what is due of this one alone; None: of all.

    Raises:
        TraderError: the journal cannot be read; a market that cannot be asked is told in the answer.
    """
    due = await anyio.to_thread.run_sync(outcomes.due, as_of, strategy)
    settlement = await settle(market, due, to_ms(as_of), to_ms(now), Allowance.of(within_s))
    if keep:
        oldest = sorted(settlement.outcomes, key=lambda outcome: outcome.exit_ms)[:MOST_KEPT]
        try:
            await anyio.to_thread.run_sync(outcomes.add, oldest, now)
        except TraderError as error:
            settlement.not_kept = error
    return settlement


async def settle(market: Market, due: Sequence[DueRun], as_of_ms: int, now_ms: int, allowance: Allowance) -> Settlement:
    """Judge what can be judged of the runs that are due, oldest first, without writing anything."""
    runs: dict[Series, list[DueRun]] = {}
    for run in sorted(due, key=lambda run: run.decided_ms):
        terms = run.terms
        runs.setdefault(Series(terms.exchange, terms.symbol, terms.timeframe), []).append(run)
    turns = anyio.CapacityLimiter(AT_ONCE)

    async def one(series: Series, of_series: list[DueRun]) -> Settlement:
        over = OverRuns.of(series, of_series, as_of_ms)
        if not over.runs:
            return Settlement()
        async with turns:
            return await _settled(market, over, as_of_ms, now_ms, allowance)

    parts = await together(*(partial(one, *item) for item in runs.items()))
    return Settlement(
        [outcome for part in parts for outcome in part.outcomes],
        [unsettled for part in parts for unsettled in part.unsettled],
    )


async def _settled(market: Market, over: OverRuns, as_of_ms: int, now_ms: int, allowance: Allowance) -> Settlement:
    """Judge the runs of one series."""
    gathered = await series_for(market, over.series, over.ranges(), as_of_ms, allowance)
    prices = judge(gathered.candles, over.series.timeframe, over.entry_ms, over.exit_ms)
    entry_in = _range_of(over.entry_ms, gathered.ranges)
    exit_in = _range_of(over.exit_ms - timeframe_ms(over.series.timeframe), gathered.ranges)
    no_entry, no_exit = np.isnan(prices.entry) & (entry_in >= 0), np.isnan(prices.exit) & (exit_in >= 0)
    void = no_entry | no_exit | (over.exit_ms <= over.entry_ms)
    expired = over.exit_ms + GONE_MS <= now_ms
    held, paid = np.isfinite(prices.r), PaidFundings(np.zeros(len(void)))
    if pays_fundings(gathered.symbol):
        held &= (entry_in == exit_in) & (entry_in >= 0)
        paid = await paid_fundings(market, over, gathered, held, as_of_ms, allowance)
        void |= held & np.isnan(paid.ratio) & (paid.never | (paid.answered & expired))
    judged = held & np.isfinite(paid.ratio) & ~void
    lost = expired & ~held & ~void
    if lost.any():
        with anyio.move_on_after(allowance.left_s):
            void |= lost & await _gone(market, over.series, gathered, now_ms)
    waiting = ~judged & ~void
    settlement = Settlement(_rows(over, prices, paid.ratio, judged, void))
    if waiting.any():
        why = _reason(gathered, paid, bool((waiting & ~held).any()))
        settlement.unsettled.append(Unsettled(over.series, int(np.count_nonzero(waiting)), why))
    return settlement


def _range_of(times: Times, ranges: Sequence[Range]) -> Times:
    """Return the position of the range in which each open time lies; -1 where it lies in none."""
    starts = np.array([start for start, _ in ranges], dtype=np.int64)
    ends = np.array([*(end for _, end in ranges), 0], dtype=np.int64)
    place = np.searchsorted(starts, times, side="right") - 1
    return np.where((place >= 0) & (times < ends[place]), place, -1)


def _rows(over: OverRuns, prices: Prices, funding: Floats, judged: Mask, void: Mask) -> list[SettledOutcome]:
    values = (prices.entry, prices.exit, prices.r, funding * 10_000)
    rows = []
    for place, run in enumerate(over.runs):
        times = (int(over.entry_ms[place]), int(over.exit_ms[place]))
        if judged[place]:
            figures = [float(value[place]) for value in values]
            rows.append(SettledOutcome(run.execution_id, run.terms, "judged", *times, *figures))
        elif void[place]:
            rows.append(SettledOutcome(run.execution_id, run.terms, "void", *times))
    return rows


def _reason(gathered: Gathered, paid: PaidFundings, lacks_candles: bool) -> str:
    """Say why signals of a market cannot be judged yet."""
    problem, cut = (gathered.problem, gathered.cut) if lacks_candles else (paid.problem, paid.cut)
    if problem is not None:
        return cleaned(problem.problem, 200).rstrip(".")
    if cut:
        return "there was no time for them, and the next call goes on from here"
    return f"the exchange has not sent all of their {'candles' if lacks_candles else 'fundings'} yet"


async def _gone(market: Market, series: Series, gathered: Gathered, now_ms: int) -> bool:
    """Return whether a market is not listed any more, or not traded, so that its candles will never come."""
    if isinstance(gathered.problem, BadInput | NotSupported):
        return True
    if gathered.problem is not None or gathered.cut:
        return False
    try:
        markets = (await market.listings(series.exchange, from_ms(now_ms))).markets
    except TraderError:
        return False
    return not any(one.symbol == gathered.symbol and one.active is not False for one in markets)
