"""The workers of a Dask cluster: who is there, who is busy, who is silent; and what one does with freed memory."""

from __future__ import annotations

import sys
from functools import cache
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed import Client

BUSY_S = 1
"""So long workers have to say what they compute."""


def threads_of(client: Client) -> dict[str, int]:
    """Return how many threads each worker has."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: worker["nthreads"] for address, worker in workers.items()}


def left_over(client: Client, workers: Collection[str]) -> set[str]:
    """Return which workers compute what nobody waits for, and which do not answer: the scheduler calls them idle."""
    if not workers:
        return set()
    try:
        asked = client.sync(client._run, _computing, workers=list(workers), on_error="ignore", callback_timeout=BUSY_S)
    except TimeoutError:
        return set(workers)
    waited_for = client.run_on_scheduler(_waited_for, keys=[key for keys in asked.values() for key in keys])
    return {worker for worker in workers if worker not in asked or not waited_for.issuperset(asked[worker])}


def reached_by(client: Client) -> dict[str, int]:
    """Return which variant each call is at that a worker computes, by the call's key; nothing where one is silent."""
    try:
        asked = client.sync(client._run, _reached, on_error="ignore", callback_timeout=BUSY_S)
    except TimeoutError:
        return {}
    return {key: at for of_worker in asked.values() for key, at in of_worker.items()}


def _reached(dask_worker: Any) -> dict[str, int]:
    from runner.backtest.sweep import REACHED

    return {key: REACHED[thread] for thread, key in dask_worker.active_threads.items() if thread in REACHED}


def _computing(dask_worker: Any) -> list[str]:
    """Return the tasks that a worker computes: also one that the client has taken back, as nothing ends it."""
    return list(dask_worker.active_threads.values())


def _waited_for(keys: list[str], dask_scheduler: Any) -> set[str]:
    """Return which of these tasks the scheduler knows: it forgets those that no client waits for."""
    return {key for key in keys if key in dask_scheduler.tasks}


async def remove_silent(silent_s: float, dask_scheduler: Any = None) -> list[str]:
    """Remove the workers that have been silent for so long, on the scheduler: others compute what they had."""
    workers = dask_scheduler.workers.values()
    silent = [worker.address for worker in workers if time() - worker.last_seen > silent_s]
    for address in silent:
        await dask_scheduler.remove_worker(address, stimulus_id="claude-trader-silent", expected=True)
    return silent


KEPT_BYTES, ALLOCATED_BYTES = 128 << 20, 32 << 20
"""What is freed at the end of the memory is kept up to the first; what is smaller than the second comes from there."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""By these names `malloc.h` has them."""


@cache
def keep_freed_memory() -> None:
    """Let a worker keep what it frees, for the next variant.

    Dask has glibc return all to the system at once; a sweep over 20,000 candles then takes 1.4 times as long.
    """
    if sys.platform != "linux":
        return
    import ctypes

    system = ctypes.CDLL(None)
    if hasattr(system, "mallopt"):  # glibc alone has it
        system.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        system.mallopt(_M_MMAP_THRESHOLD, ALLOCATED_BYTES)
