"""What follows the end of a run: its report, notices of what its owner should know, a pause after too many failures."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio.to_thread

from mcp_server.domain.outcome import BudgetReached, Ended, SignalName
from mcp_server.domain.schedule.slots import due_at
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.journal.slot_history import failures
from mcp_server.storage.sql import JournalDatabase
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.notify.events import (
    broken_edit,
    budget_reached,
    run_failed,
    server_trouble,
    signal_changed,
    strategy_paused,
)
from runner.scheduler.schedules import BrokenEdit
from runner.scheduler.troubles import Tell, Troubles

logger = logging.getLogger(__name__)

OFTEN = ("1m", "5m", "15m", "30m")
"""For these intervals an exchange that is soon back is in the log only: the next slot is near."""

EVERYONE = "all strategies"


Report = Callable[[Strategy, Ended], Awaitable[object]]
"""Writes the analysis of a run that gave a signal."""

Count = Callable[[Strategy, Ended, float | None], object]
"""Takes how a slot ended, and how many seconds late its run began; None: it did not begin."""


@dataclass(slots=True)
class AfterRun:
    """Follows runs. `tell` takes events, `report` the runs that gave a signal, `count` how each ended.

    `record` returns a strategy's record so far, in a few words, or nothing.
    """

    database: JournalDatabase
    folders: StrategyFolders
    default_exchange: str
    troubles: Troubles
    tell: Tell
    report: Report
    count: Count
    record: Callable[[Strategy], str] = lambda _: ""
    _signals: dict[str, SignalName] = field(default_factory=dict)
    """The last signal of each strategy that has ended here, for when the journal cannot be asked."""
    _reached: set[str] = field(default_factory=set)

    async def follow(self, strategy: Strategy, ended: Ended) -> None:
        """Do what follows the end of one run."""
        outcome = ended.outcome
        due = due_at(strategy.config, ended.as_of)
        late_s = None if ended.began_at is None else max((ended.began_at - due).total_seconds(), 0.0)
        _log(strategy, ended, late_s)
        self.count(strategy, ended, late_s)
        if ended.engine == "rules":
            self._note_exchange(strategy, ended)
        if outcome.signal is not None:
            await self._signal(strategy, ended, outcome.signal.signal)
        elif outcome.blame == "strategy":
            await self._failure(strategy, ended)
        elif outcome.budget is not None:
            self._budget(strategy, ended, outcome.budget)

    def broken(self, edit: BrokenEdit) -> None:
        """Tell of an edit that broke a strategy."""
        state = "Its last good version keeps running." if edit.runs_on else "It is not scheduled."
        logger.error("strategy %s is broken. %s %s", edit.name, state, edit.problem, extra={"strategy": edit.name})
        self.tell(broken_edit(edit.name, f"{state} {edit.problem}"))

    async def _signal(self, strategy: Strategy, ended: Ended, signal: SignalName) -> None:
        # The transaction that entered this signal read the one before it: neither another runner nor another strategy
        # that ends at this moment comes in between.
        before = ended.before if ended.waiting is None else self._signals.get(strategy.name)
        self._signals[strategy.name] = signal
        if (event := signal_changed(strategy, ended, before, self.record(strategy))) is not None:
            self.tell(event)
        if before != signal or ended.engine == "claude":
            try:
                await self.report(strategy, ended)
            except TraderError as error:
                logger.error("no report of %s: %s", strategy.name, error, extra={"strategy": strategy.name})

    async def _failure(self, strategy: Strategy, ended: Ended) -> None:
        if (event := run_failed(strategy, ended)) is not None:
            self.tell(event)
        name, most = strategy.name, strategy.config.max_failures
        try:
            failed = await anyio.to_thread.run_sync(failures, self.database, name, most)
            if failed < most:
                return
            _, was = await anyio.to_thread.run_sync(self.folders.set_status, name, "paused")
        except TraderError as error:
            logger.error("%s could not be paused: %s", name, error, extra={"strategy": name})
            return
        if was == "active":
            logger.error("strategy %s is paused after %d failures in a row", name, failed, extra={"strategy": name})
            self.tell(strategy_paused(strategy, ended, failed))

    def _note_exchange(self, strategy: Strategy, ended: Ended) -> None:
        """Tell of an exchange on which runs fail for a while, once: no strategy is paused for that."""
        config, outcome = strategy.config, ended.outcome
        name = config.exchange or self.default_exchange
        about = f"exchange {name}"
        if outcome.decided:
            self.troubles.note(about, None, ended.ended_at)
        elif outcome.blame == "outside":
            self.troubles.note(about, outcome.error, ended.ended_at)
            trouble = self.troubles.of(about)
            if trouble and not trouble.told and (config.interval not in OFTEN or trouble.lasts(ended.ended_at)):
                trouble.told = True
                logger.error("runs on %s have failed since %s: %s", name, f"{trouble.since:%H:%M:%S}", trouble.why)
                self.tell(server_trouble(f"Runs on {name} fail: {trouble.why}", trouble.since))

    def _budget(self, strategy: Strategy, ended: Ended, reached: BudgetReached) -> None:
        """Tell of a budget that is used up, once a day."""
        whose = EVERYONE if reached.scope == "everyone" else strategy.name
        event = budget_reached(whose, reached.spent_usd, reached.limit_usd, ended.ended_at.date())
        if event.key not in self._reached:
            self._reached.add(event.key)
            self.tell(event)


def _log(strategy: Strategy, ended: Ended, late_s: float | None) -> None:
    outcome, signal = ended.outcome, ended.outcome.signal
    fields = {
        "strategy": strategy.name,
        "slot": f"{ended.as_of:%Y-%m-%dT%H:%M:%SZ}",
        "outcome": signal.signal if signal else str(outcome.status),
        "engine": ended.engine,
        "price": signal.price if signal else None,
        "duration_s": round(ended.took_s, 3),
        "late_s": None if late_s is None else round(late_s, 3),
        "cost_usd": None if outcome.cost_usd is None else float(outcome.cost_usd),
        "execution_id": ended.execution_id,
        "error": outcome.error,
    }
    level = logging.ERROR if outcome.blame == "strategy" else logging.INFO
    logger.log(level, "slot ended", extra=fields)
    if ended.waiting is not None:
        logger.warning("an outcome is not in the journal yet: %s", ended.waiting, extra=fields)
