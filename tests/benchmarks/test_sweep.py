"""A sweep on one process, on two, and on a local Dask cluster with two workers, in turn and in the same run.

`SWEEP_VARIANTS=1000 python -m pytest tests/benchmarks/test_sweep.py --override-ini=addopts= -q -s` is the whole: fewer
variants show less of a gain, as processes have to start for them too. Ratios mean something on two quiet cores only.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("distributed")
    with DaskCluster(tmp_path_factory.mktemp("dask")) as rig:
        rig.start_worker()
        rig.start_worker()
        yield rig.address


def swept(
    whole: BacktestTask, grid: list[Variant], executors: Callable[[], AbstractContextManager[Executor]]
) -> tuple[float, float, list[Any]]:
    """Return the seconds, those of this program's own processor time, and the figures."""
    began, own = perf_counter(), process_time()
    with executors() as executor:
        done = sweep(whole, grid, executor, every=False, told=lambda _done, _of: None)
    took, own = perf_counter() - began, process_time() - own
    return took, own, [one.backtest.answer() for one in done if one.backtest is not None]


def test_two_workers_sweep_almost_twice_as_fast_as_one(
    whole: BacktestTask, grid: list[Variant], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from runner.backtest.cluster import cluster

    one_s, _, by_one = swept(whole, grid, lambda: processes(1))
    two_s, own_s, by_two = swept(whole, grid, lambda: processes(2))
    dask_s, dask_own_s, by_dask = swept(whole, grid, lambda: cluster(address))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(grid)} variants over {CANDLES:,} candles: {one_s:.1f} s on one process; {two_s:.1f} s on two, "
            f"{one_s / two_s:.2f} x; {dask_s:.1f} s on a cluster with two workers, {one_s / dask_s:.2f} x; of this "
            f"program itself {1000 * own_s / len(grid):.1f} and {1000 * dask_own_s / len(grid):.1f} ms a variant"
        )
    assert by_one == by_two == by_dask
    assert len(by_one) == len(grid)
    assert min(one_s / two_s, one_s / dask_s) >= LEAST_BY_TWO


def test_what_is_sent_and_done_around_a_variant_is_little_beside_it(
    whole: BacktestTask, grid: list[Variant], capsys: pytest.CaptureFixture[str]
) -> None:
    """In processor time, which another program's load changes little."""
    from runner.backtest.sweep import _backtest

    few = [variant.strategy for variant in grid[:6]]
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
            f"send its {len(sent[0]) / 1e6:.2f} MB; the candles are {len(pickle.dumps(whole)) / 1e6:.2f} MB, sent once"
        )
    assert around_s / computed_s <= MOST_AROUND
