"""What follows the end of a run: its report, notices of what its owner should know, a pause after too many failures."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import anyio.to_thread

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.errors import TraderError
from mcp_server.storage.journal import Claimed
from mcp_server.storage.slots import SlotBook
from mcp_server.storage.strategies import StrategyFolders

logger = logging.getLogger(__name__)

Tell = Callable[[str, str, Mapping[str, str]], None]
"""Takes the kind of an event, a key that it alone has, and what there is to say of it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A slot's run that is over. `began_at` is None where it never began; `waiting` says why its row is still open."""

    claimed: Claimed
    outcome: Outcome
    began_at: datetime | None
    ended_at: datetime
    waiting: str | None

    @property
    def name(self) -> str:
        """Its strategy's."""
        return self.claimed.run.strategy.name


Report = Callable[[Ended], Awaitable[None]]


async def _no_report(_: Ended) -> None:
    """Write none."""


def _tell_nobody(_kind: str, _key: str, _said: Mapping[str, str]) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Aftermath:
    """Follows runs. `tell` keeps a notice, to be delivered once for each key; `report` writes a signal's analysis."""

    book: SlotBook
    folders: StrategyFolders
    tell: Tell = _tell_nobody
    report: Report = _no_report
    _signals: dict[str, str] | None = None
    _reached: set[str] = field(default_factory=set)

    async def follow(self, ended: Ended) -> None:
        """Do what follows the end of one run."""
        _log(ended)
        outcome = ended.outcome
        if outcome.signal is not None:
            await self._signal(ended, outcome.signal.signal)
        elif outcome.own_failure:
            await self._failure(ended)
        elif outcome.budget is not None:
            self._budget(ended, outcome.budget)
        elif outcome.not_its_own and ended.began_at is not None and outcome.status is not Status.MISSED:
            hour = f"{ended.ended_at:%Y-%m-%dT%H}"
            self._tell("trouble", f"trouble:{hour}", ended, why=outcome.error or "")

    def broken(self, name: str, problem: str, *, runs_on: bool) -> None:
        """Tell of an edit that broke a strategy."""
        state = "Its last good version goes on running." if runs_on else "It is not scheduled."
        logger.error("strategy %s is broken. %s %s", name, state, problem)
        key = hashlib.sha256(problem.encode()).hexdigest()[:16]
        self.tell("broken", f"broken:{name}:{key}", {"strategy": name, "why": problem, "state": state})

    async def _signal(self, ended: Ended, signal: str) -> None:
        before = await self._last_signal(ended.name)
        changed = before != signal
        if self._signals is not None:
            self._signals[ended.name] = signal
        if changed:
            self._tell("signal", f"signal:{ended.claimed.execution_id}", ended, before=before or "none")
        if changed or ended.claimed.run.engine == "claude" or signal != "HOLD":
            await self.report(ended)

    async def _last_signal(self, name: str) -> str | None:
        """Give what a strategy said before; known from the journal when first asked, from then on from here."""
        if self._signals is None:
            try:
                self._signals = await anyio.to_thread.run_sync(self.book.last_signals)
            except TraderError as error:
                logger.warning("what was said before is not known: %s", error)
                return None
        return self._signals.get(name)

    async def _failure(self, ended: Ended) -> None:
        most = ended.claimed.run.strategy.config.max_failures
        why = ended.outcome.error or ""
        self._tell("failure", f"failure:{ended.claimed.execution_id}", ended, why=why)
        try:
            failed = await anyio.to_thread.run_sync(self.book.failures, ended.name, most)
            if failed < most:
                return
            _, was = await anyio.to_thread.run_sync(self.folders.set_status, ended.name, "paused")
        except TraderError as error:
            logger.error("%s could not be paused: %s", ended.name, error)
            return
        if was == "active":
            logger.error("strategy %s is paused after %d failures in a row: %s", ended.name, failed, why)
            self._tell("paused", f"paused:{ended.name}:{ended.claimed.execution_id}", ended, why=why, times=str(failed))

    def _budget(self, ended: Ended, scope: str) -> None:
        whose = "everyone" if scope == "everyone" else ended.name
        key = f"budget:{whose}:{ended.ended_at:%Y-%m-%d}"
        if key not in self._reached:
            self._reached = {key, *(each for each in self._reached if each.endswith(key[-10:]))}
            self._tell("budget", key, ended, why=ended.outcome.error or "", scope=scope)

    def _tell(self, kind: str, key: str, ended: Ended, **more: str) -> None:
        run, outcome = ended.claimed.run, ended.outcome
        signal = outcome.signal
        said = {
            "strategy": ended.name,
            "symbol": run.strategy.config.trading_pair,
            "slot": f"{run.as_of:%Y-%m-%d %H:%M} UTC",
            "outcome": str(outcome.status),
            "execution": str(ended.claimed.execution_id),
        }
        if signal is not None:
            said |= {
                "signal": signal.signal,
                "confidence": "" if signal.confidence is None else f"{signal.confidence.normalize():f}",
                "price": "" if signal.price is None else f"{signal.price:.12g}",
                "reasoning": signal.reasoning,
            }
        self.tell(kind, key, {**said, **more})


def _log(ended: Ended) -> None:
    outcome, run = ended.outcome, ended.claimed.run
    said = outcome.signal.signal if outcome.signal else f"{outcome.status}: {outcome.error}"
    slot = f"{run.as_of:%Y-%m-%dT%H:%M:%SZ}"
    level = logging.ERROR if outcome.own_failure else logging.INFO
    logger.log(level, "%s %s (%s): %s", run.strategy.name, slot, run.engine, said)
    if ended.waiting is not None:
        logger.warning("the outcome of %s %s is not in the journal yet: %s", run.strategy.name, slot, ended.waiting)
