"""The record of each strategy so far. The tool server is asked for it now and then, and judges what is due by then.

This is a task of its own: it waits while slots run or are about to, and no slot ever waits for it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import anyio.to_thread

from mcp_server.domain.scoring.sentences import sentence
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import KNOWN_AFTER_MS
from mcp_server.errors import TraderError
from mcp_server.storage.journal.slot_history import last_decided_by, next_horizon, overdue
from mcp_server.storage.sql import JournalDatabase
from runner.clock import Clock
from runner.notify.events import not_judged
from runner.notify.weekly import WEEK, week_of
from runner.scheduler.troubles import RECORDS, Tell, Troubles
from runner.tool_server.client import Connecting

if TYPE_CHECKING:
    from mcp_server.domain.scoring.keys import Score

T = TypeVar("T")

logger = logging.getLogger(__name__)

TOOL = "get_performance"

FIRST_S = 10.0
"""How long it waits at the start: slots that were missed come first."""

LEAST_S, MOST_S = 300.0, 3_600.0
"""How long it waits from one look to the next, at least and at most."""

ASK_S = 600.0
"""How often it asks the journal what comes due; a signal that was given meanwhile is not due before that."""

JUDGED_AFTER = timedelta(milliseconds=KNOWN_AFTER_MS)
"""So long after its horizon a signal can be judged."""

BUSY_S, PATIENCE_S = 2.0, 600.0
"""While slots keep the server busy, how often it looks whether they still do, and after how long it goes on anyway."""

CALL_S = 120.0
"""How long the tool server may take to answer."""

LASTING = timedelta(hours=1)
"""When signals could not be judged for so long, people are told."""

Record = Mapping[str, Any]
"""One strategy's record, with the keys of `get_performance`."""

Ask = Callable[..., Awaitable[dict[str, Any]]]
"""Calls `get_performance` with its arguments."""

Follow = Callable[[Mapping[str, Record], Ask], Awaitable[None]]
"""What follows a look: it takes the record of each strategy by name, and how to ask for more."""


@dataclass(slots=True)
class Records:
    """Keeps the record of each strategy in memory, in a few words.

    Args:
        connect: lends the tools of the server.
        clock: the clock that slots go by.
        database: where the journal is.
        default_exchange: the exchange of strategies that name none.
        busy: returns whether slots run now, or are about to.
        troubles: where it notes that it fails.
        tell: takes the event that it has failed for long.
        follow: what follows each look, in this order.
    """

    connect: Connecting
    clock: Clock
    database: JournalDatabase
    default_exchange: str
    busy: Callable[[], bool]
    troubles: Troubles
    tell: Tell
    follow: Sequence[Follow] = ()
    _sentences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The decision_version of each record, and the record in a few words."""

    def sentence(self, strategy: Strategy) -> str:
        """Return the record of a strategy in a few words; nothing where it is not known of what decides now."""
        version, words = self._sentences.get(strategy.name, ("", ""))
        return words if version == strategy.decision_version(self.default_exchange) else ""

    def problems(self) -> list[str]:
        """Return, in a sentence for people, why signals have not been judged for long."""
        trouble = self.troubles.of(RECORDS)
        if trouble is None or self.clock.now() - trouble.since < LASTING:
            return []
        return [f"No signal has been judged since {trouble.since:%Y-%m-%d %H:%M} UTC: {trouble.why}"]

    async def keep(self) -> None:
        """Look again and again until it is cancelled. Whatever fails here ends nothing, and is tried again."""
        await self.clock.sleep(FIRST_S)
        left: int | None = None
        while True:
            await self._until_quiet()
            looked_at = self.clock.now()
            await self._look()
            before, left = left, await self._from_journal(overdue, looked_at - JUDGED_AFTER)
            await self.clock.sleep(LEAST_S)
            goes_on = left and (before is None or left < before)  # one call judges as many as fit in its time
            if self.troubles.of(RECORDS) is None and not goes_on:
                await self._until_due(looked_at)

    async def _until_quiet(self) -> None:
        waited_s = 0.0
        while self.busy() and waited_s < PATIENCE_S:
            await self.clock.sleep(BUSY_S)
            waited_s += BUSY_S

    async def _look(self) -> None:
        why = None
        try:
            answer = await self._ask()
            records = {str(record["strategy_name"]): record for record in _rows(answer)}
            versions = await anyio.to_thread.run_sync(last_decided_by, self.database)
            self._sentences = {
                name: (versions.get(name, ""), sentence(cast("Score", record))) for name, record in records.items()
            }
            for follow in self.follow:
                await follow(records, self._ask)
        except TimeoutError:
            why = f"The tool server did not answer within {CALL_S:g} s."
        except TraderError as error:
            why = str(error)
        except Exception as error:  # nobody is there to start it again
            known = self.troubles.of(RECORDS) is not None
            logger.log(logging.DEBUG if known else logging.ERROR, "judging signals", exc_info=error)
            why = f"Unexpected {type(error).__name__}; the log says more."
        self._note(why)

    async def _ask(self, **arguments: Any) -> dict[str, Any]:
        with anyio.fail_after(CALL_S):
            async with self.connect() as tools:
                return await tools.call(TOOL, arguments)

    def _note(self, why: str | None) -> None:
        now = self.clock.now()
        changed = self.troubles.note(RECORDS, why, now)
        if changed:
            logger.warning("signals cannot be judged: %s", why) if why else logger.info("signals are judged again")
        trouble = self.troubles.of(RECORDS)
        if trouble is not None and now - trouble.since >= LASTING:
            self.tell(not_judged(trouble.why, trouble.since))

    async def _until_due(self, looked_at: datetime) -> None:
        """Wait until a signal can be judged that could not be before, an hour is over, or a new week has begun."""
        latest = min(looked_at + timedelta(seconds=MOST_S), week_of(looked_at) + WEEK)
        while looked_at <= (now := self.clock.now()) < latest:
            wait_s = BUSY_S  # many a signal can be judged just when a slot is due: that one is soon over
            if not self.busy():
                due = await self._next_due(looked_at)
                if due <= now:
                    return
                wait_s = min((min(due, latest) - now).total_seconds(), ASK_S)
            await self.clock.sleep(wait_s)

    async def _next_due(self, looked_at: datetime) -> datetime:
        """Return when the next signal can be judged that could not be at the last look; a time far off if none."""
        horizon = await self._from_journal(next_horizon, looked_at - JUDGED_AFTER)
        return looked_at + timedelta(seconds=2 * MOST_S) if horizon is None else horizon + JUDGED_AFTER

    async def _from_journal(self, question: Callable[[JournalDatabase, datetime], T], moment: datetime) -> T | None:
        """Return what the journal knows as of a moment; None where it cannot be read, which the scheduler tells of."""
        try:
            return await anyio.to_thread.run_sync(partial(question, self.database, moment))
        except TraderError:
            return None


def _rows(answer: Mapping[str, Any]) -> list[Record]:
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
