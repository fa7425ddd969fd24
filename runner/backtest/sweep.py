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
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mcp_server.domain.backtest.decisions import Decisions, candles_of_range
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

LEAST_LIMIT_S, LONGEST_TIMES, FIRST_LIMIT_S = 120.0, 20, 3600.0
"""A call is given up after so many times the longest one until then, at least after so long; the first after an hour.

Its time begins when it is sent, so that it may wait for the calls before it.
"""

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
        work = _Work(executor, lambda variant: executor.submit(_backtest, shared, variant.strategy, every))
        try:
            work.compute(dict(sorted(enumerate(variants), key=lambda one: _indicators(one[1]))), told)
            for position in [at for at, one in work.done.items() if isinstance(one, WorkersEnded)]:
                work.compute({position: variants[position]})
        except BrokenExecutor:
            raise Retryable(
                "A process that computed variants was ended from outside, maybe because memory ran out.",
                "Try again with fewer at a time: --workers 1.",
            ) from None
    return [_swept(task, variant, work.done[position]) for position, variant in enumerate(variants)]


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

    def __init__(self, executor: Executor, submit: Callable[[Variant], Future[Result]]) -> None:
        self.done = dict[int, Result]()
        self._executor, self._submit = executor, submit
        self._waiting = dict[Future[Result], tuple[int, float]]()  # the position, and when it was sent
        self._longest_s: float | None = None

    def compute(self, variants: Mapping[int, Variant], told: Told = lambda _done, _of: None) -> None:
        """Compute variants. No more calls wait for their results than the executor takes at once."""
        left = deque(variants)
        while left or self._waiting:
            at_once = self._executor.at_once if isinstance(self._executor, WorkingExecutor) else len(variants)
            while left and len(self._waiting) < at_once:
                position = left.popleft()
                self._waiting[self._submit(variants[position])] = position, monotonic()
            for position, result in (*self._finished(), *self._given_up(left)):
                self.done[position] = result
                told(len(self.done), len(variants))

    def _finished(self) -> Iterator[tuple[int, Result]]:
        """Wait until calls are done, though not for long; take them out, and return their results."""
        finished = wait(self._waiting, LOOK_S, FIRST_COMPLETED).done
        if not finished and isinstance(self._executor, SharingExecutor):
            self._executor.check()
        for future in finished:
            position, sent = self._waiting.pop(future)
            self._longest_s = max(self._longest_s or 0.0, monotonic() - sent)
            yield position, future.result()

    def _given_up(self, left: deque[int]) -> Iterator[tuple[int, Result]]:
        """Take back the calls that take too long; what is lost with them is computed again."""
        limit_s = FIRST_LIMIT_S if self._longest_s is None else max(LEAST_LIMIT_S, LONGEST_TIMES * self._longest_s)
        late = [future for future, (_, sent) in self._waiting.items() if monotonic() - sent > limit_s]
        if not late or not isinstance(self._executor, WorkingExecutor):
            return
        positions = [self._waiting.pop(future)[0] for future in late]
        if self._executor.take_back(late):
            left.extendleft(position for position, _ in reversed(self._waiting.values()))
            self._waiting.clear()
        for position in positions:
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


@lru_cache(maxsize=1)
def _task(file: str) -> BacktestTask:
    """Read what all variants share, once in each process."""
    task: BacktestTask = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by `sweep`, in a private folder
    return task


@lru_cache(maxsize=1)
def _futures(task: BacktestTask) -> Futures:
    """Keep what the proofs of all variants share: two variants mostly differ in a number, and not in an indicator."""
    return Futures(task.candles, SHARED_BYTES)


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
    """Leave out all that the parent has itself, or does not need: it would be sent with each variant."""
    simulated, times = done.simulated, np.empty(0, dtype=np.int64)
    slim = replace(
        simulated,
        task=replace(simulated.task, candles=Candles.empty(), fundings=()),
        candles=Candles.empty(),
        decisions=Decisions(times, times.astype(np.int8), times),
        simulation=replace(simulated.simulation, open_time_ms=times),
    )
    return replace(done, simulated=slim)


def _swept(task: BacktestTask, variant: Variant, done: Backtest | TraderError) -> SweptVariant:
    if isinstance(done, TraderError):
        return SweptVariant(variant, None, done)
    candles = candles_of_range(task.candles, task.timeframe, task.start_ms, task.end_ms)
    simulation = replace(done.simulated.simulation, open_time_ms=candles.open_time_ms)
    own = replace(task, strategy=variant.strategy)
    whole = replace(done.simulated, task=own, candles=candles, simulation=simulation)
    return SweptVariant(variant, replace(done, simulated=whole))
