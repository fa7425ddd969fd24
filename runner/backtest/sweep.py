"""Runs the variants of a strategy, each as a backtest of its own, on an executor: one process for each core by default.

What comes out does not depend on how many there are, nor on how fast they are: a proof ends after so many cuts, not
after so many seconds.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mcp_server.domain.backtest.curve import equity_at_closes, position_at_closes
from mcp_server.domain.backtest.decisions import Decisions, candles_of_range
from mcp_server.domain.backtest.fundings import FundingPaid, funding_paid
from mcp_server.domain.backtest.futures import Futures
from mcp_server.domain.backtest.run import BacktestTask, cuts_without_clock, run_backtest
from mcp_server.domain.candles import Candles
from mcp_server.errors import BadInput, Retryable, TraderError
from runner.backtest.executors import SharingExecutor, WorkingExecutor

if TYPE_CHECKING:
    from mcp_server.domain.backtest.answer import Backtest
    from mcp_server.domain.backtest.vary import Variant
    from mcp_server.domain.strategy.strategy import Strategy

MOST_VALUES = 100_000_000
"""So many variants times candles: the equity of each variant at each candle is kept, which is 0.9 GB then."""

SHARED_BYTES = 64_000_000
"""So much of what proofs compute is kept in each process for the next variants: 40 columns over 20,000 candles."""

LOOK_S = 5.0
"""So long nothing has to be done before it is asked whether a result can still be expected."""

MOST_TOGETHER, CANDLES_TOGETHER = 25, 500_000
"""So many variants are computed by one call, and over so many candles in all: a call takes about two seconds.

Sending it costs little beside that. Those of the same indicators come together, as one worker then computes these once.
"""

LEAST_LIMIT_S, LONGEST_TIMES, FIRST_LIMIT_S = 120.0, 20, 3600.0
"""A call is given up after so many times the longest one until then, at least after so long; the first after an hour.

Its time begins when it is sent, so that it may wait for the calls before it.
"""

REACHED = dict[int, int]()
"""Which variant of its call each thread of this process computes, or has computed last."""

Result: TypeAlias = "Backtest | TraderError"

Told = Callable[[int, int], None]
"""Called with the number of variants that are done, and of all."""


@dataclass(frozen=True, slots=True, eq=False)
class SweptVariant:
    """A variant with its backtest, or with what was wrong with it."""

    variant: Variant
    backtest: Backtest | None
    error: TraderError | None = None


class WorkersEnded(TraderError):
    """A variant has no result: its workers ended or hang, by it, or by one that waited beside it."""


def sweep(
    task: BacktestTask, variants: Sequence[Variant], executor: Executor, every: bool, told: Told
) -> list[SweptVariant]:
    """Backtest each variant; return all in their order. One that fails does not end the others.

    Args:
        task: what they have in common; its strategy is replaced.
        variants: of its strategy.
        executor: a `SharingExecutor`, or one whose workers can read this computer's temporary files.
        every: prove at every candle that nothing looks ahead, however long that takes.
        told: called whenever one is done.

    Raises:
        BadInput: they are too many for so many candles.
        Retryable: a worker was ended from outside, or all of a cluster's were.
    """
    if len(variants) * len(task.candles) > MOST_VALUES:
        problem = f"{len(variants):,} variants over {len(task.candles):,} candles need too much memory."
        raise BadInput(problem, "Vary fewer things, or choose a shorter range.")
    with _shared(task, executor) as shared:
        together = 1 if every else max(min(MOST_TOGETHER, CANDLES_TOGETHER // max(len(task.candles), 1)), 1)

        def submit(of_call: Sequence[Variant]) -> Future[list[Result]]:
            return executor.submit(_backtests, shared, [variant.strategy for variant in of_call], every)

        work = _Work(executor, submit, together)
        try:
            work.compute(dict(sorted(enumerate(variants), key=lambda one: _indicators(one[1]))), told)
            again = [position for position, one in work.done.items() if isinstance(one, WorkersEnded)]
            for position in sorted(again, key=work.suspected.__contains__):  # they may take the last worker
                work.compute({position: variants[position]})
        except BrokenExecutor:
            raise Retryable(
                "A process that computed variants was ended from outside, maybe because memory ran out.",
                "Try again with fewer at a time: --workers 1.",
            ) from None
    traded = _Traded.of(task)
    return [traded.whole(variant, work.done[position]) for position, variant in enumerate(variants)]


@contextmanager
def _shared(task: BacktestTask, executor: Executor) -> Iterator[Any]:
    """Give what stands for a task in calls of `_backtest`."""
    if isinstance(executor, SharingExecutor):
        yield executor.share(task)
        return
    with TemporaryDirectory(prefix="claude-trader-sweep-") as folder:
        file = Path(folder) / "task"
        file.write_bytes(pickle.dumps(task))
        yield str(file)


class _Work:
    """The calls that are on their way, and the results by the positions of their variants."""

    def __init__(
        self, executor: Executor, submit: Callable[[Sequence[Variant]], Future[list[Result]]], together: int
    ) -> None:
        self.done, self.suspected = dict[int, Result](), set[int]()
        self._executor, self._submit, self._together = executor, submit, together
        self._waiting = dict[Future[list[Result]], tuple[list[int], float]]()  # the positions, and when it was sent
        self._longest_s: float | None = None

    def compute(self, variants: Mapping[int, Variant], told: Told = lambda _done, _of: None) -> None:
        """Compute variants. No more calls wait for their results than the executor takes at once."""
        left = deque(variants)
        while left or self._waiting:
            at_once = self._executor.at_once if isinstance(self._executor, WorkingExecutor) else len(variants)
            while left and len(self._waiting) < at_once:
                most = min(self._together, -(-len(left) // at_once))  # the last ones are spread over all workers
                kinds = [_indicators(variants[position]) for position in islice(left, most + 1)]
                positions = [left.popleft() for _ in range(_unbroken(kinds, most))]
                self._waiting[self._submit([variants[position] for position in positions])] = positions, monotonic()
            for position, result in (*self._finished(), *self._given_up(left)):
                self.done[position] = result
                told(len(self.done), len(variants))

    def _finished(self) -> Iterator[tuple[int, Result]]:
        """Wait until calls are done, though not for long; take them out, and return their results."""
        finished = wait(self._waiting, LOOK_S, FIRST_COMPLETED).done
        if not finished and isinstance(self._executor, SharingExecutor):
            self._executor.check()
        for future in finished:
            positions, sent = self._waiting.pop(future)
            self._longest_s = max(self._longest_s or 0.0, monotonic() - sent)
            try:
                yield from zip(positions, future.result(), strict=True)
            except WorkersEnded as error:
                yield from ((position, error) for position in positions)

    def _given_up(self, left: deque[int]) -> Iterator[tuple[int, Result]]:
        """Take back the calls that take too long; what is lost with them is computed again."""
        limit_s = FIRST_LIMIT_S if self._longest_s is None else max(LEAST_LIMIT_S, LONGEST_TIMES * self._longest_s)
        late = [future for future, (_, sent) in self._waiting.items() if monotonic() - sent > limit_s]
        if not late or not isinstance(self._executor, WorkingExecutor):
            return
        if isinstance(self._executor, SharingExecutor):
            for call, at in self._executor.reached(late).items():  # one that begins has none of its own yet
                self.suspected.update(self._waiting[call][0][at : at + 1])
        given_up = [position for future in late for position in self._waiting.pop(future)[0]]
        if self._executor.take_back(late):
            lost = [position for positions, _ in self._waiting.values() for position in positions]
            left.extendleft(reversed(lost))
            self._waiting.clear()
        for position in given_up:
            yield (
                position,
                WorkersEnded(
                    f"It was given up after {limit_s:,.0f} s without a result.",
                    "Choose a shorter range. If other variants are quick, restart the workers: one may hang.",
                ),
            )


def _indicators(variant: Variant) -> tuple[tuple[str, str], ...]:
    """Return what a variant changes of indicators: those that change the same come together, and share columns."""
    return tuple(change for change in variant.changes if change[0][:1].isalpha())


def _unbroken(kinds: Sequence[object], most: int) -> int:
    """Return how many of the next variants go together: at most so many, and none apart from its kind if that helps.

    Args:
        kinds: of these variants, and of the one after them, if there is one.
        most: how many go together at most.
    """
    whole = [count for count in range(1, len(kinds)) if kinds[count] != kinds[count - 1]]
    return most if len(kinds) <= most else max(whole, default=most)


@lru_cache(maxsize=1)
def _task(file: str) -> BacktestTask:
    """Read what all variants share, once in each process."""
    task: BacktestTask = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by `sweep`, in a private folder
    return task


@lru_cache(maxsize=1)
def _futures(task: BacktestTask) -> Futures:
    """Keep what the proofs of all variants share: two variants mostly differ in a number, and not in an indicator."""
    return Futures(task.candles, SHARED_BYTES)


def _backtests(shared: str | BacktestTask, strategies: Sequence[Strategy], every: bool) -> list[Result]:
    """Backtest variants in a worker, one after the other."""
    results = list[Result]()
    for strategy in strategies:
        REACHED[get_ident()] = len(results)
        results.append(_backtest(shared, strategy, every))
    return results


def _backtest(shared: str | BacktestTask, strategy: Strategy, every: bool) -> Result:
    """Backtest one variant in a worker. What goes wrong comes back as a plain error: not every class can be sent."""
    try:
        clock, limit = cuts_without_clock()
        common = _task(shared) if isinstance(shared, str) else shared
        done = run_backtest(
            replace(common, strategy=strategy),
            prove="all" if every else "default",
            clock=clock,
            proof_limit_s=limit,
            futures=_futures(common),
        )
        return _without_candles(done)
    except TraderError as error:
        return TraderError(error.problem, error.remedy)
    except Exception as error:
        return TraderError(f"It failed with {type(error).__name__}: {error}.")


def _without_candles(done: Backtest) -> Backtest:
    """Leave out all that has a value for each candle: the parent has it itself, computes it, or does not need it."""
    simulated, times, none = done.simulated, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8)
    slim = replace(
        simulated,
        task=replace(simulated.task, candles=Candles.empty(), fundings=()),
        candles=Candles.empty(),
        decisions=Decisions(times, none, times),
        simulation=replace(simulated.simulation, open_time_ms=times, equity=np.empty(0), position=none),
    )
    return replace(done, simulated=slim)


@dataclass(frozen=True, slots=True, eq=False)
class _Traded:
    """What all variants were traded on."""

    task: BacktestTask
    candles: Candles
    paid: FundingPaid

    @classmethod
    def of(cls, task: BacktestTask) -> _Traded:
        candles = candles_of_range(task.candles, task.timeframe, task.start_ms, task.end_ms)
        return cls(task, candles, funding_paid(candles, task.timeframe, task.fundings))

    def whole(self, variant: Variant, done: Result) -> SweptVariant:
        """Give a result back what `_without_candles` has left out."""
        if isinstance(done, TraderError):
            return SweptVariant(variant, None, done)
        slim = done.simulated.simulation
        fee_ratio, ruined = self.task.assumptions.fee_ratio, slim.ruined_ms is not None
        simulation = replace(
            slim,
            open_time_ms=self.candles.open_time_ms,
            equity=equity_at_closes(slim.trades, self.candles, self.paid, fee_ratio, ruined),
            position=position_at_closes(slim.trades, len(self.candles)),
        )
        own = replace(self.task, strategy=variant.strategy)
        whole = replace(done.simulated, task=own, candles=self.candles, simulation=simulation)
        return SweptVariant(variant, replace(done, simulated=whole))
