"""The keys of a score. A record is the runs of one strategy, of one kind, that were decided in the same way.

`Score` has the keys of the tool `get_performance` and of `claude-trader score --json`. An undefined figure is None.
Rates and confidences are 0 to 1, an interval is (low, high), and what ends in `_pct` is in per cent.
"""

from __future__ import annotations

from typing import Literal, TypedDict

Kind = Literal["live", "manual", "host", "replay"]
"""How a run came about: by a slot, by hand, by a host's own model, of a past moment. Kinds are never added up."""

Evidence = Literal["too_few", "none_yet", "skill", "no_skill", "unknown", "contaminated"]
"""What the record shows by now.

`skill`: the e-value has reached 20. `no_skill`: the strategy's own `stop` has reached its limit. Else, `unknown`: the
candles are missing by which to tell; `too_few`: fewer than 30 signals are judged; `none_yet`: nothing is proven.
`contaminated`: at every moment the model may know what came next, so that no run counts.
"""

FEW = 30
"""Fewer judged signals than this are too few to say anything."""

PROOF = 20
"""An e-value that has reached this is proof at 5 %, however often somebody looked."""

Bounds = tuple[float, float]


class SignalCounts(TypedDict):
    """How many signals of each kind there are."""

    buy: int
    sell: int
    hold: int


class JudgedHolds(TypedDict):
    """HOLD signals, which are never right or wrong. `quiet`: the price moved no further than the costs."""

    judged: int
    quiet: int


class DirectionRates(TypedDict):
    """The share of moments of this market at which that direction would have been right."""

    buy: float | None
    sell: float | None


class TwinScore(TypedDict):
    """The strategy's rules, or another replay, at the same moments.

    `judged` counts their BUY and SELL, of which `hit_rate` is.

    The difference is the record's mean net return less that of them, over `moments` at which one of the two said BUY or
    SELL.
    """

    judged: int
    hit_rate: float | None
    moments: int
    difference_pct: float | None
    difference_ci95: Bounds | None


class AgentScore(TypedDict):
    """How a sub-agent's leaning went along with what the market did; `judged` counts its BUY and SELL.

    `agrees` is the share that the market bore out, net of costs. Both are None below 30.
    """

    judged: int
    agrees: float | None
    correlation: float | None


class CalibrationScore(TypedDict):
    """What the stated confidences have been worth; only from 30 signals with a confidence on.

    A row of `bins`: mean confidence, signals, share right, and between which two shares chance alone leaves it in 95 %
    of cases. `error` below `error_by_chance` says nothing. `calibrated` is what the `confidence` stated last is
    probably worth: an estimate.
    """

    bins: list[list[float]]
    error: float
    error_by_chance: float
    confidence: float | None
    calibrated: float | None


class StopState(TypedDict):
    """What speaks against a mean net return of `minimum_edge_pct` or more. At `limit` the strategy is paused.

    `judged` outcomes that do not overlap, with this mean net return, are the evidence: once `limit` was reached, those
    up to then.
    """

    e_value: float
    highest: float
    judged: int
    mean_net_pct: float | None
    limit: float
    minimum_edge_pct: float
    reached: bool


class RunsLeftOut(TypedDict):
    """Runs that count for no figure, and why."""

    runs: int
    why: str


class EarlierRecord(TypedDict):
    """A record of the same strategy that was decided in another way, and so is not added."""

    decision_version: str
    runs: int
    judged: int


class Score(TypedDict):
    """Everything that is told of one record. `judged + pending + void` is the number of its BUY and SELL signals.

    `hold_pct` is the mean return of having held at the same moments, without costs, and the difference is the mean net
    return less that. `signals_needed` (whose horizons do not overlap) and `days_needed` at this pace are what it takes
    until an edge of five points above the base rate would show; runs by hand have no pace. `window_shows` says what the
    signals of a replay that do not overlap can show at all. Runs that are `left_out` count for no other figure.
    """

    strategy_name: str
    summary: list[str]
    sentence: str
    kind: Kind
    decision_version: str
    exchange: str
    symbol: str
    timeframe: str
    horizon_s: int
    cost_bps: float
    runs: int
    missed: int
    left_out: RunsLeftOut | None
    signals: SignalCounts
    coverage_pct: float | None
    judged: int
    pending: int
    void: int
    right: int
    hit_rate: float | None
    hit_rate_ci95: Bounds | None
    base_rate: float | None
    base_rates: DirectionRates
    mean_net_pct: float | None
    mean_net_ci95: Bounds | None
    hold_pct: float | None
    hold_difference_pct: float | None
    hold_difference_ci95: Bounds | None
    brier: float | None
    brier_skill: float | None
    e_value: float | None
    evidence: Evidence
    signals_needed: int | None
    days_needed: float | None
    window_shows: str | None
    holds: JudgedHolds
    stop: StopState | None
    twin: TwinScore | None
    beside: TwinScore | None
    agents: dict[str, AgentScore] | None
    calibration: CalibrationScore | None
    cost_usd: float | None
    cost_unknown: int
    usd_per_right_signal: float | None
    usd_per_net_pct: float | None
    earlier: list[EarlierRecord]
