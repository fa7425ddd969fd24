"""Which workers of a cluster get no call: those that hang, and those that an earlier sweep left busy; and no others."""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_server.errors import Misconfigured, Retryable
from runner.backtest.sweep import WorkersEnded, sweep
from tests.backtest.endless import tell, until_told
from tests.backtest.sweeping import task
from tests.backtest.test_cluster import AT, GRID, IN_TIME_S, figures, here, silent
from tests.rigs.dask_cluster import NEEDS_DASK, DaskCluster

pytestmark = NEEDS_DASK
LEFT = "left by an earlier sweep"
"""The key of a call whose result nobody waits for."""


@pytest.fixture(scope="module", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_CONFIG", str(tmp_path_factory.mktemp("dask")))
        yield


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("workers")) as rig:
        yield rig


class ClientOfTwo:
    """Answers what an executor asks of Dask's client. One of its workers has all calls; another may have stopped.

    What comes of a call is given; where nothing is, it goes on for ever.
    """

    status, mute = "running", ""
    computing: Mapping[str, str] = {}
    """The key of what a worker computes."""

    def __init__(self, stopped: Sequence[str] = (), outcomes: Sequence[Any] = ()) -> None:
        self.stopped, self.outcomes, self.endless, self.keys = list(stopped), iter(outcomes), not outcomes, list[str]()
        self.loop = self

    def add_callback(self, tell: Any, *arguments: Any) -> None:
        if not self.endless:
            asyncio.run(tell(*arguments))

    def submit(self, _function: Any, *_arguments: Any, key: str, **_others: Any) -> "Computed":
        self.keys.append(key)
        return Computed(key, self.outcomes)

    def cancel(self, calls: list["Computed"]) -> None:
        assert {call.key for call in calls} <= set(self.keys)

    def sync(self, _function: Any, *_arguments: Any, workers: list[str], **_others: Any) -> dict[str, list[str]]:
        return {worker: [*filter(None, [self.computing.get(worker)])] for worker in workers if worker != self.mute}

    def _run(self) -> None:
        raise AssertionError

    def run_on_scheduler(self, _function: Any, silent_s: float = 0, keys: Collection[str] = ()) -> Collection[str]:
        if not silent_s:
            return set(keys) - {LEFT}
        stopped, self.stopped = self.stopped, []
        return stopped

    def processing(self) -> dict[str, list[str]]:
        return {"good": self.keys}

    def scheduler_info(self, n_workers: int) -> Any:
        return {"workers": {name: {"nthreads": 1} for name in ("good", "other", *self.stopped)}}


@dataclass
class Computed:
    """A call as the client has it. By the time its result is there, its worker may have ended."""

    key: str
    outcomes: Iterator[Any]
    status = "lost"

    async def _result(self) -> Any:
        outcome = next(self.outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def cancelled(reason: str | None) -> Any:
    from distributed.client import FutureCancelledError

    return FutureCancelledError("a call", reason)


def test_a_result_that_came_counts_though_its_worker_has_ended_meanwhile() -> None:
    assert executor_of(ClientOfTwo(outcomes=[["first"]])).submit(print).result() == ["first"]


def test_a_call_that_the_scheduler_has_forgotten_with_its_worker_is_sent_again() -> None:
    forgotten = cancelled(None)
    client = ClientOfTwo(outcomes=[forgotten, forgotten, forgotten, ["fourth"]])
    assert executor_of(client).submit(print).result() == ["fourth"]
    assert len(set(client.keys)) == 4


def test_a_call_that_ended_its_workers_is_no_reason_to_end_the_sweep() -> None:
    from distributed import KilledWorker

    killed = KilledWorker("a call", None, 0)
    with pytest.raises(WorkersEnded, match="1 workers ended while they computed it"):
        executor_of(ClientOfTwo(outcomes=[killed])).submit(print).result()


class Deadly(ThreadPoolExecutor):
    """Ends a worker of a cluster, as it were, with each call that computes the variant `AT`; counts calls."""

    calls = 0

    def submit(self, fn: Any, /, *args: Any, **others: Any) -> Any:
        self.calls += 1
        if GRID[AT].strategy not in args[1]:
            return super().submit(fn, *args, **others)
        ended = Future[Any]()
        ended.set_exception(WorkersEnded("1 workers ended while they computed it.", "See what they log."))
        return ended


def test_what_was_with_a_variant_that_ends_workers_is_computed_alone_and_it_is_an_error_in_its_row() -> None:
    with Deadly(1) as executor:
        swept = sweep(task(), GRID, executor, every=False, told=silent)
    assert executor.calls > len(GRID)
    assert [one.variant for one in swept] == GRID
    assert str(swept[AT].error).startswith("1 workers ended while they computed it")
    others = [*GRID[:AT], *GRID[AT + 1 :]]
    assert figures([*swept[:AT], *swept[AT + 1 :]]) == here(others)


@pytest.mark.parametrize("reason", [None, "scheduler-connection-lost"])
def test_a_call_is_not_sent_again_for_ever_nor_where_the_scheduler_is_gone(reason: str | None) -> None:
    client = ClientOfTwo(outcomes=[cancelled(reason)] * 9)
    with pytest.raises(Retryable, match=r"The connection to the cluster at .* was lost"):
        executor_of(client).submit(print).result()
    assert len(client.keys) == (1 if reason else 4)


def test_a_worker_that_does_not_say_what_it_computes_is_not_counted_on_until_it_does() -> None:
    client = ClientOfTwo()
    client.mute = "other"
    executor = executor_of(client)
    assert executor._fit == ["good"]
    client.mute = ""
    executor.check()
    assert executor._fit == ["good", "other"]


def executor_of(client: ClientOfTwo) -> Any:
    from runner.backtest.cluster import ClusterExecutor

    return ClusterExecutor(client, "tcp://127.0.0.1:9")


def test_a_worker_that_computes_what_nobody_waits_for_gets_no_call_until_it_has_done() -> None:
    client = ClientOfTwo()
    client.computing = {"good": "waited for", "other": LEFT}
    executor = executor_of(client)
    assert (executor._fit, executor._where()) == (["good"], {"workers": ["good"]})
    client.computing = {"other": "waited for"}
    executor.check()
    assert (executor._fit, executor._where()) == (["good", "other"], {})


def test_a_worker_with_another_version_is_named_before_anything_is_computed() -> None:
    import numpy as np

    from runner.backtest.cluster import _check_workers
    from runner.backtest.versions import versions

    answers = {"good": versions(), "other": {**versions(), "numpy": "1.0"}}
    client: Any = SimpleNamespace(wait_for_workers=lambda *_, **__: None, sync=lambda *_, **__: answers, _run=None)
    with pytest.raises(Misconfigured, match=f"The worker other .* numpy is {np.__version__} here and 1.0 there"):
        _check_workers(client, "tcp://127.0.0.1:9")


def test_the_scheduler_is_told_to_remove_the_workers_that_have_been_silent_for_too_long() -> None:
    from runner.backtest.cluster_workers import remove_silent

    seen_s = {"quiet": 40, "alive": 2}
    workers = {name: SimpleNamespace(address=name, last_seen=time.time() - ago) for name, ago in seen_s.items()}
    removed = list[str]()

    async def remove_worker(address: str, **_: Any) -> None:
        removed.append(address)

    scheduler = SimpleNamespace(workers=workers, remove_worker=remove_worker)
    assert asyncio.run(remove_silent(30, scheduler)) == removed == ["quiet"]


@pytest.mark.parametrize("stopped", [["stopped"], []])
def test_a_worker_whose_calls_waited_for_one_that_stopped_is_not_blamed_as_they_are_all_sent_anew(
    stopped: list[str],
) -> None:
    executor = executor_of(ClientOfTwo(stopped))
    early, later = [executor.submit(print) for _ in range(2)]
    assert executor.take_back([early]) is bool(stopped)
    assert executor.take_back([later]) is False
    assert executor._hang == (set() if stopped else {"good"})


def once(happened: Any) -> None:
    deadline = time.monotonic() + IN_TIME_S
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert happened()


def _active(dask_worker: Any) -> int:
    return len(dask_worker.active_threads)


def _computed(dask_worker: Any) -> set[str]:
    """Return which kinds of tasks a worker has had so far."""
    return {str(story[0]).partition("-")[0] for story in dask_worker.state.log}


@pytest.mark.long
def test_a_worker_that_an_earlier_sweep_left_busy_gets_neither_candles_nor_calls_until_it_is_free(
    rig: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    from runner.backtest import cluster as module
    from runner.backtest.cluster import cluster

    rig.start_worker()
    with Client(rig.address, set_as_default=False) as earlier:
        call = earlier.submit(until_told, pure=False)
        once(lambda: sum(earlier.run(_active).values()) > 0)
        with cluster(rig.address) as executor:
            (busy,) = executor._fit  # as long as somebody waits for what it computes
        del call
    with monkeypatch.context() as patch:
        patch.setattr(module, "NOBODY_S", 0.1)
        wanted = "still computes what an earlier sweep has left"
        with pytest.raises(Retryable, match=wanted) as told, cluster(rig.address):
            pass
    assert "Restart the workers" in told.value.remedy

    rig.start_worker()
    with cluster(rig.address) as executor:
        (free,) = executor._fit
        swept = sweep(task(), GRID, executor, every=False, told=silent)
        had = executor._client.run(_computed)
        executor._client.run(tell, workers=[busy])
        once(lambda: executor._client.run(_active, workers=[busy])[busy] == 0)
        executor.check()
        assert set(executor._fit) == {busy, free}
    assert figures(swept) == here(GRID)
    assert {"_call", "_same"} <= had[free]
    assert not {"_call", "_same"} & had[busy]
