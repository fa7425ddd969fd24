"""What a result is held against: chance, a later fill, higher costs, and the earlier and later part of its time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.decisions import Decisions, fill_open_ms
from mcp_server.domain.backtest.random_entries import random_equities
from mcp_server.domain.backtest.simulate import Simulation, simulate
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import timeframe_ms

FIRST_PART = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Figures that stand beside each backtest. None is undefined.

    Attributes:
        random_percentile: 0 to 100, how many per cent of the sets of random entries ended below the rule; an equal one
            counts half. None without a trade.
        random_sets: how many sets there were: 1,000, but fewer where the rule has very many trades.
        bar_later_return_pct: the return with each order filled one candle later.
        double_cost_return_pct: the return at twice the fee and twice the slippage.
        first_70_return_pct: the return over the first 70 % of the candles; `first_70_buy_and_hold_pct` is that of
            holding.
        last_30_return_pct: the return over the rest. None where the rule was ruined before.
    """

    random_percentile: float | None
    random_sets: int | None
    bar_later_return_pct: float
    double_cost_return_pct: float
    first_70_return_pct: float | None
    last_30_return_pct: float | None
    first_70_buy_and_hold_pct: float | None
    last_30_buy_and_hold_pct: float | None


def controls(
    simulation: Simulation,
    candles: Candles,
    timeframe: str,
    decisions: Decisions,
    assumptions: Assumptions,
    fundings: Sequence[Funding] = (),
) -> Controls:
    """Return the controls of a simulation; the other arguments are those that it was made of."""
    double = replace(assumptions, fee_bps=assumptions.fee_bps * 2, slippage_bps=assumptions.slippage_bps * 2)
    later, dear = (
        _return_pct(simulate(candles, timeframe, decided, costs, fundings).equity)
        for decided, costs in ((_one_candle_later(decisions, candles, timeframe), assumptions), (decisions, double))
    )
    rule, holding = _parts(simulation.equity), _parts(candles.close / candles.close[:1])
    random = random_equities(simulation, candles, timeframe, assumptions, fundings) if simulation.trades else None
    return Controls(
        random_percentile=None if random is None else percentile(random, float(simulation.equity[-1])),
        random_sets=None if random is None else len(random),
        bar_later_return_pct=later,
        double_cost_return_pct=dear,
        first_70_return_pct=rule[0],
        last_30_return_pct=rule[1],
        first_70_buy_and_hold_pct=holding[0],
        last_30_buy_and_hold_pct=holding[1],
    )


def percentile(values: Floats, own: float) -> float:
    """Return how many per cent of the values lie below one; those equal to it, but for rounding, count half."""
    equal = np.isclose(values, own, rtol=1e-9, atol=0.0)
    below = np.count_nonzero((values < own) & ~equal) + np.count_nonzero(equal) / 2
    return float(below) / len(values) * 100


def _one_candle_later(decisions: Decisions, candles: Candles, timeframe: str) -> Decisions:
    """Return the same decisions, each a candle later; none fills where that candle is missing, or after the last."""
    slot_ms = decisions.slot_ms + timeframe_ms(timeframe)
    opens = fill_open_ms(slot_ms, timeframe)
    place = np.searchsorted(candles.open_time_ms, opens)
    there = candles.open_time_ms.take(place, mode="clip") == opens
    return replace(decisions, slot_ms=slot_ms, fill=np.where(there, place, -1))


def _parts(curve: Floats) -> tuple[float | None, float | None]:
    """Return the returns of the first and the last part of a curve that begins at 1, in per cent."""
    first = int(len(curve) * FIRST_PART)
    if not 0 < first < len(curve):
        return None, None
    middle, end = float(curve[first - 1]), float(curve[-1])
    return (middle - 1) * 100, (end / middle - 1) * 100 if middle > 0 else None


def _return_pct(equity: Floats) -> float:
    return float(equity[-1] - 1) * 100
