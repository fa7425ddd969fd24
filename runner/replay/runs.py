"""The runs of a replay: each moment begins when its turn comes, and again where something outside had ended it."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Retryable, TraderError
from mcp_server.storage.journal.carry_out import carry_out
from mcp_server.storage.journal.rows import Claimed, Run, is_final
from runner.claude.proxy.session import Session
from runner.claude.recorder import ModelRecorder
from runner.execute import Runner
from runner.replay.cap import STOPPED, Cap, ReplayAllowance
from runner.replay.pace import ReplayPace
from runner.replay.stop import GO_ON, Stop
from runner.replay.token_prices import TokenPrices

MOST_TRIES = 3
"""How often a moment is taken up while the replay goes on; after that it waits until the replay is started again."""

CLAIMS = 3
"""How often the journal is asked for a row before the replay stops; each time it waits for others itself."""

_LIMITS = frozenset((408, 429))
_OUTAGE = 500
_OVER_BUDGET = "error_max_budget_usd"


@dataclass(slots=True)
class ReplayRuns:
    """Runs moments of a replay by Claude.

    Args:
        runner: runs one; its recorder has the proxy and the cassette.
        strategy: as it was read at the start.
        replay_id: the replay's.
        pace: how many go on at once.
        cap: what they may spend; None: they spend nothing.
        stop: set where the replay has to end.
        tell: called with how the run of a moment has ended.
        news: called with a sentence for a person.
    """

    runner: Runner
    strategy: Strategy
    replay_id: str
    pace: ReplayPace
    cap: Cap | None
    stop: Stop
    tell: Callable[[datetime, Ended], None] = lambda moment, ended: None
    news: Callable[[str], None] = lambda _: None
    open_rows: dict[datetime, int] = field(default_factory=dict)
    """The rows of moments that are to be taken up again."""
    prices: TokenPrices = field(default_factory=TokenPrices)
    began: int = 0
    asked: int = 0
    hits: int = 0
    derived: int = 0
    left_open: dict[datetime, str] = field(default_factory=dict)
    """Why moments could not be run to an end that is their own."""
    _queue: deque[datetime] = field(default_factory=deque)
    _tries: Counter[datetime] = field(default_factory=Counter)
    _sessions: dict[datetime, Session] = field(default_factory=dict)
    _under_way: int = 0
    _ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def recorder(self) -> ModelRecorder:
        """How runs go through the proxy."""
        assert self.runner.recorder is not None  # noqa: S101 (a replay always has one)
        return self.runner.recorder

    async def run(self, moments: Iterable[datetime]) -> None:
        """Run these moments to their ends, or until the replay stops; those under way then still end."""
        self._queue.extend(moments)
        async with anyio.create_task_group() as runs, anyio.create_task_group() as beginning:
            beginning.start_soon(self._begin_all, runs, beginning)
            beginning.start_soon(self._watch_stop, beginning)

    async def _watch_stop(self, beginning: TaskGroup) -> None:
        await self.stop.event.wait()
        if self.cap is not None:
            self.cap.close()
        beginning.cancel_scope.cancel()

    async def _begin_all(self, runs: TaskGroup, beginning: TaskGroup) -> None:
        while self._queue or self._under_way:
            if not self._queue:
                await self._ended.wait()
                continue
            await self.pace.begin()
            if self.stop.by is not None:  # which may have come in the same moment as the turn
                self.pace.end()
                return
            self._under_way += 1
            runs.start_soon(self._one, self._queue.popleft())
        beginning.cancel_scope.cancel()

    async def _one(self, moment: datetime) -> None:
        try:
            await self._run_one(moment)
        except TraderError as error:  # the journal can be written no more
            self.stop.set("journal", f"{error} {GO_ON}")
        finally:
            self.pace.end()
            self._under_way -= 1
            self._ended.set()
            self._ended = anyio.Event()

    async def _run_one(self, moment: datetime) -> None:
        claimed = await self._claimed(moment)
        self.began += 1
        began_at = self.runner.clock.now()
        allowed = False

        async def decide(begin: Callable[[], None]) -> Outcome:
            nonlocal allowed
            allowance = None if self.cap is None else await self.cap.allow(claimed)
            if isinstance(allowance, str):
                if allowance is not STOPPED:
                    self.stop.set("cap", allowance)
                return Outcome(Status.SKIPPED_BUDGET, error=allowance, **NOTHING_SPENT)
            allowed = allowance is not None
            begin()
            return await self._decided(claimed, allowance)

        async def finish(outcome: Outcome, began_at: datetime | None) -> Ended:
            entering = partial(self.runner.journal.finish, claimed, outcome, self.runner.clock.now(), began_at=began_at)
            if self.cap is None or not allowed:
                return await anyio.to_thread.run_sync(entering)
            async with self.cap.accounting(self._cost(outcome)):
                return await anyio.to_thread.run_sync(entering)

        try:
            ended = await carry_out(claimed, decide, finish, self.runner.clock.now)
        finally:  # right after the journal's sum was read, so that no reply is missing in what is spent, or in it twice
            session = self._sessions.pop(moment, None)
        self._note(moment, ended, session, began_at)

    def _cost(self, outcome: Outcome) -> Decimal | None:
        """Return what a run like this one costs when it is asked for."""
        is_whole = self.recorder.ablation is None and outcome.recorded_usd is not None
        return outcome.recorded_usd if is_whole else outcome.cost_usd

    async def _claimed(self, moment: datetime) -> Claimed:
        """Give a moment its row, or take its row up again.

        Raises:
            Retryable, Misconfigured: the journal cannot be written.
        """
        journal, clock = self.runner.journal, self.runner.clock
        for tries_left in reversed(range(CLAIMS)):
            now, exchange = clock.now(), self.runner.settings.exchange
            run = Run(self.strategy, "replay", moment, "claude", now, exchange, self.replay_id)
            row = self.open_rows.get(moment)
            claim = partial(journal.claim, run) if row is None else partial(journal.claim_again, row, run)
            try:
                return await anyio.to_thread.run_sync(claim)
            except Retryable:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _decided(self, claimed: Claimed, allowance: ReplayAllowance | None) -> Outcome:
        """Let Claude decide; an end that only the cap has brought about is none of the strategy's."""

        def prepare(session: Session) -> None:
            self._sessions[claimed.run.as_of] = session
            session.answered = self._answered
            if allowance is not None:
                session.may_ask, session.one_at_a_time = self._may_ask, allowance.one_at_a_time

        limit = await self._limit(claimed, allowance)
        own = replace(self.recorder, prepare=prepare, most_usd=limit)
        outcome = await replace(self.runner, recorder=own, admit=_admitted).decide(claimed)
        self.prices.learn(outcome.trace)
        if self.cap is None or limit is None or limit >= self.cap.a_run_usd:
            return outcome
        if outcome.blame == "strategy" and (outcome.trace or {}).get("ended") == _OVER_BUDGET:
            self.stop.set("cap", self.cap.too_small())
            return replace(outcome, error=self.cap.too_small(), blame="runner")
        return outcome

    async def _limit(self, claimed: Claimed, allowance: ReplayAllowance | None) -> Decimal | None:
        """Return the limit that the agent CLI is given; it counts what is on the cassette as spent, too."""
        if allowance is None or self.cap is None or allowance.usd >= self.cap.a_run_usd:
            return None
        there = await anyio.to_thread.run_sync(self.recorder.recorded, claimed.run.as_of)
        return min(self.cap.a_run_usd, allowance.usd + self.prices.worth(there))

    def _may_ask(self) -> str | None:
        """Return why nothing more is asked; None: it may be."""
        if self.stop.asks_nothing:
            return self.stop.because
        if self.cap is None:
            return None
        sessions = self._sessions.values()
        for session in sessions:
            self.prices.learn_stated(session)
        under_way = (self.prices.cost(session.usages) for session in sessions)
        if self.cap.spent_usd + sum(under_way, Decimal(0)) < self.cap.max_usd:
            return None
        self.stop.set("cap", self.cap.reached())
        return self.cap.reached()

    def _answered(self, status: int | None, retry_after_s: float | None) -> None:
        """Heed how the API has answered, or that it could not be reached."""
        if not self.stop.refused(status) and (status is None or status in _LIMITS or status >= _OUTAGE):
            self.pace.slow_down(retry_after_s)

    def _note(self, moment: datetime, ended: Ended, session: Session | None, began_at: datetime) -> None:
        """Note how a run has ended; one that is to be taken up again waits for another turn."""
        outcome = ended.outcome
        if session is not None:
            self.asked, self.hits = self.asked + session.asked, self.hits + session.hits
            self.derived += session.derived
            if session.refused is not None:  # unless it was for the cap: that has been said by now
                self.stop.set("contamination", session.refused)
            if session.unkept is not None:
                self.stop.set("journal", f"{session.unkept} What it has cost would have to be paid again. {GO_ON}")
        if ended.waiting is not None:
            self.news(f"An outcome waits in the outbox: {ended.waiting}")
        if is_final(outcome):
            self.open_rows.pop(moment, None)
            self.left_open.pop(moment, None)
            self.pace.went_well()
        else:
            self.open_rows[moment] = ended.execution_id
            self._again(moment, outcome, began_at)
        self.tell(moment, ended)

    def _again(self, moment: datetime, outcome: Outcome, began_at: datetime) -> None:
        self.left_open[moment] = outcome.error or ""
        if outcome.blame == "outside":
            self.pace.failed(began_at)
            if self.pace.given_up:
                self.stop.set("outage", f"{self.pace.failures} times in a row a run failed: {outcome.error} {GO_ON}")
        self._tries[moment] += 1
        if self._tries[moment] < MOST_TRIES:
            self._queue.append(moment)


async def _admitted(_: Claimed) -> None:
    """Admit a run whose cost is reserved already."""
