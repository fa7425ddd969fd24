"""One backtest: from rules and candles to figures, what they are worth, their controls, and sentences.

The tool, the command, the sweep and the picture all come through here. Pure: candles, trials and clocks are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.controls import controls
from mcp_server.domain.backtest.decisions import Decisions, candles_of_range, decide_slots
from mcp_server.domain.backtest.figures import figures
from mcp_server.domain.backtest.futures import Futures
from mcp_server.domain.backtest.look_ahead import CUTS, LIMIT_S, Proof
from mcp_server.domain.backtest.look_ahead import prove as prove_no_look_ahead
from mcp_server.domain.backtest.returns import grid_returns
from mcp_server.domain.backtest.simulate import Simulation, simulate
from mcp_server.domain.backtest.track import track_of
from mcp_server.domain.backtest.walk_forward import walk_forward
from mcp_server.domain.backtest.worth import Trial, worth
from mcp_server.domain.rules.compiled import CompiledRules, compile_rules
from mcp_server.domain.rules.missing_news import check_news, undecided_without_news
from mcp_server.domain.rules.series import BUY
from mcp_server.domain.timeframes import iso, timeframe_ms
from mcp_server.errors import BadInput

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles, Times
    from mcp_server.domain.exchange import Funding
    from mcp_server.domain.strategy.strategy import Strategy

Prove = Literal["default", "all"]
Progress = Callable[[str, float], None]
"""Called with what is being computed, and which part of it is done, from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class BacktestTask:
    """What is to be backtested.

    `exchange` and `symbol` are those that the candles are of: exact ones, defaults filled in. `candles` are closed ones
    of the strategy's timeframe, oldest first. Those before `start_ms` are warm-up: give as many as the rules need
    (`CompiledRules.history`), where there are so many. Slots in (start, end] are decided (Unix ms). `fundings` are the
    settled ones of a swap, `trials` the other variants of the same family that were backtested before.
    """

    strategy: Strategy
    exchange: str
    symbol: str
    candles: Candles
    start_ms: int
    end_ms: int
    assumptions: Assumptions
    fundings: Sequence[Funding] = ()
    trials: Sequence[Trial] = ()

    @property
    def timeframe(self) -> str:
        """The timeframe of the candles."""
        return self.strategy.timeframe


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A simulation, and what it came of.

    `candles` are those of the range, to whose positions the trades refer. `start_ms` is the start that was asked for,
    or where the candles begin, if that is later; `end_ms` likewise.
    """

    task: BacktestTask
    candles: Candles
    start_ms: int
    end_ms: int
    decisions: Decisions
    simulation: Simulation
    without_news: int = 0
    """At so many of the slots without a decision, news that the rules look at were missing."""
    why_without: tuple[str, ...] = ()
    """Why, in sentences."""


def run_simulation(task: BacktestTask) -> Simulated:
    """Decide and trade, without any figure: all that a picture needs.

    Where the range begins with the series, the first slots have too few candles behind them: they are undecided, and
    counted so.

    Raises:
        BadInput: the strategy has no rules, there are fewer than two candles in the range, or none of them has the news
            that the rules look at.
        Retryable: the rules took too long.
    """
    compiled = compiled_rules(task.strategy)
    traded = candles_of_range(task.candles, task.timeframe, task.start_ms, task.end_ms)
    if len(traded) < 2:
        raise BadInput(
            f"{task.exchange} has {len(traded) or 'no'} closed {task.timeframe} candle of {task.symbol} between "
            f"{iso(task.start_ms)} and {iso(task.end_ms)}; a backtest needs at least two.",
            "Choose another start and end.",
        )
    check_news(compiled.news, traded)
    start_ms = max(task.start_ms, int(traded.open_time_ms[0]))
    end_ms = min(task.end_ms, int(traded.open_time_ms[-1]) + timeframe_ms(task.timeframe))
    signals = compiled.series(task.candles).signals()
    decisions = decide_slots(task.strategy.config, task.timeframe, task.candles, signals, start_ms, end_ms)
    simulation = simulate(traded, task.timeframe, decisions, task.assumptions, task.fundings)
    lacking = undecided_without_news(compiled.news, task.candles, signals)
    without = decide_slots(task.strategy.config, task.timeframe, task.candles, lacking, start_ms, end_ms)
    missing = int(np.count_nonzero(without.signal == BUY))
    why = tuple(why for one in compiled.news if missing and (why := traded.given[one.key].why))
    return Simulated(task, traded, start_ms, end_ms, decisions, simulation, missing, why)


def compiled_rules(strategy: Strategy) -> CompiledRules:
    """Return the rules of a strategy, ready for its candles.

    Raises:
        BadInput: it has none, or they are wrong.
    """
    if strategy.config.rules is None:
        raise BadInput(f"Strategy {strategy.name!r} has no rules.", "Add 'rules' to its config.")
    return compile_rules(strategy.config.rules, strategy.timeframe)


def run_backtest(
    task: BacktestTask,
    *,
    prove: Prove = "default",
    clock: Callable[[], float] | None = None,
    proof_limit_s: float = LIMIT_S,
    progress: Progress = lambda _doing, _part: None,
    futures: Futures | None = None,
) -> Backtest:
    """Simulate, and compute all figures, their worth, their controls and the proof.

    Args:
        task: what is to be backtested.
        prove: `all` cuts after every candle, however long that takes.
        clock: tells the time in seconds, for the limit of the proof; None: there is none.
        proof_limit_s: after this long, the proof begins no further cut.
        progress: called as it goes on.
        futures: of the task's candles, where backtests over them share what their proofs compute.

    Raises:
        BadInput, Retryable: as `run_simulation` does.
    """
    progress("Simulating", 0.0)
    simulated = run_simulation(task)
    candles, simulation = simulated.candles, simulated.simulation
    progress("Computing figures", 0.0)
    counted = figures(simulation, candles, task.timeframe, task.assumptions)
    returns = grid_returns(simulation.open_time_ms, simulation.equity, task.timeframe)
    progress("Computing what they are worth", 0.0)
    valued = worth(returns, task.timeframe, task.trials)
    progress("Comparing with chance", 0.0)
    held = controls(simulation, candles, task.timeframe, simulated.decisions, task.assumptions, task.fundings)
    times, curves = simulation.open_time_ms, (simulation.equity, candles.close / candles.close[0])
    rule, holding = (track_of(times, curve, task.timeframe) for curve in curves)
    folds = walk_forward([rule], holding)
    proof = _proof(simulated, prove, clock, proof_limit_s, progress, futures)
    progress("Done", 1.0)
    return Backtest(simulated, counted, valued, held, proof, folds)


def cuts_without_clock() -> tuple[Callable[[], float], float]:
    """Return a clock and a limit with which a proof ends after exactly `CUTS` cuts: the same on any machine."""
    return count().__next__, CUTS + 1


def _proof(
    simulated: Simulated,
    how: Prove,
    clock: Callable[[], float] | None,
    limit_s: float,
    progress: Progress,
    futures: Futures | None,
) -> Proof:
    """Disprove look-ahead over all candles, warm-up included: columns, parts of the rules, decisions."""
    task = simulated.task

    def told(done: int, wanted: int) -> None:
        progress("Looking for look-ahead", done / wanted)

    return prove_no_look_ahead(
        compiled_rules(task.strategy),
        task.candles,
        _decided_on(simulated),
        every=how == "all",
        futures=futures,
        clock=clock,
        limit_s=limit_s,
        progress=told,
    )


def _decided_on(simulated: Simulated) -> Times:
    """Return the positions, among all candles, of those on which an entry or an exit was decided."""
    task, decisions, trades = simulated.task, simulated.decisions, simulated.simulation.trades
    traded = np.isin(decisions.fill, np.concatenate([trades.entry, trades.exit])) & (decisions.fill >= 0)
    closes = task.candles.open_time_ms + timeframe_ms(task.timeframe)
    return np.searchsorted(closes, decisions.slot_ms[traded], side="right") - 1
