"""`claude-trader backtest --vary`: the real command on several processes, what it says of all, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from multiprocessing import active_children
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mcp_server.domain.timeframes import parse_moment, to_ms
from runner.backtest import executors
from runner.backtest.executors import Processes, processes
from tests.rigs.stand_in_exchange import StandInExchange
from tests.rigs.terminal import CTRL_C, Terminal
from tests.rigs.warm import forking_context
from tests.runner.conftest import trader_in

RULES = {"buy": "close > prev(close, 1) * 1.001", "sell": "close < prev(close, 1) * 0.999"}
CONFIG = {"name": "mine", "trading_pair": "BTC/USDT", "exchange": "binance", "interval": "4h", "rules": RULES}
TIME = ["--from", "2026-01-01", "--to", "2026-01-22"]
THREE = ["--vary", "1.001=1.002,1.003"]
TWELVE = ["--vary", "1.001=1.002,1.003", "--vary", "0.999=0.998,0.997,0.996"]
FOLDS = 5
NOBODY = "http://127.0.0.1:9/mcp"
"""A tool server that is not there."""

IN_TIME_S = 2.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = home / "strategies" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return home


@pytest.fixture(scope="module")
def twelve(home: Path) -> dict[str, Any]:
    """The answer on twelve variants, each proven at few candles; the home has their candles from now on."""
    with StandInExchange() as rig:
        rig.now_ms = to_ms(parse_moment("2026-05-01"))
        urls = json.dumps({"binance": rig.url})
        quick = trader_in(home, program="tests.rigs.quick_backtests")
        done = quick("backtest", "mine", *TIME, *TWELVE, "--json", TRADER_EXCHANGE_URLS=urls)
    assert (done.code, done.err) == (0, "")
    return done.json


def test_twelve_variants_have_a_walk_forward_and_the_probability_of_overfitting(twelve: dict[str, Any]) -> None:
    labels = {variant["variant"] for variant in twelve["variants"]}
    assert len(labels) == 12
    assert {variant["error"] for variant in twelve["variants"]} == {None}
    assert 0 <= twelve["pbo"] <= 1
    folds = twelve["walk_forward"]["folds"]
    assert len(folds) == FOLDS
    assert {fold["variant"] for fold in folds} <= labels
    assert [fold["end"] for fold in folds][:-1] <= [fold["start"] for fold in folds][1:]
    grown = 1.0
    for fold in folds:
        grown *= 1 + fold["return_pct"] / 100
    assert twelve["walk_forward"]["return_pct"] == pytest.approx((grown - 1) * 100)
    assert any("was not above the middle in the other" in sentence for sentence in twelve["summary"])


def test_fewer_than_ten_have_none_and_the_figures_of_two_processes_are_those_of_one(
    home: Path, twelve: dict[str, Any]
) -> None:
    trader = trader_in(home, own_process=True)
    done = trader("backtest", "mine", *TIME, *THREE, "--workers", "2", "--json", TRADER_SERVER_URL=NOBODY)
    assert (done.code, done.err) == (0, "")
    three = done.json
    assert (len(three["variants"]), three["pbo"]) == (3, None)
    assert len(three["walk_forward"]["folds"]) == FOLDS
    assert three["trials"] == twelve["trials"] == 12, "all three were tried before"

    before = {variant["variant"]: variant for variant in twelve["variants"]}
    for variant in three["variants"]:
        proof = variant["look_ahead"]
        assert (proof["changed"], proof["checked"] > 100) == (0, True)
        assert {**variant, "backtest_id": 0} == {**before[variant["variant"]], "backtest_id": 0, "look_ahead": proof}


def test_so_many_processes_are_had_as_were_asked_for_and_ctrl_c_waits_while_one_starts() -> None:
    held: list[bool] = []

    def submit(*_: Any) -> None:
        held.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    with processes(3) as executor:
        assert isinstance(executor, Processes)
        assert executor.at_once == 3 * executors._EACH
        vars(executor)["_pool"] = SimpleNamespace(submit=submit, shutdown=executor._pool.shutdown)
        executor.submit(abs, 1)
    assert held == [True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_ends_all_processes_whatever_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "get_context", lambda _: forking_context())
    before, calls = {*active_children()}, list[Future[None]]()

    def working() -> None:
        with processes(1) as executor:
            assert executor.submit(os.getpid).result() != os.getpid()
            calls.append(executor.submit(time.sleep, 30))
            assert len({*active_children()} - before) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        working()
    assert {*active_children()} <= before
    (call,) = calls
    assert not call.done() or call.cancelled() or call.exception() is not None, "it was not waited for"


def workers_of(program: psutil.Process) -> list[psutil.Process]:
    """Return the processes that compute variants."""
    found = []
    for child in program.children(recursive=True):
        try:
            found += [child] if any("spawn_main" in word for word in child.cmdline()) else []
        except psutil.Error:  # it has just ended
            continue
    return found


HUNDRED = [f"--vary={own}=" + ",".join(f"{own}{digit}" for digit in range(1, 10)) for own in ("1.001", "0.999")]
STOPPED = "claude-trader: stopped; candles that were fetched stay"


@pytest.mark.long
def test_ctrl_c_while_variants_are_computed_ends_all_at_once_and_leaves_nothing(
    home: Path, twelve: dict[str, Any], tmp_path: Path
) -> None:
    assert twelve, "which has stored its candles"
    environment = {**os.environ, "TRADER_HOME": str(home), "TMPDIR": str(tmp_path), "COLUMNS": "80"}
    environment["TRADER_SERVER_URL"] = NOBODY
    with Terminal(["backtest", "mine", *TIME, *HUNDRED, "--workers", "1"], environment, home) as terminal:
        terminal.until(" a second")  # some are computed
        started = psutil.Process(terminal.process.pid).children(recursive=True)
        assert len(workers_of(psutil.Process(terminal.process.pid))) == 1
        began = time.monotonic()
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert time.monotonic() - began < IN_TIME_S
    assert psutil.wait_procs(started, timeout=IN_TIME_S)[1] == []
    assert terminal.shown.rstrip().endswith(STOPPED)
    assert "Traceback" not in terminal.shown
    assert list(tmp_path.iterdir()) == [], "nor a file"


@pytest.mark.long
def test_so_many_processes_are_started_and_ctrl_c_meanwhile_is_as_quiet(
    home: Path, twelve: dict[str, Any], tmp_path: Path
) -> None:
    assert twelve, "which has stored its candles"
    command = [sys.executable, "-m", "runner", "backtest", "mine", *TIME, *HUNDRED, "--workers", "2"]
    environment = {**os.environ, "TRADER_HOME": str(home), "TMPDIR": str(tmp_path)}
    environment["TRADER_SERVER_URL"] = NOBODY
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as program:  # fmt: skip
        try:
            _once_importing(program, 2)
            started = psutil.Process(program.pid).children(recursive=True)
            began = time.monotonic()
            os.killpg(program.pid, signal.SIGINT)  # as a terminal does: all of its processes
            out, err = program.communicate(timeout=30)
            took = time.monotonic() - began
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    assert (program.returncode, out, err.strip()) == (130, "", STOPPED)
    assert took < IN_TIME_S
    assert psutil.wait_procs(started, timeout=IN_TIME_S)[1] == []
    assert list(tmp_path.iterdir()) == [], "nor a file"


def _once_importing(program: subprocess.Popen[str], workers: int) -> None:
    """Wait until so many processes compute variants, and each is in the middle of its start."""
    deadline = time.monotonic() + 60
    while len(found := workers_of(psutil.Process(program.pid))) < workers or min(map(_cpu_s, found)) < 0.1:
        assert (program.poll(), time.monotonic() < deadline) == (None, True)
        time.sleep(0.1)  # a look goes through all processes of the machine
    assert len(found) == workers


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def sent_in_part(connection: Connection, message: bytes) -> None:
    """Send half of a message, and end as if killed meanwhile."""
    os.write(connection.fileno(), bytes(message)[: len(message) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def result_in_part() -> None:
    """Let the process end while it sends this call's result."""
    Connection._send = sent_in_part  # type: ignore[attr-defined]


def test_a_process_that_ends_while_it_sends_its_result_keeps_no_program_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executors, "get_context", lambda _: forking_context())
    before, results = {*threading.enumerate()}, list[Any]()

    def working() -> None:
        with processes(1) as executor:
            assert isinstance(executor, Processes)
            results.append(vars(executor._pool)["_result_queue"])
            executor.submit(result_in_part)
            (process,) = {*active_children()} - children
            process.join(60)
            raise KeyboardInterrupt

    children = {*active_children()}
    with pytest.raises(KeyboardInterrupt):
        working()
    waited_for = {*threading.enumerate()} - before
    for thread in waited_for:
        thread.join(20)
    left = [thread for thread in waited_for if thread.is_alive()]
    results[0]._writer.close()  # it lets a thread that is left end, and these tests with it
    assert left == [], "Python would wait for it at the end"
