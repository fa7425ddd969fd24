"""Backtests beside vectorbt with its Rust engine, in the same run: warm, cold, in memory; and the rows of before.

vectorbt is given its signals by TA-Lib and numpy, the quickest way there is, and computes those of our figures that it
has. `make benchmark` installs it, in an environment of its own.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.look_ahead import CUTS
from mcp_server.domain.backtest.run import run_backtest
from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.strategy.format import Rules
from tests.benchmarks.backtest_program import RULES, task_of
from tests.benchmarks.programs import say
from tests.parity.series import COLUMNS, made_up

CHECKOUT = Path(__file__).parents[2]
PEERS = CHECKOUT / ".venv" / "parity" / "bin" / "python"
OURS = [sys.executable, "-m", "tests.benchmarks.backtest_program"]
THEIRS = [str(PEERS), "-m", "tests.benchmarks.vectorbt_program"]

MOST_WARM = 2.0
MOST_WARM_LARGE = 2.5
MOST_COLD = 0.3
MOST_MEMORY = 0.6
MOST_OF_ROWS = 0.25
MOST_WITH_PROOF_S = 10.0

pytestmark = pytest.mark.skipif(not PEERS.is_file(), reason="vectorbt is not installed: `make benchmark` does it")


@dataclass
class Backtester:
    process: subprocess.Popen[str]

    def pass_once(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def backtester(command: list[str], candles: tuple[str, str]) -> Iterator[Backtester]:
    pipe = subprocess.PIPE
    arguments = [*command, *candles]
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=CHECKOUT) as it:
        try:
            yield Backtester(it)
        finally:
            it.kill()


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[str, str]]:
    """Files of the open times and of the other columns, by the number of candles."""
    folder = tmp_path_factory.mktemp("candles")
    files = {}
    for count in (100_000, 500_000):
        series = made_up(count)
        files[count] = str(folder / f"{count}-times.npy"), str(folder / f"{count}.npy")
        np.save(files[count][0], series.open_time_ms)
        np.save(files[count][1], np.array([getattr(series, name) for name in COLUMNS]))
    return files


@pytest.mark.parametrize(("count", "most", "turns"), [(100_000, MOST_WARM, 30), (500_000, MOST_WARM_LARGE, 20)])
def test_a_whole_pass_takes_no_longer_than_a_small_multiple_of_vectorbts(
    candles: dict[int, tuple[str, str]], count: int, most: float, turns: int
) -> None:
    with backtester(OURS, candles[count]) as ours, backtester(THEIRS, candles[count]) as theirs:
        mine, peers = ours.answer(), theirs.answer()
        assert mine["trades"] == peers["trades"] > count / 1000
        assert mine["final_equity"] == pytest.approx(peers["final_equity"], rel=1e-9)
        took: dict[str, list[float]] = {"ours": [], "vectorbt": []}
        for _ in range(turns):
            took["ours"].append(ours.pass_once()["ms"])
            took["vectorbt"].append(theirs.pass_once()["ms"])
        peak = [program.pass_once()["peak_mb"] for program in (ours, theirs)]
    ratio = min(took["ours"]) / min(took["vectorbt"])
    best = ", ".join(f"{name} {min(values):.1f} ms ({statistics.median(values):.1f})" for name, values in took.items())
    say(f"whole pass, {count} candles, best (median): {best}, {ratio:.2f} x; {peak[0]:.0f} and {peak[1]:.0f} MB")
    assert ratio <= most
    assert peak[0] / peak[1] <= MOST_MEMORY


def test_a_process_has_its_figures_in_a_part_of_the_time_that_vectorbt_takes(
    candles: dict[int, tuple[str, str]],
) -> None:
    took: dict[str, list[float]] = {"ours": [], "vectorbt": []}
    for _ in range(3):
        for name, command in (("ours", OURS), ("vectorbt", THEIRS)):
            began = time.perf_counter()
            with backtester(command, candles[100_000]) as started:
                started.answer()
                took[name].append(time.perf_counter() - began)
    ratio = min(took["ours"]) / min(took["vectorbt"])
    say(f"cold start to figures: ours {min(took['ours']):.2f} s, vectorbt {min(took['vectorbt']):.2f} s, {ratio:.2f} x")
    assert ratio <= MOST_COLD


def test_a_series_takes_a_part_of_what_rows_of_python_objects_take() -> None:
    series = made_up()
    candles = Candles(series.open_time_ms, *(getattr(series, name) for name in COLUMNS))
    rules = compile_rules(Rules.model_validate(RULES), "1h")

    def by_rows() -> int:
        rows = rules._engine.query(rules._deciding, rules._table(candles))
        by_name = [dict(zip(("buy", "sell"), row, strict=False)) for row in rows]
        return len([(values.get("buy", False), values.get("sell", False)) for values in by_name])

    def by_arrays() -> int:
        return len(rules.series(candles))

    took: dict[str, list[float]] = {"series": [], "rows": []}
    for _ in range(20):
        for name, work in (("series", by_arrays), ("rows", by_rows)):
            began = time.perf_counter()
            assert work() == len(candles)
            took[name].append((time.perf_counter() - began) * 1000)
    ratio = min(took["series"]) / min(took["rows"])
    say(f"100,000 candles: series {min(took['series']):.1f} ms, rows {min(took['rows']):.1f} ms, {ratio:.2f} x")
    assert ratio <= MOST_OF_ROWS


def test_a_backtest_with_its_default_proof_takes_no_ten_seconds() -> None:
    series = made_up()
    candles = Candles(series.open_time_ms, *(getattr(series, name) for name in COLUMNS))
    began = time.perf_counter()
    proof = run_backtest(task_of(candles), clock=time.perf_counter).proof
    took = time.perf_counter() - began
    say(f"100,000 candles with the proof: {took:.1f} s, {proof.checked} cuts, {proof.decisions} decisions among them")
    assert took <= MOST_WITH_PROOF_S
    assert proof.checked >= CUTS
    assert not proof.changed
