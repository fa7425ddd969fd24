"""A sweep: each variant is a backtest of its own, on as many cores as there are, and none of them ends the others."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing import Pipe, active_children
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcp_server.domain.backtest import look_ahead
from mcp_server.domain.backtest.look_ahead import CUTS
from mcp_server.domain.backtest.run import BacktestTask, run_backtest, run_simulation
from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import BadInput, Retryable
from runner.backtest import executors
from runner.backtest import sweep as sweeps
from runner.backtest.executors import SharingExecutor, WorkingExecutor, processes
from runner.backtest.sweep import SweptVariant, sweep
from tests.backtest.sweeping import forked, strategy, task
from tests.rigs.warm import FORKING, fork_for_all, forking_context

ROOT = Path(__file__).parents[2]
GRID = variants(strategy(), ["rsi(14)=rsi(7)", "40=35"])[1:]
BY_CLAUDE = parse_strategy(
    "idea", {"trading_pair": "BTC/USD", "interval": "1h"}, {"price": {"description": "Looks", "prompt": "Look"}}
)


def silent(_done: int, _of: int) -> None:
    pass


@pytest.fixture(scope="module")
def swept() -> list[SweptVariant]:
    with ThreadPoolExecutor(1) as executor:
        return sweep(task(), GRID, executor, every=False, told=silent)


def checked(answer: dict[str, Any]) -> int:
    """Return how many cuts the proof of an answer has made."""
    made: int = answer["look_ahead"]["checked"]
    return made


def answers(swept: list[SweptVariant]) -> list[dict[str, Any]]:
    return [one.backtest.answer() for one in swept if one.backtest is not None]


def test_each_variant_is_the_backtest_that_it_is_alone_and_they_stay_in_their_order(swept: list[SweptVariant]) -> None:
    assert [one.variant for one in swept] == GRID
    for one, answer in zip(GRID, answers(swept), strict=True):
        alone = run_backtest(replace(task(), strategy=one.strategy), clock=count().__next__, proof_limit_s=2).answer()
        assert checked(answer) == len(task().candles) - 1 > checked(alone)
        assert answer["version"] == one.strategy.version
        del answer["look_ahead"], alone["look_ahead"], answer["summary"], alone["summary"]
        assert answer == alone
    assert len({answer["return_pct"] for answer in answers(swept)}) == len(GRID)


def test_over_more_candles_a_proof_ends_after_so_many_cuts_however_long_they_take() -> None:
    with ThreadPoolExecutor(1) as executor:
        (answer,) = answers(sweep(task(2_200), GRID[:1], executor, every=False, told=silent))
    assert checked(answer) == CUTS


def test_the_results_are_the_same_on_any_number_of_cores(
    swept: list[SweptVariant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(executors), "get_context", lambda _: forking_context())
    told: list[tuple[int, int]] = []
    with processes(2) as executor:
        on_two = sweep(task(), GRID, executor, every=False, told=lambda done, of: told.append((done, of)))

    assert answers(on_two) == answers(swept)
    assert told == [(done, len(GRID)) for done in range(1, len(GRID) + 1)]
    assert active_children() == []


class Elsewhere(ThreadPoolExecutor, SharingExecutor):
    """Counts what it is given: a cluster in two threads."""

    at_once = 3

    def __init__(self) -> None:
        super().__init__(2)
        self.shared, self.waiting, self.most = 0, 0, 0

    def share(self, task: BacktestTask) -> BacktestTask:
        self.shared += 1
        return task

    def check(self) -> None:
        pass

    def reached(self, calls: Collection[Future[Any]]) -> dict[Future[Any], int]:
        raise AssertionError(calls)

    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        raise AssertionError(calls)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return super().submit(fn, *args, **kwargs)


def test_an_executor_elsewhere_gets_the_candles_once_and_no_more_calls_than_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(look_ahead, "CUTS", 5)
    monkeypatch.setattr(sweeps, "MOST_TOGETHER", 1)
    grid = variants(strategy(), ["rsi(14)=rsi(7),rsi(21),rsi(28)", "40=35"])
    with Elsewhere() as executor:

        def told(_done: int, _of: int) -> None:
            executor.waiting -= 1

        swept = sweep(task(), grid, executor, every=False, told=told)
    assert [one.error for one in swept] == [None] * len(grid)
    assert (executor.shared, executor.most) == (1, Elsewhere.at_once)


class OneByOne(WorkingExecutor):
    """Computes a call when it is made, and keeps which variants it had and how much its result is when it is sent."""

    def __init__(self, at_once: int) -> None:
        self._at_once, self.calls, self.bytes = at_once, list[list[Any]](), 0

    @property
    def at_once(self) -> int:
        return self._at_once

    def submit(self, fn: Any, /, *args: Any, **_others: Any) -> Future[Any]:
        self.calls.append(args[1])
        result = pickle.dumps(fn(*args))
        self.bytes += len(result)
        call = Future[Any]()
        call.set_result(pickle.loads(result))  # noqa: S301 - made here
        return call

    def take_back(self, calls: Collection[Future[Any]]) -> bool:
        raise AssertionError(calls)


def together(kinds: str, most: int) -> list[str]:
    """Return the kinds of variants, a letter for each, as they go together."""
    calls = []
    while kinds:
        count = sweeps._unbroken(kinds[: most + 1], min(most, len(kinds)))
        calls.append(kinds[:count])
        kinds = kinds[count:]
    return calls


def test_variants_of_the_same_indicators_go_to_one_worker_together() -> None:
    assert together("aaaabbbbcccc", 6) == ["aaaa", "bbbb", "cccc"]
    assert together("aaaabbbbcccc", 4) == ["aaaa", "bbbb", "cccc"]
    assert together("abcdefgh", 3) == ["abc", "def", "gh"]
    assert together("aaaaaaa", 3) == ["aaa", "aaa", "a"]
    assert together("aabbbbbbbc", 4) == ["aa", "bbbb", "bbbc"]


def test_calls_become_smaller_towards_the_end_so_that_no_worker_waits_long_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(look_ahead, "CUTS", 5)
    executor = OneByOne(2)
    grid = variants(strategy(), ["40=" + ",".join(str(level) for level in range(31, 40))])
    swept = sweep(task(), grid, executor, every=False, told=silent)
    assert [one.variant for one in swept] == grid
    assert [len(call) for call in executor.calls] == [5, 3, 1, 1]


@pytest.mark.parametrize(("candles", "together"), [(100, 4), (500, 1)])
def test_a_call_has_as_many_variants_as_take_little_time(
    candles: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ahead, "CUTS", 5)
    monkeypatch.setattr(sweeps, "CANDLES_TOGETHER", 420)
    executor = OneByOne(1)
    sweep(task(candles), GRID, executor, every=False, told=silent)
    assert max(map(len, executor.calls)) == min(together, len(GRID))
    every = OneByOne(1)
    sweep(task(candles), GRID[:2], every, every=True, told=silent)
    assert [len(call) for call in every.calls] == [1, 1]


def test_what_is_sent_back_does_not_grow_with_the_candles_and_is_whole_again_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(look_ahead, "CUTS", 5)
    executor, whole = OneByOne(1), task(2_200)
    (swept,) = sweep(whole, GRID[:1], executor, every=False, told=silent)
    assert swept.backtest is not None
    alone = run_simulation(replace(whole, strategy=GRID[0].strategy))
    here = swept.backtest.simulated
    assert len(here.simulation.trades) > 3
    assert here.simulation.equity.tobytes() == alone.simulation.equity.tobytes()
    assert here.simulation.position.tobytes() == alone.simulation.position.tobytes()
    assert here.simulation.open_time_ms.tobytes() == alone.simulation.open_time_ms.tobytes()
    assert executor.bytes < 8 * len(whole.candles)


def test_a_variant_that_fails_is_an_error_in_its_row_and_not_the_end() -> None:
    broken = Variant((("40", "45"),), None)  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as executor:
        swept = sweep(task(), [Variant((), BY_CLAUDE), GRID[0], broken], executor, every=False, told=silent)

    no_rules, fine, crashed = swept
    assert (no_rules.backtest, str(no_rules.error)) == (
        None,
        "Strategy 'idea' has no rules. Add 'rules' to its config.",
    )
    assert fine.error is None
    assert fine.backtest is not None
    assert "AttributeError" in str(crashed.error)


def test_a_worker_that_is_ended_from_outside_ends_the_sweep_with_what_to_do() -> None:
    workers = set[psutil.Process]()

    def told(_done: int, _of: int) -> None:
        for process in active_children():
            assert process.pid is not None
            with suppress(psutil.NoSuchProcess):
                workers.add(psutil.Process(process.pid))
            process.kill()

    with pytest.raises(Retryable, match="--workers 1"), processes(1) as executor:
        sweep(task(), GRID * 4, executor, every=False, told=told)  # some are sent only once others are done
    assert workers
    # `active_children` may still list one that the pool's thread has waited for, and not noted yet.
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_a_grid_over_more_candles_than_memory_can_hold_is_refused_at_once() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()  # it takes nothing any more
    with pytest.raises(BadInput, match="too much memory"):
        sweep(task(2_200), GRID[:1] * 50_000, executor, every=False, told=silent)


@pytest.fixture
def sweeping() -> Iterator[subprocess.Popen[str]]:
    """A sweep of 41 variants that runs."""
    command = [sys.executable, "-m", "tests.backtest.sweeping"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as program:
        yield program
        program.kill()


def test_the_workers_of_a_sweep_end_with_its_program_though_that_is_killed() -> None:
    """Its workers are forked, which costs no imports; in `make long` they are started as the command has it."""
    fork_for_all()
    receiving, sending = Pipe(duplex=False)
    program = forking_context().Process(target=forked, args=(sending, os.environ.get(FORKING)))
    program.start()
    try:
        assert receiving.poll(60)
        workers = [psutil.Process(pid) for pid in receiving.recv()]
    finally:
        program.kill()
        program.join()
    assert len(workers) == 2
    left = psutil.wait_procs(workers, timeout=5)[1]
    for process in left:
        process.kill()
    assert left == []


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_however_it_is_stopped_no_process_is_left(sweeping: subprocess.Popen[str], how: signal.Signals) -> None:
    assert sweeping.stdout is not None
    line = sweeping.stdout.readline().split()
    workers = [psutil.Process(int(pid)) for pid in line[2:]]
    assert len(workers) == 2

    if how == signal.SIGINT:  # Ctrl-C reaches all of a terminal's processes
        os.killpg(sweeping.pid, how)
    else:
        sweeping.send_signal(how)

    assert sweeping.wait(5) != 0
    left = psutil.wait_procs(workers, timeout=5)[1]
    for process in left:
        process.kill()
    assert left == []
