"""The tool evaluate_strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anyio.to_thread
from pydantic import BaseModel, Field

from mcp_server.domain.timeframes import iso, last_closed_open_ms
from mcp_server.errors import BadInput
from mcp_server.toolkit import AsOf, Call, HistoryAnswer, StrategyName, about, tool

if TYPE_CHECKING:
    from mcp_server.domain.rules.compiled import Verdict


class SeenCondition(BaseModel):
    """One condition of a rule: whether it held (null: undefined), and the values it saw."""

    rule: Literal["buy", "sell"]
    text: str
    value: bool | None
    values: dict[str, float | None]


class Evaluation(HistoryAnswer):
    """What the rules say. `signal` is null where they cannot decide: that is not a HOLD; reasoning says why."""

    strategy_name: str
    version: str
    signal: Literal["BUY", "SELL", "HOLD"] | None
    confidence: float | None = Field(description="0 to 100; null: the strategy states none")
    reasoning: str
    conditions: list[SeenCondition]
    price: float | None = Field(description="Close of the candle that decided")
    open_time: str | None = Field(description="Of that candle")
    candles_used: int


@tool(title="Evaluate a strategy's rules")
async def evaluate_strategy(call: Call, strategy_name: StrategyName, as_of: AsOf = None) -> Evaluation:
    """Evaluate a strategy's rules on the last closed candle, now or as of a past moment.

    Gives the signal, which condition decided, and the values it saw. Nothing is recorded.
    """
    from mcp_server.domain.rules.compiled import compile_rules

    strategy = await anyio.to_thread.run_sync(call.kit.strategies.read, strategy_name)
    rules = strategy.config.rules
    if rules is None:
        raise BadInput(f"Strategy {strategy_name!r} has no rules. Add 'rules' to its config with write_strategy.")
    compiled = await call.bounded(compile_rules, rules)
    exchange, pair = call.exchange(strategy.config.exchange), strategy.config.trading_pair
    moment = call.moment(as_of)
    history = await call.kit.market.candles(exchange, pair, strategy.timeframe, compiled.history, moment)
    candles = history.candles
    facts = {**about(history), "strategy_name": strategy.name, "version": strategy.version}
    awaited = last_closed_open_ms(history.as_of_ms, strategy.timeframe)
    if not len(candles) or int(candles.open_time_ms[-1]) != awaited:
        why = f"{history.exchange} has no {strategy.timeframe} candle of {iso(awaited)}, the last one closed by then."
        return Evaluation(
            **facts,
            signal=None,
            confidence=None,
            reasoning=f"Cannot decide: {why}",
            conditions=[],
            price=None,
            open_time=None,
            candles_used=len(candles),
        )

    def decide() -> Verdict:
        compiled.check_prefixes(candles, [len(candles) - 1])
        return compiled.evaluate(candles)

    verdict = await call.bounded(decide)
    return Evaluation(
        **facts,
        signal=verdict.signal,
        confidence=None if rules.confidence is None or verdict.signal is None else float(rules.confidence),
        reasoning=verdict.reasoning,
        conditions=[
            SeenCondition(rule=c.rule, text=c.text, value=c.value, values=dict(c.values)) for c in verdict.conditions
        ],
        price=verdict.close,
        open_time=iso(verdict.open_time_ms),
        candles_used=len(candles),
    )
