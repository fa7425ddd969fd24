"""Runs the variants of a strategy, each as a backtest of its own, on an executor: one process for each core by default.

What comes out does not depend on how many there are, nor on how fast they are: a proof ends after so many cuts, not
after so many seconds.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.backtest.decisions import Decisions, candles_of_range
from mcp_server.domain.backtest.run import BacktestTask, cuts_without_clock, run_backtest
from mcp_server.domain.candles import Candles
from mcp_server.errors import BadInput, Retryable, TraderError

if TYPE_CHECKING:
    from mcp_server.domain.backtest.answer import Backtest
    from mcp_server.domain.backtest.vary import Variant
    from mcp_server.domain.strategy.strategy import Strategy

MOST_VALUES = 100_000_000
"""So many variants times candles: the equity of each variant at each candle is kept, which is 0.9 GB then."""

Told = Callable[[int, int], None]
"""Called with the number of variants that are done, and of all."""


@dataclass(frozen=True, slots=True, eq=False)
class SweptVariant:
    """A variant with its backtest, or with what was wrong with it."""

    variant: Variant
    backtest: Backtest | None
    error: TraderError | None = None


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
        executor: whose workers can read this computer's temporary files.
        every: prove at every candle that nothing looks ahead, however long that takes.
        told: called whenever one is done.

    Raises:
        BadInput: they are too many for so many candles.
        Retryable: a worker was ended from outside.
    """
    if len(variants) * len(task.candles) > MOST_VALUES:
        problem = f"{len(variants):,} variants over {len(task.candles):,} candles need too much memory."
        raise BadInput(problem, "Vary fewer things, or choose a shorter range.")
    done: dict[int, Backtest | TraderError] = {}
    with TemporaryDirectory(prefix="claude-trader-sweep-") as folder:
        file = Path(folder) / "task"
        file.write_bytes(pickle.dumps(task))
        with _ctrl_c_later():
            waiting = {
                executor.submit(_backtest, str(file), variant.strategy, every): position
                for position, variant in enumerate(variants)
            }
        try:
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                told(len(done), len(variants))
        except BrokenExecutor:
            raise Retryable(
                "A process that computed variants was ended from outside, maybe because memory ran out.",
                "Try again with fewer at a time: --workers 1.",
            ) from None
    return [_swept(task, variant, done[position]) for position, variant in enumerate(variants)]


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


def _backtest(file: str, strategy: Strategy, every: bool) -> Backtest | TraderError:
    """Backtest one variant in a worker. What goes wrong comes back as a plain error: not every class can be sent."""
    try:
        clock, limit = cuts_without_clock()
        task = replace(_task(file), strategy=strategy)
        done = run_backtest(task, prove="all" if every else "default", clock=clock, proof_limit_s=limit)
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
