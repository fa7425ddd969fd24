"""A sweep on one process and on two, on a Dask cluster with one worker and with two, and with one killed in the middle.

`SWEEP_VARIANTS=1000 python -m pytest tests/benchmarks/test_sweep.py --override-ini=addopts= -q -s` is the whole, and
takes about five minutes on two quiet cores: fewer variants show less of a gain, as processes have to start for them
too. It says what it does. Ratios of seconds mean something on quiet cores only; the bound is of processor time, and
also holds on busy ones.
"""

import os
import pickle
import resource
import subprocess
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter, process_time

import psutil
import pytest

from mcp_server.domain.backtest.run import BacktestTask
from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles
from runner.backtest.executors import processes
from runner.backtest.sweep import sweep
from tests.backtest.sweeping import HOUR_MS, strategy, task
from tests.parity.series import made_up
from tests.rigs.dask_cluster import DaskCluster

VARIANTS = int(os.environ.get("SWEEP_VARIANTS", "120"))
CANDLES = 20_000
LEAST_BY_TWO = 1.7
MOST_AROUND = 0.02
"""What this program does for a variant, as a part of what a worker does: it bounds what more workers can bring."""


@pytest.fixture(scope="module")
def whole() -> BacktestTask:
    series = made_up(CANDLES)
    candles = Candles(series.open_time_ms, *(getattr(series, name) for name in CANDLE_COLUMNS))
    start_ms = int(candles.open_time_ms[0])
    return replace(task(), candles=candles, start_ms=start_ms, end_ms=start_ms + CANDLES * HOUR_MS)


@pytest.fixture(scope="module")
def grid() -> list[Variant]:
    periods = ",".join(f"rsi({period})" for period in range(15, 54))
    levels = ",".join(str(level) for level in range(15, 39))
    return variants(strategy(), [f"rsi(14)={periods}", f"40={levels}"])[:VARIANTS]


@dataclass(frozen=True)
class Sweep:
    """What a sweep took, in seconds: by the clock, and of the processor time of all that ran.

    `own_s` is this program's, `workers_s` all workers', `scheduler_s` that of a cluster's scheduler.
    """

    took_s: float
    own_s: float
    workers_s: float
    scheduler_s: float
    figures: str
    """A digest of all that was computed."""

    @property
    def busy_s(self) -> float:
        return self.workers_s + self.own_s + self.scheduler_s

    def bound(self, one: "Sweep") -> float:
        """Return how many times as fast as with one worker two cores can be that do all other work, too."""
        return 2 * one.workers_s / self.busy_s

    def line(self, name: str, one: "Sweep | None" = None) -> str:
        line = (
            f"{name}: {self.took_s:.1f} s; processor: workers {self.workers_s:.1f} s, this program {self.own_s:.1f} s, "
            f"scheduler {self.scheduler_s:.1f} s"
        )
        if one is None:
            return line
        idle = 2 * self.took_s - self.busy_s
        return f"{line}; {one.took_s / self.took_s:.2f} x of at most {self.bound(one):.2f}; cores idle {idle:.1f} s"


def swept(
    name: str,
    whole: BacktestTask,
    grid: list[Variant],
    executors: Callable[[], AbstractContextManager[Executor]],
    workers_s: Callable[[], float],
    scheduler_s: Callable[[], float] = lambda: 0.0,
    halfway: Callable[[], object] = lambda: None,
) -> Sweep:
    print(f"\n{name}: {len(grid)} variants over {CANDLES:,} candles", flush=True)  # noqa: T201
    began, own, of_workers, of_scheduler = perf_counter(), process_time(), workers_s(), scheduler_s()

    def told(done: int, of: int) -> None:
        if done == of // 2:
            halfway()
        if done % max(of // 10, 1) == 0:
            print(f"  {done} of {of} after {perf_counter() - began:.1f} s", flush=True)  # noqa: T201

    with executors() as executor:
        done = sweep(whole, grid, executor, every=False, told=told)
    took_s, own_s = perf_counter() - began, process_time() - own
    digest = sha256()
    for one in done:
        assert one.backtest is not None
        digest.update(repr((one.backtest.answer(), one.backtest.trades())).encode())
        digest.update(one.backtest.simulated.simulation.equity.tobytes())
    return Sweep(took_s, own_s, workers_s() - of_workers, scheduler_s() - of_scheduler, digest.hexdigest())


def of_children() -> float:
    """Return the processor time of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def of_process(process: subprocess.Popen[str]) -> float:
    """Return the processor time of a process and of its children, in seconds."""
    whole = psutil.Process(process.pid)
    times = [each.cpu_times() for each in (whole, *whole.children(recursive=True))]
    return sum(time.user + time.system for time in times)


@pytest.fixture(scope="module")
def one_process(whole: BacktestTask, grid: list[Variant]) -> Sweep:
    return swept("one process", whole, grid, lambda: processes(1), of_children)


def test_two_processes_sweep_almost_twice_as_fast_as_one(
    whole: BacktestTask, grid: list[Variant], one_process: Sweep
) -> None:
    two = swept("two processes", whole, grid, lambda: processes(2), of_children)
    print(f"\n{one_process.line('one process')}\n{two.line('two processes', one_process)}")  # noqa: T201
    assert two.figures == one_process.figures
    assert two.bound(one_process) >= LEAST_BY_TWO
    assert one_process.took_s / two.took_s >= LEAST_BY_TWO


def test_two_workers_of_a_cluster_do_and_one_that_is_killed_in_the_middle_changes_nothing(
    whole: BacktestTask, grid: list[Variant], one_process: Sweep, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    from runner.backtest.cluster import cluster

    with DaskCluster(tmp_path) as rig:
        workers = [rig.start_worker(nanny=True)]  # as the guide on scaling starts them

        def swept_there(
            name: str, variants: list[Variant] = grid, halfway: Callable[[], object] = lambda: None
        ) -> Sweep:
            return swept(
                name,
                whole,
                variants,
                lambda: cluster(rig.address),
                lambda: sum(map(of_process, workers)),
                lambda: of_process(rig.scheduler),
                halfway,
            )

        warm = [grid[0]] * 2
        swept_there("a worker imports what it needs", warm)
        one = swept_there("a cluster, one worker")
        workers.append(rig.start_worker(nanny=True))
        swept_there("another worker imports what it needs", warm * 4)
        two = swept_there("a cluster, two workers")
        killed = swept_there("a cluster, one of two workers killed", halfway=lambda: workers.pop(0).kill())
    print(f"\n{one.line('one worker')}\n{two.line('two workers', one)}\none killed: {killed.took_s:.1f} s")  # noqa: T201
    assert one_process.figures == one.figures == two.figures == killed.figures
    assert two.bound(one) >= LEAST_BY_TWO
    assert one.took_s / two.took_s >= LEAST_BY_TWO


def test_what_is_sent_and_done_around_a_variant_is_little_beside_it(
    whole: BacktestTask, grid: list[Variant], capsys: pytest.CaptureFixture[str]
) -> None:
    """In processor time, which another program's load changes little."""
    from runner.backtest.sweep import _backtest

    few = [variant.strategy for variant in grid[:16]]
    _backtest(whole, few[0], False)  # what all share is computed
    began = process_time()
    done = [_backtest(whole, each, False) for each in few]
    computed_s = process_time() - began
    began = process_time()
    sent = [pickle.dumps(each) for each in done]
    for each in sent:
        pickle.loads(each)  # noqa: S301 - made here
    around_s = process_time() - began
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{1000 * computed_s / len(few):.0f} ms of processor time a variant, {1000 * around_s / len(few):.1f} to "
            f"send its {len(sent[0]) / 1e3:.1f} KB; the candles are {len(pickle.dumps(whole)) / 1e6:.2f} MB, sent once"
        )
    assert around_s / computed_s <= MOST_AROUND
