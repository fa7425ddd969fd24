"""Runs the variants of a strategy, each as a backtest of its own, on an executor: one process for each core by default.

What comes out does not depend on how many there are, nor on how fast they are: a proof ends after so many cuts, not
after so many seconds.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mcp_server.domain.backtest.decisions import Decisions, candles_of_range
from mcp_server.domain.backtest.futures import Futures
from mcp_server.domain.backtest.run import BacktestTask, cuts_without_clock, run_backtest
from mcp_server.domain.candles import Candles
from mcp_server.errors import BadInput, Retryable, TraderError

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

Result: TypeAlias = "Backtest | TraderError"

Told = Callable[[int, int], None]
"""Called with the number of variants that are done, and of all."""


@dataclass(frozen=True, slots=True, eq=False)
class SweptVariant:
    """A variant with its backtest, or with what was wrong with it."""

    variant: Variant
    backtest: Backtest | None
    error: TraderError | None = None


class SharingExecutor(Executor, ABC):
    """An executor whose workers may be on other machines: it sends them what all calls share."""

    @property
    @abstractmethod
    def at_once(self) -> int:
        """How many calls may wait for their results."""

    @abstractmethod
    def share(self, task: BacktestTask) -> Any:
        """Return what stands for a task as an argument of a call: each worker gets the task once."""

    @abstractmethod
    def check(self) -> None:
        """Raise `Retryable` where no result can be expected any more."""


class WorkersEnded(TraderError):
    """The workers that computed a variant ended, one after the other: by it, or by one that waited beside it."""


@contextmanager
def processes(workers: int | None = None) -> Iterator[Executor]:
    """Give an executor of so many processes, else one for each core. An error, or Ctrl-C, ends them all at once."""
    others = set(active_children())
    executor = ProcessPoolExecutor(workers or _cores(), get_context("spawn"), _prepare)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        own = set(active_children()) - others
        for process in own:
            process.kill()
        for process in own:
            process.join(5)
        raise
    executor.shutdown()


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
    strategies = [variant.strategy for variant in variants]
    with _shared(task, executor) as shared:
        try:
            done = _computed(executor, shared, strategies, every, told)
            for position in (at for at, one in done.items() if isinstance(one, WorkersEnded)):
                alone = executor.submit(_backtest, shared, strategies[position], every)
                done |= _finished({alone: position}, executor)
        except BrokenExecutor:
            raise Retryable(
                "A process that computed variants was ended from outside, maybe because memory ran out.",
                "Try again with fewer at a time: --workers 1.",
            ) from None
    return [_swept(task, variant, done[position]) for position, variant in enumerate(variants)]


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


def _computed(
    executor: Executor, shared: Any, strategies: Sequence[Strategy], every: bool, told: Told
) -> dict[int, Result]:
    """Return the results by their positions. No more calls wait for theirs than the executor takes at once."""
    left, waiting, done = deque(enumerate(strategies)), dict[Future[Result], int](), dict[int, Result]()
    while left or waiting:
        at_once = executor.at_once if isinstance(executor, SharingExecutor) else len(strategies)
        with _ctrl_c_later():
            while left and len(waiting) < at_once:
                position, strategy = left.popleft()
                waiting[executor.submit(_backtest, shared, strategy, every)] = position
        for position, result in _finished(waiting, executor).items():
            done[position] = result
            told(len(done), len(strategies))
    return done


def _finished(waiting: dict[Future[Result], int], executor: Executor) -> dict[int, Result]:
    """Wait until a call is done; take out those that are, and return their results by their positions."""
    while not (finished := wait(waiting, LOOK_S, FIRST_COMPLETED).done):
        if isinstance(executor, SharingExecutor):
            executor.check()
    return {waiting.pop(future): future.result() for future in finished}


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Let Ctrl-C wait. A process that starts meanwhile never gets it: it would end with a traceback of its own."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare() -> None:
    """Leave Ctrl-C to the program that began the sweep, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
