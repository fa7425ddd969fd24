"""A home to look at: strategies of both engines, runs of every status, outcomes, costs, versions and backtests.

All of it is as the project's own code writes it, on the simulated market. Nothing is later than `now`.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from mcp_server.adapters.simulated import path
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.domain.scoring.outcomes import entry_open_ms, exit_close_ms, judge
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.liveness import Liveness
from mcp_server.storage.journal.outcomes import DueRun, SettledOutcome
from mcp_server.storage.journal.rows import mirror
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slot_rows import StoredSchedule, store_schedule
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.backtest.record import entered
from tests.rigs import sample_strategies as strategies
from tests.rigs.done_once import shared_folder
from tests.rigs.sample_runs import EXCHANGE, enter_runs
from tests.rigs.sample_slots import candles_of, slots_by_claude, slots_by_rules, slots_of_paused
from tests.scoring.many_signals import fill

if TYPE_CHECKING:
    import duckdb

HALF_A_YEAR_MS = 180 * 24 * 3_600_000
TEN_MINUTES_MS = 600_000
PROCESS = "sample"
CUTS = 12
"""So many cuts prove that a backtest does not look ahead: each takes 3 ms."""


@dataclass
class SampleHome:
    """A home that is filled. Until it is closed, one of its runs is still under way."""

    root: Path
    now: datetime
    process: Liveness | None = None

    def __post_init__(self) -> None:
        self.home = Home(self.root)
        self.database = Database(self.home.database, prepare=self.home.prepare)
        self.journal = Journal(self.database, self.home)
        self.folders = StrategyFolders(self.home, examples_folder())

    def close(self) -> None:
        """End the runner's process, as others see it."""
        if self.process is not None:
            self.process.close()


def sample_home(root: Path, now: datetime) -> SampleHome:
    """Fill an empty home, as of a moment (aware)."""
    with FileLock(shared_folder() / "sample-home.lock"):
        shutil.copytree(_filled(now), root, dirs_exist_ok=True, symlinks=True)
    sample = SampleHome(root, now)
    sample.process = Liveness(sample.home.running / PROCESS)
    _let_live(sample)
    return sample


@cache
def _filled(now: datetime) -> Path:
    """Fill a home once for all processes that share the folder; homes that tests may change are copies of it."""
    whole = shared_folder() / f"sample-home-{to_ms(now)}"
    if not whole.exists():
        with tempfile.TemporaryDirectory(dir=whole.parent) as beginning:
            _fill(Path(beginning, "home"), now).rename(whole)
    return whole


def _fill(root: Path, now: datetime) -> Path:
    sample = SampleHome(root, now)
    sample.home.prepare()
    trend, analysts = strategies.trend_versions(), strategies.analyst_versions()
    for number, version in enumerate([*trend, *analysts, strategies.paused(), strategies.new()]):
        _write(sample, version, now - timedelta(days=60 - 5 * number))
    broken = sample.root / "strategies" / strategies.BROKEN
    broken.mkdir()
    broken.joinpath("config.json").write_text('{"trading_pair": "BTC/USDT", "interval": ')
    runs = [
        *slots_by_rules(trend, now),
        *slots_by_claude(analysts, now),
        *slots_of_paused(strategies.paused(), now),
    ]
    ids = enter_runs(sample.database, PROCESS, runs)
    _judge(sample, void=ids[0])
    _backtest(sample, trend)
    return sample.root


def _write(sample: SampleHome, strategy: Strategy, at: datetime) -> None:
    """Write a strategy as if it had been written at a moment."""
    sample.folders.write(strategy)
    folder = sample.root / "strategies" / strategy.name
    for part in (folder, *folder.iterdir()):
        os.utime(part, (at.timestamp(), at.timestamp()))


def _judge(sample: SampleHome, *, void: int) -> None:
    """Judge what is due by the market's candles; one signal is void."""
    outcomes, now_ms = sample.journal.outcomes(sample.folders, EXCHANGE), to_ms(sample.now)
    settled = [_outcome(run, now_ms, void=run.execution_id == void) for run in outcomes.due(sample.now)]
    outcomes.add([outcome for outcome in settled if outcome.exit_ms + TEN_MINUTES_MS <= now_ms], sample.now)


def _outcome(run: DueRun, now_ms: int, *, void: bool) -> SettledOutcome:
    terms = run.terms
    entry = entry_open_ms(np.array([run.decided_ms]), np.array([run.answered_ms]), terms.timeframe)
    exit_ = exit_close_ms(entry, terms.timeframe, terms.horizon_s * 1000)
    times = int(entry[0]), int(exit_[0])
    if void:
        return SettledOutcome(run.execution_id, terms, "void", *times)
    candles = path.candles(path.market_of(terms.symbol, 0), terms.timeframe, *times, now_ms)
    prices = judge(candles, terms.timeframe, entry, exit_)
    figures = (float(prices.entry[0]), float(prices.exit[0]), float(prices.r[0]), 0.0)
    return SettledOutcome(run.execution_id, terms, "judged", *times, *figures)


def _backtest(sample: SampleHome, versions: Sequence[Strategy]) -> None:
    """Backtest each version of a strategy, with its controls, on one day after another."""
    for back, strategy in zip((30, 20, 2), versions, strict=True):
        made_at = sample.now - timedelta(days=back)
        candles, end_ms = candles_of(strategy, made_at, 1_500), to_ms(made_at)
        start_ms = end_ms - HALF_A_YEAR_MS
        symbol, costs = strategy.config.trading_pair, strategy.config.costs
        assumptions = Assumptions("long", costs.fee_bps, costs.slippage_bps)
        task = BacktestTask(strategy, EXCHANGE, symbol, candles, start_ms, end_ms, assumptions)
        done = run_backtest(task, clock=count().__next__, proof_limit_s=CUTS)
        entered(sample.journal.backtests, [done], made_at)


def _let_live(sample: SampleHome) -> None:
    """Note what a runner that is up knows of the strategies, and let it show that it is alive."""
    now, names = sample.now, (strategies.TREND, strategies.ANALYSTS, strategies.NEW)
    scheduled = [sample.folders.read(name) for name in names]

    def work(connection: "duckdb.DuckDBPyConnection") -> None:
        for strategy in scheduled:
            began = StoredSchedule(strategy.config_json(), now - timedelta(days=40), now, strategy.version)
            store_schedule(connection, mirror(connection, strategy, now), began)

    sample.database.write(work)
    due = {one.name: due_at(one.config, next_slot(one.config, now)) for one in scheduled}
    problem = f"{strategies.BROKEN!r} is not scheduled: its config.json is not JSON at line 1, column 42."
    beat = Beat(os.getpid(), now - timedelta(days=3), now, 1, (problem,), due)
    Heartbeat(sample.home.heartbeat).write(beat)


def many(home: Path, now: datetime, strategies: int = 50, signals: int = 100_000) -> None:
    """Fill an empty home with many strategies and signals, all judged, for a benchmark."""
    fill(home, to_ms(now), exchange=EXCHANGE, strategies=strategies, signals=signals // strategies)
