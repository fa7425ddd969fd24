"""What a backtest of the command line is asked for; all that can be wrong is refused before anything is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.period import period
from mcp_server.domain.backtest.vary import Variant, variants
from mcp_server.domain.timeframes import first_open_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.candles.store import CandleStore, Series
from runner.backtest.files import check_target
from runner.backtest.stored import known_ranges

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy
    from runner.cli.context import Context

FINAL_AFTER = timedelta(minutes=10)
"""So long after its close a candle does not change any more, and is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was given on the command line; None is the default."""

    name: str
    start: datetime | None = None
    end: datetime | None = None
    side: Literal["long", "both"] = "long"
    fee_bps: float | None = None
    slippage_bps: float | None = None
    stake_pct: float | None = None
    vary: tuple[str, ...] = ()
    workers: int | str | None = None
    prove_all: bool = False
    trades: Path | None = None
    report: Path | None = None
    picture: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be backtested: a range of open times, with so many candles before it as the rules need to begin.

    `variants` has the strategy as it is first.
    """

    strategy: Strategy
    variants: list[Variant]
    series: Series
    start_ms: int
    end_ms: int
    warm_up: int
    assumptions: Assumptions

    @property
    def candles(self) -> tuple[int, int]:
        """The open times of all candles that are needed."""
        timeframe = self.series.timeframe
        return first_open_ms(max(self.start_ms - self.warm_up * timeframe_ms(timeframe), 0), timeframe), self.end_ms


def requested(context: Context, options: Options, now: datetime) -> Request:
    """Check what was asked for.

    Raises:
        TraderError: the strategy, a time, a variation or a file is wrong.
    """
    for option, file, ending in (
        ("--trades", options.trades, ".csv"),
        ("--report", options.report, ".html"),
        ("--picture", options.picture, ".png"),
    ):
        check_target(option, file, ending)
    strategy = context.strategies.read(options.name)
    if strategy.config.rules is None:
        raise BadInput(
            f"Strategy {options.name!r} has no rules; only rules can be backtested.",
            "Add 'rules' to its config.json, or name another strategy.",
        )
    _check_times(options, now, context.settings.as_of)
    grid = variants(strategy, options.vary)
    series = Series(
        strategy.config.exchange or context.settings.exchange, strategy.config.trading_pair, strategy.timeframe
    )
    warm_up = _warm_up(grid)
    start_ms, end_ms = _period(context, options, series, warm_up, now)
    return Request(
        strategy=strategy,
        variants=grid,
        series=series,
        start_ms=start_ms,
        end_ms=end_ms,
        warm_up=warm_up,
        assumptions=_assumptions(strategy, options),
    )


def _check_times(options: Options, now: datetime, as_of: datetime | None) -> None:
    if options.start and options.end and options.end <= options.start:
        raise BadInput(
            f"--to {iso(to_ms(options.end))} is not after --from {iso(to_ms(options.start))}.", "Exchange the two."
        )
    for option, moment in (("--from", options.start), ("--to", options.end)):
        if moment is not None and moment > now:
            raise BadInput(f"{option} {iso(to_ms(moment))} is in the future.", "Give a time in the past.")
    if options.start and as_of and options.start >= as_of:
        problem = f"--from {iso(to_ms(options.start))} is not before TRADER_AS_OF, which is {iso(to_ms(as_of))}."
        raise BadInput(problem, "Give an earlier time, or change TRADER_AS_OF.")


def _period(context: Context, options: Options, series: Series, warm_up: int, now: datetime) -> tuple[int, int]:
    """Return the range of open times; candles that may still change, and those after TRADER_AS_OF, are not in it."""
    final = now if series.exchange == "simulated" else now - FINAL_AFTER
    as_of = min(moment for moment in (final, context.settings.as_of) if moment is not None)
    bounds = [None if moment is None else to_ms(moment) for moment in (options.start, options.end)]
    known = known_ranges(CandleStore(context.database), series)
    start_ms, end_ms = period(known, to_ms(as_of), series.timeframe, *bounds, warm_up=warm_up)
    if end_ms - start_ms < 2 * timeframe_ms(series.timeframe):
        raise BadInput(
            f"There are fewer than two closed {series.timeframe} candles from {iso(start_ms)} to {iso(end_ms)}.",
            "Give an earlier --from, or a later --to.",
        )
    return start_ms, end_ms


def _warm_up(grid: list[Variant]) -> int:
    """Return how many candles before the first decision any of the variants needs."""
    from mcp_server.domain.rules.compiled import compile_rules

    rules = [variant.strategy.config.rules for variant in grid]
    return max(compile_rules(each, grid[0].strategy.timeframe).history for each in rules if each is not None)


def _assumptions(strategy: Strategy, options: Options) -> Assumptions:
    costs = strategy.config.costs
    return Assumptions(
        options.side,
        costs.fee_bps if options.fee_bps is None else options.fee_bps,
        costs.slippage_bps if options.slippage_bps is None else options.slippage_bps,
        options.stake_pct,
    )
