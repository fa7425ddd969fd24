"""A whole backtest, and its answer: the same keys from the tool, from the command's `--json` and in the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_server.domain.backtest.fundings import missing_fundings
from mcp_server.domain.backtest.returns import grid_returns
from mcp_server.domain.backtest.summary import BacktestFacts, summary
from mcp_server.domain.backtest.worth import Moments, Trial, Worth, deflated_sharpe, moments_of
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.timeframes import iso, timeframe_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.backtest.controls import Controls
    from mcp_server.domain.backtest.figures import Figures
    from mcp_server.domain.backtest.look_ahead import Proof
    from mcp_server.domain.backtest.periods import PeriodReturn
    from mcp_server.domain.backtest.run import Simulated
    from mcp_server.domain.backtest.walk_forward import WalkForward

DIGITS, PERIOD_DIGITS, PRICE_DIGITS = 10, 6, 12
"""Significant digits of a figure, of one of the many of months and years, and of a price, which has fewer itself."""

MOST_CHANGES = 5
"""So many columns that look ahead are named."""

_FIGURES_APART = ("days", "buy_and_hold_drawdown_pct", "buy_and_hold_sharpe", "sharpe_per_period", "months", "years")


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """A simulation with its figures, what they are worth, their controls, and what the look-ahead proof saw.

    `walk` is what it returned in each fold; None where there are too few candles for folds.
    """

    simulated: Simulated
    figures: Figures
    worth: Worth
    controls: Controls
    proof: Proof
    walk: WalkForward | None

    def with_trials(self, others: Sequence[Trial]) -> Backtest:
        """Return it deflated by these other variants of its family, as the journal has them once it is entered."""
        moments = self.moments()
        deflated = deflated_sharpe(moments, self.simulated.task.timeframe, others) if moments else None
        counted = replace(self.worth, trials=len(others) + 1, sharpe_deflated=deflated)
        return replace(self, worth=counted)

    def moments(self) -> Moments | None:
        """Return what its deflation needs of its returns."""
        simulation, timeframe = self.simulated.simulation, self.simulated.task.timeframe
        return moments_of(grid_returns(simulation.open_time_ms, simulation.equity, timeframe), timeframe)

    def answer(self) -> dict[str, Any]:
        """Return all of it as JSON values, except months, folds and single trades. An undefined figure is None."""
        task, simulation = self.simulated.task, self.simulated.simulation
        figures = {name: value for name, value in asdict(self.figures).items() if name not in _FIGURES_APART}
        trades = self.trades()
        return {
            "strategy_name": task.strategy.name,
            "version": task.strategy.version,
            "exchange": task.exchange,
            "symbol": task.symbol,
            "timeframe": task.timeframe,
            "start": iso(self.simulated.start_ms),
            "end": iso(self.simulated.end_ms),
            "candles": len(self.simulated.candles),
            "missing": simulation.missing,
            "unfilled": simulation.unfilled,
            "missing_fundings": self._missing_fundings(),
            **asdict(task.assumptions),
            "signals": dict(simulation.signals),
            **rounded({**figures, **asdict(self.worth)}),
            "ruined_at": None if simulation.ruined_ms is None else iso(simulation.ruined_ms),
            "open_trade": trades[-1] if trades and trades[-1]["open"] else None,
            "years": _periods(self.figures.years),
            "controls": rounded(asdict(self.controls)),
            "look_ahead": self._look_ahead(),
            **({"without_news": self.simulated.without_news} if self.simulated.without_news else {}),
            "summary": self.summary(),
        }

    def months(self) -> list[dict[str, Any]]:
        """Return what the rule and holding returned in each month, as the answer does for years."""
        return _periods(self.figures.months)

    def folds(self) -> list[dict[str, Any]]:
        """Return what the rule and holding returned in each fold, oldest first; none for fewer than 120 candles."""
        return [
            {
                "start": iso(fold.start_ms),
                "end": iso(fold.end_ms),
                **rounded({"return_pct": fold.return_pct, "buy_and_hold_pct": fold.buy_and_hold_pct}, PERIOD_DIGITS),
            }
            for fold in (self.walk.folds if self.walk else ())
        ]

    def trades(self) -> list[dict[str, Any]]:
        """Return all trades, oldest first."""
        return listed_trades(self.simulated)

    def summary(self) -> list[str]:
        """Return what came out, in sentences for a beginner."""
        return summary(BacktestFacts(**self.facts()))

    def facts(self) -> dict[str, Any]:
        """Return what the sentences speak about."""
        simulation = self.simulated.simulation
        known = {**asdict(self.figures), **asdict(self.worth), **asdict(self.controls)}
        names = BacktestFacts.__dataclass_fields__
        return {name: value for name, value in known.items() if name in names} | {
            "open_trade": bool(simulation.trades.open.any()),
            "costs": self.simulated.task.assumptions.fee_bps + self.simulated.task.assumptions.slippage_bps > 0,
            "ruined_at": None if simulation.ruined_ms is None else iso(simulation.ruined_ms),
            "decisions": sum(simulation.signals.values()),
            "undecided": simulation.signals["undecided"],
            "without_news": self.simulated.without_news,
            "news": self.simulated.why_without,
            "missing": simulation.missing,
            "unfilled": simulation.unfilled,
            "missing_fundings": self._missing_fundings() or 0,
            "checked": self.proof.checked,
            "changed": len(self.proof.changed),
        }

    def _missing_fundings(self) -> int | None:
        """Return how many fundings of the time are not known, and so are not paid; None where none are due."""
        task, simulated = self.simulated.task, self.simulated
        if not pays_fundings(task.symbol):
            return None
        return missing_fundings(task.fundings, simulated.start_ms, simulated.end_ms)

    def _look_ahead(self) -> dict[str, Any]:
        proof = self.proof
        counts = {"checked": proof.checked, "decisions": proof.decisions, "changed": len(proof.changed)}
        if not proof.changed:
            return counts
        some = proof.changed[:MOST_CHANGES]
        return {**counts, "where": [[change.column, iso(change.at_ms), iso(change.cut_ms)] for change in some]}


def listed_trades(simulated: Simulated) -> list[dict[str, Any]]:
    """Return all trades, oldest first. Fees and fundings are parts of the equity at the start: 0.05 is 5 %."""
    trades, opened = simulated.simulation.trades, simulated.candles.open_time_ms
    closed_ms = opened[trades.exit] + np.where(trades.open, timeframe_ms(simulated.task.timeframe), 0)
    columns = {
        "side": ["long" if side > 0 else "short" for side in trades.side.tolist()],
        "decided_at": _times(trades.decided_at_ms),
        "entry_time": _times(opened[trades.entry]),
        "entry_price": _round(trades.entry_price.tolist(), PRICE_DIGITS),
        "exit_time": _times(closed_ms),
        "exit_price": _round(trades.exit_price.tolist(), PRICE_DIGITS),
        "return_pct": [_round(100 * value) for value in trades.return_ratio.tolist()],
        "fees": [_round(value) for value in trades.fees.tolist()],
        "funding": [_round(value) for value in trades.funding.tolist()],
        "open": trades.open.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _times(times: Any) -> list[str]:
    return [iso(at) for at in times.tolist()]


def _periods(periods: Sequence[PeriodReturn]) -> list[dict[str, Any]]:
    return [rounded(asdict(period), PERIOD_DIGITS) for period in periods]


def rounded(values: dict[str, Any], digits: int = DIGITS) -> dict[str, Any]:
    """Return figures with the digits that are answered."""
    return {name: _round(value, digits) for name, value in values.items()}


def _round(value: Any, digits: int = DIGITS) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") + 0.0  # a zero has no sign
    return [_round(item, digits) for item in value] if isinstance(value, tuple | list) else value
