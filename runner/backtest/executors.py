"""What computes the variants of a sweep: processes of this machine, or (see `cluster`) workers elsewhere."""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import BacktestTask

_EACH = 3
"""So many calls for each process are on their way: the next ones wait where a process finds them at once."""


class WorkingExecutor(Executor, ABC):
    """An executor of which a worker may hang."""

    @property
    @abstractmethod
    def at_once(self) -> int:
        """How many calls may wait for their results."""

    @abstractmethod
    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        """Give up calls that take too long, so that they keep no later call from a worker.

        Returns:
            Whether all other calls that were on their way are lost with them.

        Raises:
            Retryable: no worker is left.
        """


class SharingExecutor(WorkingExecutor):
    """An executor whose workers may be on other machines: it sends them what all calls share."""

    @abstractmethod
    def share(self, task: BacktestTask) -> Any:
        """Return what stands for a task as an argument of a call: each worker gets the task once."""

    @abstractmethod
    def reached(self, calls: Collection[Future[Any]]) -> dict[Future[Any], int]:
        """Return which variant, counted from 0, those of these calls of a sweep are at that workers compute now."""

    @abstractmethod
    def check(self) -> None:
        """Raise `Retryable` where no result can be expected any more."""


class Processes(WorkingExecutor):
    """Processes of this machine. Where one hangs, all are ended and others started: nobody can tell which it is."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._others = set(active_children())
        self._pool = self._started()

    @property
    def at_once(self) -> int:
        """How many calls may wait for their results."""
        return _EACH * self._workers

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a process call a function."""
        with _ctrl_c_later():
            return self._pool.submit(fn, *args, **kwargs)

    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        """End all processes, and start others."""
        self.kill()
        self._pool = self._started()
        return True

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have done all."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End all processes at once, whatever they do."""
        results = getattr(self._pool, "_result_queue", None)  # which the pool forgets
        self._pool.shutdown(wait=False, cancel_futures=True)
        own = set(active_children()) - self._others
        for process in own:
            process.kill()
        for process in own:
            process.join(5)
        if results is not None:  # else the pool's thread waits for the rest of one, and the program for the thread
            results._writer.close()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, get_context("spawn"), _prepare)


@contextmanager
def processes(workers: int | None = None) -> Iterator[Executor]:
    """Give an executor of so many processes, else one for each core. An error, or Ctrl-C, ends them all at once."""
    executor = Processes(workers or _cores())
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    executor.shutdown()


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
