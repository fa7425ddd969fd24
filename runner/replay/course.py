"""The course of a replay: what is asleep, what is final, which models may be asked, the pilots, the price, the rest."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import anyio
import anyio.to_thread

from mcp_server.domain.contamination import refusal
from mcp_server.domain.outcome import Ended, Outcome, SignalName
from mcp_server.domain.text import counted
from mcp_server.storage.journal.rows import Run, is_final
from mcp_server.storage.journal.runs import Journal
from runner.claude.cassette.cassettes import Cassette
from runner.claude.probe import cutoffs_of
from runner.replay.asleep import kept_out_moments
from runner.replay.cap import Cap
from runner.replay.effort import Effort
from runner.replay.estimate import above_cap, price_line, price_of_rest
from runner.replay.moments import pilots
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest, Step
from runner.replay.reuse import afterwards, beforehand, reuses
from runner.replay.runs import ReplayRuns
from runner.replay.stop import GO_ON
from runner.replay.tally import Tally

ROWS_AT_ONCE = 16
"""How many moments that are asleep are entered at a time: those that wait together share a transaction."""


@dataclass(slots=True)
class Course:
    """Takes a replay through its steps."""

    request: ReplayRequest
    journal: Journal
    runs: ReplayRuns
    cassette: Cassette
    environment: Mapping[str, str]
    tell: Callable[[ReplayProgress], None]
    _tally: Tally = field(default_factory=lambda: Tally({}, ()))
    _step: Step = "wake"
    _done: set[datetime] = field(default_factory=set)
    _signals: Counter[SignalName] = field(default_factory=Counter)
    _estimated_usd: tuple[Decimal, Decimal] | None = None
    _notes: list[str] = field(default_factory=list)

    async def run(self) -> Replayed:
        """Run what is left, and say what came of all of it.

        Raises:
            BadInput: a model may know what came after a moment.
            TraderError: the tool server or the journal cannot be used now.
        """
        self.runs.tell, self.runs.news = self._ended, self._tell
        self.runs.pace.on_wait = lambda until: self._tell(f"Claude's API asks to wait until {until:%H:%M:%S} UTC.")
        await self._read()
        await self._put_asleep()
        todo = self._left()
        if todo and not self.request.contaminated:
            await self._require_clean(todo[0])
        if self.runs.cap is None:
            await self._rerun(todo)
        elif await self._price_is_right(self.runs.cap):
            self._begin("runs")
            await self.runs.run(self._left())
        await self._read()
        return self._replayed()

    def _left(self) -> list[datetime]:
        return [moment for moment in self.request.moments if moment not in self._tally.final]

    async def _read(self) -> None:
        """Read how things stand."""
        rows = await anyio.to_thread.run_sync(self.journal.replays.rows, self.runs.replay_id)
        self._tally = tally = Tally(rows, self.request.moments, bool(self.request.without))
        self.runs.open_rows, self._done, self._signals = tally.open_rows, tally.final, Counter(tally.signals)
        if (cap := self.runs.cap) is not None:
            known = [moment.usd for moment in tally.costs if moment.usd is not None]
            cap.dearest_usd = max(known, default=Decimal(0))
            await cap.read()
            for trace in await anyio.to_thread.run_sync(self._traces):
                self.runs.prices.learn(trace)

    def _traces(self) -> list[Mapping[str, object] | None]:
        """Return what happened in the last runs, whose accounts tell the prices of tokens."""
        return [self.journal.trace(row.execution_id) for row in self._tally.asked[-3:]]

    async def _put_asleep(self) -> None:
        """Enter the moments at which Claude is not asked, as the scheduler would have."""
        new = [moment for moment in self.request.moments if moment not in self._tally.rows]
        async with self.runs.runner.tools() as tools:
            strategy = self.request.whole or self.request.strategy  # the tool server knows it by its version
            exchange = self.runs.runner.settings.exchange
            outcomes = await kept_out_moments(tools, strategy, exchange, new, self._looked)
        entering = anyio.CapacityLimiter(ROWS_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for moment, outcome in outcomes.items():
                tasks.start_soon(self._enter, moment, outcome, entering)
        await self._read()

    async def _enter(self, moment: datetime, outcome: Outcome, entering: anyio.CapacityLimiter) -> None:
        runner, now = self.runs.runner, self.runs.runner.clock.now()
        exchange, replay_id = runner.settings.exchange, self.runs.replay_id
        run = Run(self.request.strategy, "replay", moment, "claude", now, exchange, replay_id)

        def enter() -> None:
            self.journal.finish(self.journal.claim(run), outcome, now)

        await anyio.to_thread.run_sync(enter, limiter=entering)

    async def _require_clean(self, moment: datetime) -> None:
        """Check that no model may know what came after a moment, and so after none that is later.

        Raises:
            BadInput: one may.
        """
        for model, cutoff in (await self._cutoffs()).items():
            if (refused := refusal(moment, model, cutoff)) is not None:
                raise refused

    async def _cutoffs(self) -> Mapping[str, str | None]:
        if not self.request.rerun:
            self._begin("models")
            return await cutoffs_of(self.request.strategy, self.environment, self.runs.recorder.proxy)
        recorded = await anyio.to_thread.run_sync(lambda: map(self.cassette.at, self.request.moments))
        replies = next(filter(None, recorded), [])
        return {reply.model: reply.cutoff for reply in replies}

    async def _price_is_right(self, cap: Cap) -> bool:
        """Run the pilots, tell the price of the rest, and return whether the rest is to run."""
        stop = self.runs.stop
        on_cassette = set(self.cassette.moments()) - self._tally.rows.keys()
        self._begin("pilots")
        await self._tell_reuse()
        first = pilots([moment for moment in self.request.moments if moment not in self._tally.kept_out])
        await self.runs.run([moment for moment in first if moment not in self._tally.final])
        await self._read()
        rest = self._left()
        if stop.by is not None or not rest:
            return False
        if why := self._tally.failure_of_all(first):
            stop.set("pilots", f"None of the {len(first)} pilot moments could be decided. The last failure: {why}")
            return False
        to_pay = len([moment for moment in rest if moment not in on_cassette])
        price = price_of_rest(self._tally.costs, to_pay, self.runs.pace.at_once)
        line = price_line(len(self.request.moments), len(rest) - to_pay, price, cap.spent_usd)
        self._tell(line)
        if price is not None:
            self._estimated_usd = (cap.spent_usd + price.low_usd, cap.spent_usd + price.high_usd)
            if why := above_cap(price, to_pay, cap.spent_usd, cap.dearest_usd, cap.max_usd):
                stop.set("price", why)
        return stop.by is None

    async def _tell_reuse(self) -> None:
        """Say what a replay without a sub-agent takes of what was recorded with it."""
        ablation = self.runs.recorder.ablation
        if ablation is None:
            return

        def note() -> str:
            moments = [moment for moment in self._left() if moment not in self._tally.kept_out]
            reuse = reuses(ablation, self.cassette, self.request, moments, self.runs.runner.settings.exchange)
            payers = {reply.paid_by for one in reuse.values() for reply in one.like}
            for trace in self.journal.traces_of_payers(payers):
                self.runs.prices.learn(trace)
            return beforehand(self.request, reuse, self.runs.prices)

        self._tell(await anyio.to_thread.run_sync(note))

    async def _rerun(self, todo: Sequence[datetime]) -> None:
        self._begin("rerun")
        effort = Effort()
        await self.runs.run(todo)
        if self.runs.began:
            self._notes.append(effort.sentence(self.runs.began, self.runs.pace.most_running))

    def _begin(self, step: Step) -> None:
        """Say what it does now: the first run of a step may take minutes to end."""
        self._step = step
        self._tell()

    def _looked(self, done: int, of: int) -> None:
        self.tell(ReplayProgress("wake", done, of))

    def _ended(self, moment: datetime, ended: Ended) -> None:
        if is_final(ended.outcome):
            self._done.add(moment)
        if ended.outcome.signal is not None:
            self._signals[ended.outcome.signal.signal] += 1
        self._tell()

    def _tell(self, note: str = "") -> None:
        cap = self.runs.cap
        spent, left = (cap.spent_usd, max(cap.max_usd - cap.spent_usd, Decimal(0))) if cap else (Decimal(0), Decimal(0))
        of = len(self.request.moments)
        self.tell(ReplayProgress(self._step, len(self._done), of, spent, left, dict(self._signals), note))

    def _replayed(self) -> Replayed:
        tally, runs, stop = self._tally, self.runs, self.runs.stop
        if stop.by is None and runs.left_open:
            why = next(reversed(runs.left_open.values()))
            stop.set("outage", f"{counted(len(runs.left_open), 'moment')} could not be run to an end: {why} {GO_ON}")
        if runs.derived:
            self._notes.append(afterwards(self.request, runs.derived))
        return Replayed(
            replay_id=runs.replay_id,
            moments=len(self.request.moments),
            left=len(self._left()),
            asleep=len(tally.asleep),
            by_status=tally.by_status,
            signals=tally.signals,
            runs=runs.began,
            requests_asked=runs.asked,
            requests_from_cassette=runs.hits,
            contaminated=tally.contaminated,
            spent_usd=runs.cap.spent_usd if runs.cap else Decimal(0),
            recorded_usd=tally.recorded_usd,
            estimated_usd=self._estimated_usd,
            drifts=tally.drifts,
            notes=tuple(self._notes),
            stopped_by=stop.by,
            stopped_because=stop.because,
        )
