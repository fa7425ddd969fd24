"""The keys of a strategy's two files: `config.json`, and each sub-agent of `agents.json`."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mcp_server.domain.error_hints import nested_model
from mcp_server.domain.run_status import Engine
from mcp_server.domain.strategy.limits import HORIZON_PATTERN, MOST_COST_BPS, NAME_PATTERN
from mcp_server.domain.timeframes import Timeframe

PROMPT_LIMIT = 20_000
MAX_TIMEOUT_S = 900
"""The longest that a run may take: live data, like an order book, is given for an as-of up to this long ago."""

Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
StatusName = Literal["active", "paused", "stopped"]

Bps = Annotated[float, Field(strict=True, ge=0, le=MOST_COST_BPS)]
"""Strict: a text and `true` are no numbers."""


def _five_field_cron(text: str) -> str:
    from croniter import CroniterError, croniter

    if len(text.split()) != 5 or re.search(r"(^|[\s,])[hr]\b", text, re.IGNORECASE):
        raise ValueError("use exactly five cron fields (minute hour day month weekday), without R or H")
    try:
        croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except (CroniterError, ValueError, KeyError):
        raise ValueError("this cron expression is not valid, or never comes due") from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        raise ValueError("use a name of the IANA time zone database, like 'America/New_York'") from None
    return text


class Strict(BaseModel):
    """A model that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True, defer_build=True
    )


class Rules(Strict):
    """Deterministic conditions: SQL expressions over candle and indicator columns of one timeframe."""

    timeframe: Timeframe | None = Field(default=None, description="Length of a candle; default: the interval")
    indicators: tuple[str, ...] = Field(
        default=(), max_length=50, description='Specs like "rsi(14)"; see find_indicators'
    )
    buy: str | None = Field(default=None, min_length=1, max_length=2000, description="Condition: true is BUY")
    sell: str | None = Field(default=None, min_length=1, max_length=2000, description="Condition: true is SELL")
    confidence: Decimal | None = Field(
        default=None, ge=0, le=100, description="Per cent: how likely its signals are right"
    )

    @model_validator(mode="after")
    def _decides_something(self) -> "Rules":
        if self.buy is None and self.sell is None:
            raise ValueError("give at least one of 'buy' and 'sell'")
        return self


class Budget(Strict):
    """The most a strategy may spend, in US dollars."""

    usd_per_run: Decimal | None = Field(default=None, gt=0, le=10_000, description="US dollars; default: 0.50")
    usd_per_day: Decimal | None = Field(default=None, gt=0, le=10_000, description="US dollars; default: no limit")


class Misfire(Strict):
    """What happens to slots that came due while no scheduler ran."""

    grace_s: int | None = Field(default=None, ge=0, description="Seconds that a slot may be late")
    policy: Literal["run_latest", "skip"] = Field(
        default="run_latest", description="Of the missed slots: run the latest, or none"
    )


class TradingCosts(Strict):
    """What a trade costs a side, in basis points: 10 are 0.1 %."""

    fee_bps: Bps = Field(default=10.0, description="Fee a side, in basis points; default: 10")
    slippage_bps: Bps = Field(
        default=5.0, description="How much worse than the price a fill is, a side, in basis points; default: 5"
    )


class StopRule(Strict):
    """When a strategy is to pause by itself: once its signals are shown to gain less than a least return."""

    no_skill: float = Field(
        default=0.05, strict=True, ge=1e-6, lt=1, description="Chance of pausing one that does gain it; default: 0.05"
    )
    minimum_edge_pct: float = Field(
        default=0.0, strict=True, ge=-100, le=100, description="Least mean net return a signal, in per cent; default: 0"
    )


class Config(Strict):
    """The content of `config.json`."""

    name: str | None = Field(default=None, pattern=NAME_PATTERN, description="The same as the folder's")
    description: str = Field(
        default="", max_length=PROMPT_LIMIT, description="What it is for, and what proves it wrong"
    )
    trading_pair: str = Field(min_length=1, max_length=60, description="The market, like BTC/USD")
    exchange: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,40}$", description="A ccxt id, or simulated; default: TRADER_EXCHANGE"
    )
    interval: Interval | None = Field(default=None, description="How often it runs, aligned to candle closes")
    cron: Annotated[str, AfterValidator(_five_field_cron)] | None = Field(
        default=None, description="Instead of interval: minute hour day month weekday"
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="Time zone of cron, by its IANA name"
    )
    status: StatusName = Field(default="active", description="Only an active one is scheduled")
    engine: Engine | None = Field(default=None, description="Default: claude with sub-agents, else rules")
    model: str | None = Field(
        default=None, min_length=1, max_length=100, description="An alias like sonnet, or an id like claude-…"
    )
    max_turns: int = Field(default=20, ge=2, le=200, description="Most turns of each agent in a run")
    timeout_s: int = Field(default=300, ge=1, le=MAX_TIMEOUT_S, description="Seconds that a run may take")
    synthesis_logic: str | None = Field(
        default=None, max_length=PROMPT_LIMIT, description="How the sub-agents' reports become one signal"
    )
    rules: Rules | None = Field(default=None, description="For engine rules, or as the twin of a claude strategy")
    budget: Budget = Field(default=Budget(), description="The most that it may spend")
    misfire: Misfire = Field(default=Misfire(), description="What happens to slots that were missed")
    offset_s: int = Field(default=5, ge=0, le=3600, description="Seconds after a candle's close")
    max_failures: int = Field(default=5, ge=1, le=1000, description="Failures in a row before it pauses")
    wake: str | None = Field(
        default=None, min_length=1, max_length=2000, description="Condition: Claude is asked only where it holds"
    )
    horizon: str | None = Field(default=None, pattern=HORIZON_PATTERN, description="When a signal is judged, like 24h")
    costs: TradingCosts = Field(
        default=TradingCosts(), description="What a trade costs a side, for backtests and for judging signals"
    )
    stop: StopRule | None = Field(default=None, description="Pause where its signals are shown to gain too little")
    record: bool = Field(
        default=False, strict=True, description="Keep what Claude is asked and replies, word for word, on a cassette"
    )

    @model_validator(mode="after")
    def _one_schedule(self) -> "Config":
        if (self.interval is None) == (self.cron is None):
            raise ValueError("give exactly one of 'interval' and 'cron'")
        if self.rules is not None and self.rules.timeframe is None and self.interval is None:
            raise ValueError("'rules' needs a 'timeframe' when the schedule is a 'cron'")
        return self

    @property
    def timeframe(self) -> Timeframe:
        """The timeframe of its rules: as configured, else its interval."""
        return (self.rules.timeframe if self.rules else None) or self.interval or "1h"


def nested_keys() -> dict[str, type[BaseModel]]:
    """Return the keys of `config.json` that hold an object, each with the model of that object, in their order."""
    return {name: model for name, field in Config.model_fields.items() if (model := nested_model(field)) is not None}


class Agent(Strict):
    """One sub-agent of `agents.json`. `tools` are plain tool names, whatever form the file used."""

    description: str = Field(min_length=1, max_length=1000, description="What it finds out")
    prompt: str = Field(min_length=1, max_length=PROMPT_LIMIT, description="What it does, and what it reports as JSON")
    tools: tuple[str, ...] = Field(default=(), max_length=50, description="Tools of this server that only look")
    model: str | None = Field(default=None, min_length=1, max_length=100, description="Default: the strategy's")
    markets: tuple[Annotated[str, Field(min_length=1, max_length=60)], ...] = Field(
        default=(), max_length=20, description="What it looks at, like ETH/USD; default: the strategy's market"
    )
