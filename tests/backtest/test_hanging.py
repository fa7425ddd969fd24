"""A worker that hangs, or a variant that never ends, is not waited for without limit; nothing else is lost by it."""

import os
import signal
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from multiprocessing import active_children
from pathlib import Path
from threading import get_ident
from typing import Any

import psutil
import pytest

from mcp_server.domain.backtest.run import BacktestTask
from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.errors import TraderError
from runner.backtest import sweep as sweeps
from runner.backtest.executors import SharingExecutor, WorkingExecutor, processes
from runner.backtest.sweep import sweep
from tests.backtest.endless import Endless
from tests.backtest.sweeping import strategy, task
from tests.backtest.test_sweep import answers, silent

GRID = variants(strategy(), ["rsi(14)=rsi(7),rsi(21)", "40=35"])
ENDLESS = Variant((("40", "0"),), Endless())  # type: ignore[arg-type]
AT = 2
"""The place of the endless variant."""


class Stuck(WorkingExecutor):
    """Computes a call when it is waited for, but never those of the endless variant, and as often as said of others."""

    at_once = 3

    def __init__(self, loses_others: bool) -> None:
        self._loses_others = loses_others
        self.submitted, self.taken_back = list[list[Any]](), list[int]()

    def submit(self, fn: Any, /, *args: Any, **_others: Any) -> Future[Any]:
        self.submitted.append(args[1])
        call = Future[Any]()
        if ENDLESS.strategy not in args[1]:
            call.set_result(fn(*args))
        return call

    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        self.taken_back.append(len(calls))
        return self._loses_others


@pytest.mark.parametrize("loses_others", [False, True])
def test_a_variant_without_end_is_tried_once_more_alone_and_is_then_an_error_in_its_row(
    loses_others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(500))  # who waits without limit comes to their end
    monkeypatch.setattr(sweeps, "monotonic", lambda: next(moments))
    monkeypatch.setattr(sweeps, "LOOK_S", 0.01)
    monkeypatch.setattr(sweeps, "LEAST_LIMIT_S", 0.0)
    monkeypatch.setattr(sweeps, "LONGEST_TIMES", 0)
    executor, told = Stuck(loses_others), list[tuple[int, int]]()
    swept = sweep(
        task(), [*GRID[:AT], ENDLESS, *GRID[AT:]], executor, every=False, told=lambda *done: told.append(done)
    )
    alone = sweep(task(), GRID, Stuck(False), every=False, told=silent)

    assert str(swept[AT].error).startswith("It was given up after 0 s without a result. Choose a shorter range.")
    assert answers([*swept[:AT], *swept[AT + 1 :]]) == answers(alone)
    assert [call for call in executor.submitted if ENDLESS.strategy in call][1:] == [[ENDLESS.strategy]]
    assert executor.taken_back == [1, 1]
    assert told[-1] == (len(GRID) + 1, len(GRID) + 1)


def test_what_was_in_one_call_with_a_variant_without_end_is_computed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LOOK_S", 0.01)
    monkeypatch.setattr(sweeps, "FIRST_LIMIT_S", 0.0)
    monkeypatch.setattr(sweeps, "LEAST_LIMIT_S", 0.0)
    monkeypatch.setattr(sweeps, "LONGEST_TIMES", 0)
    executor = Stuck(loses_others=False)
    monkeypatch.setattr(executor, "at_once", 1)
    swept = sweep(task(), [*GRID[:AT], ENDLESS, *GRID[AT:]], executor, every=False, told=silent)

    assert [one.error is None for one in swept] == [at != AT for at in range(len(GRID) + 1)]
    beside = executor.submitted[0]
    assert ENDLESS.strategy in beside
    assert len(beside) > 1
    assert [call for call in executor.submitted if len(call) == 1 and call[0] in beside] == [[one] for one in beside]


def test_of_what_is_computed_alone_that_comes_last_which_a_worker_did_not_come_to_an_end_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "LOOK_S", 0.01)
    monkeypatch.setattr(sweeps, "FIRST_LIMIT_S", 0.0)
    monkeypatch.setattr(sweeps, "LEAST_LIMIT_S", 0.0)
    monkeypatch.setattr(sweeps, "LONGEST_TIMES", 0)

    class OnOneWorker(Stuck, SharingExecutor):
        """Knows which variant each call is at."""

        at_once = 1

        def share(self, task: BacktestTask) -> BacktestTask:
            return task

        def check(self) -> None: ...

        def reached(self, calls: Collection[Future[Any]]) -> dict[Future[Any], int]:
            return dict.fromkeys(calls, AT)  # also of one that has only begun, and is shorter

    executor = OnOneWorker(loses_others=False)
    swept = sweep(task(), [*GRID[:AT], ENDLESS, *GRID[AT:]], executor, every=False, told=silent)
    assert executor.submitted[0][AT] is ENDLESS.strategy
    assert executor.submitted[-1] == [ENDLESS.strategy]
    assert [one.error is None for one in swept] == [at != AT for at in range(len(GRID) + 1)]


def test_a_worker_notes_which_variant_of_its_call_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    at = list[int]()
    monkeypatch.setattr(sweeps, "_backtest", lambda *_: at.append(sweeps.REACHED[get_ident()]))
    sweeps._backtests(task(), [one.strategy for one in GRID], every=False)
    assert at == [*range(len(GRID))]


def test_what_was_lost_with_a_call_without_end_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sweeps, "LOOK_S", 0.01)
    monkeypatch.setattr(sweeps, "FIRST_LIMIT_S", 50.0)
    monkeypatch.setattr(sweeps, "monotonic", lambda: now[0])

    class LosesAll(Stuck):
        """The calls after the endless one are made much later, and do not end either until it is taken back."""

        def submit(self, fn: Any, /, *args: Any, **_others: Any) -> Future[Any]:
            self.submitted.append(args[1])
            now[0] += 100.0 if len(self.submitted) == 1 else 0.0
            call = Future[Any]()
            if self.taken_back:
                call.set_result([TraderError("It ends.")] if args[1] == [ENDLESS.strategy] else fn(*args))
            return call

    monkeypatch.setattr(sweeps, "MOST_TOGETHER", 1)
    executor = LosesAll(loses_others=True)
    monkeypatch.setattr(executor, "at_once", 2)
    swept = sweep(task(), [ENDLESS, *GRID], executor, every=False, told=silent)
    assert [one.error for one in swept[1:]] == [None] * len(GRID)
    assert executor.submitted.count([GRID[0].strategy]) == 2


def test_the_limit_is_an_hour_at_first_then_twenty_times_the_longest_and_never_below_two_minutes() -> None:
    assert (sweeps.FIRST_LIMIT_S, sweeps.LONGEST_TIMES, sweeps.LEAST_LIMIT_S) == (3600, 20, 120)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is enough for what starts anew, on a busy machine too."""
    monkeypatch.setattr(sweeps, "LOOK_S", 0.2)
    monkeypatch.setattr(sweeps, "LEAST_LIMIT_S", 20.0)
    monkeypatch.setattr(sweeps, "LONGEST_TIMES", 0)


def stops_a_process(done: int, _of: int) -> None:
    if done == 1:
        os.kill(active_children()[0].pid or 0, signal.SIGSTOP)


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
def test_a_process_that_stops_and_a_variant_without_end_cost_no_other_variant_and_leave_no_process() -> None:
    began = {child.pid for child in psutil.Process().children(recursive=True)}
    with processes(2) as executor:
        swept = sweep(task(), [ENDLESS, *GRID], executor, every=False, told=stops_a_process)
    assert "given up after 20 s" in str(swept[0].error)
    assert answers(swept[1:]) == answers(sweep(task(), GRID, Stuck(False), every=False, told=silent))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= began | resource_trackers()


def resource_trackers() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "resource_tracker" in " ".join(child.cmdline())}


@pytest.fixture
def dask_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path))
    from runner.backtest import cluster
    from tests.rigs.dask_cluster import DaskCluster

    monkeypatch.setattr(cluster, "CONNECT_S", 30)
    monkeypatch.setattr(cluster, "WORKERS_S", 10)
    monkeypatch.setattr(cluster, "SILENT_S", 10.0)
    with DaskCluster(tmp_path) as rig:
        yield rig


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
def test_a_worker_that_stops_leaves_the_cluster_and_others_compute_what_it_had(dask_alone: Any) -> None:
    from runner.backtest.cluster import cluster

    workers = [dask_alone.start_worker(), dask_alone.start_worker()]

    def told(done: int, _of: int) -> None:
        if done == 1:
            workers[0].send_signal(signal.SIGSTOP)

    with cluster(dask_alone.address) as executor:
        sweep(task(), GRID, executor, every=False, told=silent)  # a worker's first call takes much longer than others
        swept = sweep(task(), GRID, executor, every=False, told=told)
        assert len(executor._client.scheduler_info()["workers"]) == 1
    assert [one.error for one in swept] == [None] * len(GRID)
    assert answers(swept) == answers(sweep(task(), GRID, Stuck(False), every=False, told=silent))


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
def test_a_variant_without_end_takes_two_workers_at_most_and_the_rest_is_computed_by_others(
    dask_alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.backtest.cluster import ClusterExecutor, cluster

    taken_back, take_back = list[int](), ClusterExecutor.take_back

    def counted(self: ClusterExecutor, calls: Collection[Future[Any]]) -> bool:
        taken_back.append(len(calls))
        return take_back(self, calls)

    monkeypatch.setattr(ClusterExecutor, "take_back", counted)

    for _ in range(3):
        dask_alone.start_worker()
    with cluster(dask_alone.address) as executor:
        swept = sweep(task(), [ENDLESS, *GRID], executor, every=False, told=silent)
        before = len(taken_back)
        again = sweep(task(), GRID, executor, every=False, told=silent)
    assert "given up after 20 s" in str(swept[0].error)
    assert [one.error for one in (*swept[1:], *again)] == [None] * 2 * len(GRID)
    assert len(taken_back) == before, "no call went to the two workers that hang"


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
def test_a_variant_without_end_takes_the_last_worker_only_once_all_beside_it_are_computed(
    dask_alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.backtest.cluster import cluster

    monkeypatch.setattr(sweeps, "FIRST_LIMIT_S", 25.0)
    others = variants(strategy(), ["40=" + ",".join(str(below) for below in range(25, 40))])
    for _ in range(2):
        dask_alone.start_worker()
    with cluster(dask_alone.address) as executor:
        swept = sweep(task(), [*others[:1], ENDLESS, *others[1:]], executor, every=False, told=silent)
    assert [one.error is None for one in swept] == [at != 1 for at in range(len(others) + 1)]
