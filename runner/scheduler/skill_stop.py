"""Pauses a strategy whose `stop` is reached: what is judged speaks against the return that it is to bring.

What is counted begins when the strategy was last made active. So one that a person resumes gets another chance: it is
paused again only by signals that were given, and judged, after that.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio.to_thread

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.storage.journal.slot_history import made_active
from mcp_server.storage.sql import JournalDatabase
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.notify.events import no_skill
from runner.scheduler.records import Ask, Record
from runner.scheduler.troubles import Tell

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SkillStop:
    """Looks at the strategies that have a `stop`.

    Args:
        scheduled: returns the strategies that are scheduled now.
        database: where the journal is.
        folders: where a strategy is paused.
        default_exchange: the exchange of strategies that name none.
        now: returns the present.
        tell: takes the event of a pause.
    """

    scheduled: Callable[[], Iterable[Strategy]]
    database: JournalDatabase
    folders: StrategyFolders
    default_exchange: str
    now: Callable[[], datetime]
    tell: Tell
    _seen: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """The version of each strategy that was looked at, and how many of its signals were judged then, if known."""

    async def __call__(self, records: Mapping[str, Record], ask: Ask) -> None:
        """Look at each strategy of which more is judged than at the last look.

        Records come in the order of their names, and an answer holds so many only. What comes after the last of them
        is looked at each time.

        Raises:
            TraderError: one could not be looked at; the others were.
        """
        failed: TraderError | None = None
        last = max(records, default=None)
        for strategy in [*self.scheduled()]:
            record = records.get(strategy.name)
            cut_off = last is not None and strategy.name > last
            if strategy.config.stop is None or (record is None and not cut_off):
                continue
            seen = strategy.version, None if record is None else record["judged"]
            if record is not None and self._seen.get(strategy.name) == seen:
                continue
            try:
                await self._look(strategy, ask)
                self._seen[strategy.name] = seen
            except TraderError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    async def _look(self, strategy: Strategy, ask: Ask) -> None:
        since = await anyio.to_thread.run_sync(made_active, self.database, strategy.name)
        if since is None or since >= self.now():  # the clock was set back: nothing was given after that yet
            return
        record = await ask(strategy_name=strategy.name, since=since.isoformat())
        stop = record["stop"]
        decides_now = record["decision_version"] == strategy.decision_version(self.default_exchange)
        if not stop or not stop["reached"] or not decides_now:
            return
        if await anyio.to_thread.run_sync(partial(self._pause, strategy)):
            logger.error("strategy %s is paused: its signals show no skill", strategy.name)
            self.tell(no_skill(strategy, record, since))

    def _pause(self, strategy: Strategy) -> bool:
        """Pause a strategy; return False where it was edited meanwhile, or paused by somebody else."""
        if self.folders.read(strategy.name).version != strategy.version:
            return False
        _, was = self.folders.set_status(strategy.name, "paused")
        return was == "active"
