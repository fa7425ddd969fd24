"""The terms by which a signal is judged. They are frozen when its run is claimed, so that no later edit moves them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.strategy.limits import HORIZON_PATTERN
from mcp_server.domain.timeframes import TIMEFRAMES, timeframe_ms

if TYPE_CHECKING:
    from mcp_server.domain.outcome import RunEngine
    from mcp_server.domain.strategy.format import Config
    from mcp_server.domain.strategy.strategy import Strategy

DEFINITION = "1"
"""How outcomes are defined: another number for another definition, so that no two are ever mixed."""

_UNIT_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY_S = _UNIT_S["d"]
_INTERVALS = 5
"""The default horizon of a strategy that runs daily, in intervals."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a run's signal is judged.

    `cost_bps` is of the round trip: fee and slippage of both sides. `decision_version` is of what decided, with the
    engine that really ran.
    """

    exchange: str
    symbol: str
    timeframe: str
    horizon_s: int
    cost_bps: float
    definition: str
    decision_version: str


def terms_of(strategy: Strategy, engine: RunEngine, default_exchange: str) -> Terms:
    """Return the terms of a run of a strategy.

    Args:
        strategy: as it runs.
        engine: the engine that runs it, which may be another than its own.
        default_exchange: the one that a strategy without `exchange` asks, as in the settings.
    """
    config = strategy.config
    return Terms(
        exchange=config.exchange or default_exchange,
        symbol=config.trading_pair,
        timeframe=config.timeframe,
        horizon_s=horizon_s(config),
        cost_bps=2 * (config.costs.fee_bps + config.costs.slippage_bps),
        definition=DEFINITION,
        decision_version=strategy.decision_version(default_exchange, engine),
    )


def horizon_s(config: Config) -> int:
    """Return how long after a signal it is judged, in seconds: at least one candle.

    The default is one day for intervals below 1d and for cron, else five intervals.
    """
    if config.horizon is not None and not too_short(config.horizon, config.timeframe):  # an earlier version kept those
        return _seconds(config.horizon)
    interval_s = _seconds(config.interval) if config.interval else 0
    return max(_DAY_S if interval_s < _DAY_S else _INTERVALS * interval_s, _candle_s(config.timeframe))


def too_short(horizon: object, timeframe: object) -> bool:
    """Return whether a horizon is shorter than one candle, so that no candle could judge a signal.

    What is no horizon or no timeframe, as a file may have it, is not.
    """
    if not (isinstance(horizon, str) and re.fullmatch(HORIZON_PATTERN, horizon.strip())):
        return False
    return isinstance(timeframe, str) and timeframe in TIMEFRAMES and _seconds(horizon.strip()) < _candle_s(timeframe)


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNIT_S[duration[-1]]


def _candle_s(timeframe: str) -> int:
    return timeframe_ms(timeframe) // 1000
