"""The evaluation of a strategy's rules: one way for the tool that only looks and for the one that records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from mcp_server.answers import HistoryAnswer, about
from mcp_server.domain.strategy.checks.rules import wake_rules
from mcp_server.domain.timeframes import iso, last_closed_open_ms
from mcp_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from mcp_server.domain.candles import Candles
    from mcp_server.domain.indicators.from_news import GivenNews
    from mcp_server.domain.rules.compiled import CompiledRules
    from mcp_server.domain.rules.verdict import Verdict
    from mcp_server.domain.strategy.format import Rules
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.market.history import History
    from mcp_server.toolkit import Call

_ROOM_FOR_GAPS = 100
"""So many more candles' time is looked through where candles are missing."""


class SeenCondition(BaseModel):
    """value: whether it held; null: undefined."""

    rule: Literal["buy", "sell", "wake"]
    text: str
    value: bool | None
    values: Annotated[dict[str, float | None], WithJsonSchema({"type": "object"})]


class Evaluation(HistoryAnswer):
    """A null signal is not a HOLD: the rules cannot decide, and reasoning says why."""

    strategy_name: str
    version: str
    signal: Literal["BUY", "SELL", "HOLD"] | None
    wakes: bool | None = Field(default=None, description="For rule='wake'; null: undefined")
    confidence: float | None = Field(description="0 to 100")
    reasoning: str
    conditions: list[SeenCondition]
    price: float | None = Field(description="Close of the deciding candle")
    open_time: str | None
    """Of that candle."""
    candles_used: int


@dataclass(frozen=True, slots=True)
class ReadyRules:
    """The rules of a strategy, compiled: what is to be evaluated, and over which candles."""

    strategy: Strategy
    compiled: CompiledRules
    confidence: Decimal | float | None
    rule: Literal["signal", "wake"]

    @property
    def history(self) -> int:
        """How many candles it needs."""
        return self.compiled.history

    async def candles(self, call: Call, moment: datetime, count: int, others: Sequence[GivenNews] = ()) -> History:
        """Ask its market for the last candles that were closed at a moment, with the news that its rules look at.

        `others` are news that the rules of other strategies look at.
        """
        config, timeframe = self.strategy.config, self.strategy.timeframe
        exchange, kit = call.exchange(config.exchange), call.kit
        history = await kit.market.candles(exchange, config.trading_pair, timeframe, count, moment)
        if not (wanted := {*self.compiled.news, *others}):
            return history
        from mcp_server.news.for_rules import with_news

        given = await call.bounded(with_news, kit.news, history.candles, timeframe, history.symbol, [*wanted])
        return replace(history, candles=given)

    def lacks(self, history: History) -> str | None:
        """Return why the candle to decide on is not there; None: it is."""
        awaited, candles = last_closed_open_ms(history.as_of_ms, self.strategy.timeframe), history.candles
        if len(candles) and int(candles.open_time_ms[-1]) == awaited:
            return None
        timeframe = self.strategy.timeframe
        return f"{history.exchange} has no {timeframe} candle of {iso(awaited)}, the last one closed by then."

    def decided(self, history: History, candles: Candles) -> Evaluation:
        """Decide on the last of these candles, which a history has or would have without its gaps."""
        strategy = self.strategy
        facts = {**about(history), "strategy_name": strategy.name, "version": strategy.version}
        facts |= {"candles_used": len(candles), "signal": None, "confidence": None}
        if (why := self.lacks(history)) is not None:
            return Evaluation(**facts, reasoning=f"Cannot decide: {why}", conditions=[], price=None, open_time=None)
        verdict = self.compiled.decide(candles)
        facts |= {"price": verdict.close, "open_time": iso(verdict.open_time_ms), "reasoning": verdict.reasoning}
        wakes = self.rule == "wake"
        facts["conditions"] = [
            SeenCondition(rule="wake" if wakes else c.rule, text=c.text, value=c.value, values=dict(c.values))
            for c in verdict.conditions
        ]
        if wakes:  # it was evaluated as if it were a buy
            return Evaluation(**{**facts, "wakes": verdict.buy, "reasoning": _wake_reasoning(verdict)})
        facts["signal"] = verdict.signal
        if self.confidence is not None and verdict.signal is not None:
            facts["confidence"] = float(self.confidence)
        return Evaluation(**facts)


def ready_rules(strategy: Strategy, rule: Literal["signal", "wake"] = "signal") -> ReadyRules:
    """Compile a strategy's rules, or its `wake` alone.

    Raises:
        BadInput: it has no such rules.
    """
    from mcp_server.domain.rules.compiled import compile_rules

    rules = _rules(strategy, rule)
    return ReadyRules(strategy, compile_rules(rules, strategy.timeframe), rules.confidence, rule)


async def evaluate(
    call: Call, strategy: Strategy, moment: datetime, rule: Literal["signal", "wake"] = "signal"
) -> Evaluation:
    """Evaluate a strategy's rules, or its `wake` alone, on the last candle that was closed at a moment.

    Raises:
        BadInput: it has no such rules, or they take too long.
        TraderError: what the exchange answers.
    """
    ready = await call.bounded(ready_rules, strategy, rule)
    history = await ready.candles(call, moment, ready.history)
    return await call.bounded(ready.decided, history, await whole(call, ready, history, moment))


async def whole(call: Call, ready: ReadyRules, history: History, moment: datetime) -> Candles:
    """Return as many candles as the rules need; earlier ones take the place of those that are missing.

    Rules count candles: a backtest, which has all earlier candles, decides the same.
    """
    count = ready.history
    if len(history.candles) >= count or ready.lacks(history):
        return history.candles
    more = await ready.candles(call, moment, count + _ROOM_FOR_GAPS)
    return more.candles.slice(-count)


def _rules(strategy: Strategy, rule: Literal["signal", "wake"]) -> Rules:
    config, name = strategy.config, strategy.name
    if rule == "wake":
        if config.wake is None:
            raise BadInput(f"Strategy {name!r} has no 'wake' in its config.", "Leave rule out, or add 'wake'.")
        return wake_rules(config.rules, config.wake)
    if config.rules is None:
        raise BadInput(f"Strategy {name!r} has no rules.", "Add 'rules' to its config with write_strategy.")
    return config.rules


def _wake_reasoning(verdict: Verdict) -> str:
    state = {True: "wake holds", False: "wake does not hold", None: "wake is undefined"}[verdict.buy]
    if verdict.unsound:
        return f"{state}. {verdict.reasoning}"
    pairs = [pair for condition in verdict.conditions for pair in condition.values.items()]
    values = ", ".join(f"{name} is {'undefined' if value is None else f'{value:.12g}'}" for name, value in pairs)
    return ". ".join([f"{state}: {values}" if values else state, *verdict.lacking])
