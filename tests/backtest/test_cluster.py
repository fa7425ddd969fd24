"""Sweeps on a Dask cluster: a real one on loopback, whose workers end in the middle, or are not fit to compute."""

import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.errors import Misconfigured, Retryable
from runner.backtest.sweep import SweptVariant, sweep
from tests.backtest.lethal import Lethal
from tests.backtest.sweeping import strategy, task
from tests.rigs.dask_cluster import NEEDS_DASK, ONE_DEATH, DaskCluster

pytestmark = NEEDS_DASK
GRID = variants(strategy(), ["rsi(14)=rsi(7),rsi(21)", "40=35"])
LETHAL = Variant((("40", "0"),), Lethal())  # type: ignore[arg-type]
AT = 2
"""The place of the lethal variant."""

IN_TIME_S = 30
NOBODY = "tcp://127.0.0.1:9"


@cache
def many() -> list[Variant]:
    return variants(strategy(), ["rsi(14)=" + ",".join(f"rsi({period})" for period in range(20, 60))])


def silent(_done: int, _of: int) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Dask writes its configuration beside the home's of who runs this; the import is the first to do so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_CONFIG", str(tmp_path_factory.mktemp("dask")))
        import runner.backtest.cluster

        patch.setattr(runner.backtest.cluster, "CONNECT_S", IN_TIME_S)
        patch.setattr(runner.backtest.cluster, "WORKERS_S", 1)
        yield


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler that gives a call up when one worker has ended during it."""
    with DaskCluster(tmp_path_factory.mktemp("workers"), **ONE_DEATH) as rig:
        yield rig


@pytest.fixture(scope="module")
def without_workers(rig: DaskCluster) -> str:
    """What is told where no worker is there yet."""
    with pytest.raises(Retryable) as told, on_cluster(rig):
        pass
    return str(told.value)


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def swept(rig: DaskCluster, without_workers: str, told: list[tuple[int, int]]) -> list[SweptVariant]:
    """A sweep by one worker."""
    assert without_workers
    rig.start_worker()
    with on_cluster(rig) as executor:
        return sweep(task(), GRID, executor, every=False, told=lambda *counts: told.append(counts))


@pytest.fixture(scope="module")
def survived(rig: DaskCluster, without_workers: str) -> list[SweptVariant]:
    """A sweep with a variant that ends each of its workers: two of three, one after the other."""
    assert without_workers
    for _ in range(3):
        rig.start_worker()
    with on_cluster(rig) as executor:
        return sweep(task(), [*GRID[:AT], LETHAL, *GRID[AT:]], executor, every=False, told=silent)


def on_cluster(rig: DaskCluster) -> Any:
    from runner.backtest.cluster import cluster

    return cluster(rig.address)


def figures(swept: list[SweptVariant]) -> list[Any]:
    """Return all that a sweep computes, to the last bit."""
    done = [one.backtest for one in swept if one.backtest is not None]
    assert len(done) == len(swept)
    return [(each.answer(), each.simulated.simulation.equity.tobytes(), each.trades()) for each in done]


def here(grid: list[Variant], candles: int = 100) -> list[Any]:
    with ThreadPoolExecutor(1) as executor:
        return figures(sweep(task(candles), grid, executor, every=False, told=silent))


def test_what_a_cluster_computes_is_what_this_machine_does(swept: list[SweptVariant]) -> None:
    assert [one.variant for one in swept] == GRID
    assert figures(swept) == here(GRID)


@pytest.mark.long
def test_what_a_cluster_computes_is_what_this_machine_does_though_workers_end(survived: list[SweptVariant]) -> None:
    """In `make test`, `test_cluster_blame.py` has what ends workers, and what is computed alone after it."""
    others = [*survived[:AT], *survived[AT + 1 :]]
    assert [one.variant for one in others] == GRID
    assert figures(others) == here(GRID)


@pytest.mark.long
@pytest.mark.usefixtures("swept")
def test_where_a_worker_ended_what_it_computed_is_computed_again(rig: DaskCluster) -> None:
    worker = rig.start_worker()
    killed: list[int] = []

    def told(_done: int, _of: int) -> None:
        if not killed:
            killed.append(worker.pid)
            worker.kill()

    with on_cluster(rig) as executor:
        swept = sweep(task(), GRID, executor, every=False, told=told)
    worker.wait()
    assert killed
    assert figures(swept) == here(GRID)


@pytest.mark.long
def test_a_variant_that_ends_its_workers_even_when_it_is_alone_is_an_error_in_its_row(
    survived: list[SweptVariant],
) -> None:
    assert survived[AT].backtest is None
    assert str(survived[AT].error).startswith("1 workers ended while they computed it")


@pytest.mark.usefixtures("swept")
def test_progress_counts_each_variant_once(told: list[tuple[int, int]]) -> None:
    assert told == [(done, len(GRID)) for done in range(1, len(GRID) + 1)]


def test_a_scheduler_without_workers_is_told_with_the_command_that_starts_some(
    without_workers: str, rig: DaskCluster
) -> None:
    assert without_workers == (
        f"There is a Dask scheduler at {rig.address}. It has no worker. "
        f"Start some: `dask worker {rig.address} --host ITS-ADDRESS --dashboard-address 127.0.0.1:0 "
        "--nworkers 2 --nthreads 1`."
    )


@pytest.mark.long
@pytest.mark.usefixtures("swept")
def test_a_worker_with_another_numpy_computes_nothing_and_both_versions_are_named(rig: DaskCluster) -> None:
    import numpy as np

    other = rig.start_worker("--preload", "tests.rigs.other_numpy")
    with pytest.raises(Misconfigured, match=f"numpy is {np.__version__} here and 1.0 there"), on_cluster(rig):
        pass
    other.kill()
    other.wait()


@pytest.mark.usefixtures("swept")
def test_a_worker_that_comes_later_is_compared_before_it_computes(
    rig: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.backtest import cluster

    _once_all_are_gone_but_one(rig)
    with on_cluster(rig) as executor:
        monkeypatch.setattr(cluster, "versions", lambda: {"numpy": "1.0"})
        with pytest.raises(Misconfigured, match=r"The worker tcp://127\.0\.0\.1:\d+ .* numpy is 1\.0 here and"):
            sweep(task(), GRID, executor, every=False, told=silent)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant is a call of its own."""
    monkeypatch.setattr("runner.backtest.sweep.MOST_TOGETHER", 1)


@pytest.mark.usefixtures("swept", "one_by_one")
def test_ctrl_c_takes_back_what_has_not_begun(rig: DaskCluster) -> None:
    from distributed import Client

    def interrupted(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    _once_all_are_gone_but_one(rig)
    with pytest.raises(KeyboardInterrupt), on_cluster(rig) as executor:
        sweep(task(2_200), many(), executor, every=False, told=interrupted)
    deadline = time.monotonic() + IN_TIME_S
    with Client(rig.address, set_as_default=False) as client:
        while client.run_on_scheduler(_tasks) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.run_on_scheduler(_tasks) == 0
        (computed,) = client.run(_computed).values()
    assert computed < len(GRID) * 4 + 10 < len(many()) + len(GRID), "no more than what was on its way"


@pytest.mark.usefixtures("swept")
def test_where_all_workers_end_the_sweep_does_so_too(rig: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the workers of the tests above, and is the last that uses them."""
    from runner.backtest import cluster
    from runner.backtest import sweep as sweeping

    monkeypatch.setattr(cluster, "NOBODY_S", 0.5)
    monkeypatch.setattr(sweeping, "LOOK_S", 0.2)
    began = time.monotonic()
    with pytest.raises(Retryable, match="All workers of the cluster"), on_cluster(rig) as executor:
        sweep(task(), many(), executor, every=False, told=lambda *_counts: rig.kill_workers())
    assert time.monotonic() - began < IN_TIME_S


def _tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def _computed(dask_worker: Any) -> int:
    """Return how many calls a worker has had so far."""
    return len({story[0] for story in dask_worker.state.log if "_call" in str(story[0])})


def _once_all_are_gone_but_one(rig: DaskCluster) -> None:
    """End all workers but one, and wait until the scheduler has noticed who ended."""
    from distributed import Client

    rig.kill_workers(but=1)
    deadline = time.monotonic() + IN_TIME_S
    with Client(rig.address, set_as_default=False) as client:
        while len(client.nthreads()) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(client.nthreads()) == 1


def test_where_nobody_listens_the_error_says_so_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.backtest.cluster import cluster

    monkeypatch.setitem(cluster.__wrapped__.__globals__, "CONNECT_S", 1)  # type: ignore[attr-defined]

    with pytest.raises(Retryable, match=f"No Dask scheduler answers at {NOBODY} within 1 s") as told, cluster(NOBODY):
        pass
    assert "`dask scheduler`" in told.value.remedy


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_listens_and_is_no_scheduler_is_told_within_seconds(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.backtest.cluster import cluster

    monkeypatch.setitem(cluster.__wrapped__.__globals__, "CONNECT_S", 1)  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        greeted = pool.submit(_greet, listener, says)
        with pytest.raises(Retryable, match=f"No Dask scheduler answers at {address}") as told, cluster(address):
            pass
        greeted.result()
    assert "its page has another port" in told.value.remedy


def _greet(listener: socket.socket, says: bytes) -> None:
    """Say something to whoever connects, until they leave."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(says)
        connection.settimeout(IN_TIME_S)
        with suppress(ConnectionResetError):
            while connection.recv(1024):
                pass


@pytest.mark.parametrize("address", ["tls://127.0.0.1:9", "tcp://127.0.0.1:port"])
def test_an_address_that_cannot_be_one_or_lacks_certificates_is_told(address: str) -> None:
    from runner.backtest.cluster import cluster

    with pytest.raises(Misconfigured, match=r"cannot be connected to: .*[^.]\. Write it like"), cluster(address):
        pass


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "runner.backtest.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Misconfigured, match=r"pip install -e '.*\[cluster\]'"):
        import runner.backtest.cluster  # noqa: F401


@pytest.mark.long
def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_time(tmp_path: Path) -> None:
    with DaskCluster(tmp_path) as rig:  # Dask's own default: a call is repeated
        workers = [rig.start_worker(), rig.start_worker()]

        def told(done: int, _of: int) -> None:
            if done == 5:
                workers[0].kill()

        with on_cluster(rig) as executor:
            swept = sweep(task(), many(), executor, every=False, told=told)
    assert workers[0].poll() is not None
    assert figures(swept) == here(many())


@pytest.mark.long
@pytest.mark.usefixtures("one_by_one")
def test_a_worker_that_holds_the_candles_may_end_before_another_has_them_and_one_that_comes_late_helps(
    tmp_path: Path,
) -> None:
    computed: list[int] = []
    with DaskCluster(tmp_path) as rig:
        first = rig.start_worker()

        def told(done: int, _of: int) -> None:
            if done == 1:
                first.kill()  # the candles were with this worker alone
                rig.start_worker()
                rig.start_worker()

        with on_cluster(rig) as executor:
            swept = sweep(task(2_200), many(), executor, every=False, told=told)
            computed += executor._client.run(_computed).values()
    assert figures(swept) == here(many(), 2_200)
    assert len(computed) == 2
    assert min(computed) > len(many()) // 8


@pytest.mark.long
def test_where_the_scheduler_ends_the_sweep_does_so_too(tmp_path: Path) -> None:
    with DaskCluster(tmp_path) as rig:
        rig.start_worker()
        with pytest.raises(Retryable, match="was lost"), on_cluster(rig) as executor:
            sweep(task(), GRID, executor, every=False, told=lambda *_counts: rig.kill_scheduler())
