"""The evaluation of a strategy's rules: one way for the tool that only looks and for the one that records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from mcp_server.answers import HistoryAnswer, about
from mcp_server.domain.strategy.checks.rules import wake_rules
from mcp_server.domain.timeframes import iso, last_closed_open_ms
from mcp_server.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.candles import Candles
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


async def evaluate(
    call: Call, strategy: Strategy, moment: datetime, rule: Literal["signal", "wake"] = "signal"
) -> Evaluation:
    """Evaluate a strategy's rules, or its `wake` alone, on the last candle that was closed at a moment.

    Raises:
        BadInput: it has no such rules, or they take too long.
        TraderError: what the exchange answers.
    """
    from mcp_server.domain.rules.compiled import compile_rules

    rules = _rules(strategy, rule)
    compiled = await call.bounded(compile_rules, rules, strategy.timeframe)
    exchange, pair = call.exchange(strategy.config.exchange), strategy.config.trading_pair
    history = await call.kit.market.candles(exchange, pair, strategy.timeframe, compiled.history, moment)
    candles = history.candles
    facts = {**about(history), "strategy_name": strategy.name, "version": strategy.version}
    facts |= {"candles_used": len(candles), "signal": None, "confidence": None}
    awaited = last_closed_open_ms(history.as_of_ms, strategy.timeframe)
    if not len(candles) or int(candles.open_time_ms[-1]) != awaited:
        why = f"{history.exchange} has no {strategy.timeframe} candle of {iso(awaited)}, the last one closed by then."
        return Evaluation(**facts, reasoning=f"Cannot decide: {why}", conditions=[], price=None, open_time=None)
    candles = await _with_earlier(call, history, compiled.history, moment)
    facts |= {"candles_used": len(candles)}

    def decide() -> Verdict:
        compiled.check_prefixes(candles, [len(candles) - 1])
        return compiled.evaluate(candles)

    verdict = await call.bounded(decide)
    facts |= {"price": verdict.close, "open_time": iso(verdict.open_time_ms), "reasoning": verdict.reasoning}
    facts["conditions"] = [
        SeenCondition(rule="wake" if rule == "wake" else c.rule, text=c.text, value=c.value, values=dict(c.values))
        for c in verdict.conditions
    ]
    if rule == "wake":  # it was evaluated as if it were a buy
        return Evaluation(**{**facts, "wakes": verdict.buy, "reasoning": _wake_reasoning(verdict)})
    facts["signal"] = verdict.signal
    if rules.confidence is not None and verdict.signal is not None:
        facts["confidence"] = float(rules.confidence)
    return Evaluation(**facts)


async def _with_earlier(call: Call, history: History, count: int, moment: datetime) -> Candles:
    """Return `count` candles; earlier ones take the place of those that are missing, as rules count candles.

    A backtest, which has all earlier candles, decides the same.
    """
    if len(history.candles) >= count:
        return history.candles
    wider = count + _ROOM_FOR_GAPS
    more = await call.kit.market.candles(history.exchange, history.symbol, history.timeframe, wider, moment)
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
    return f"{state}: {values}" if values else state
