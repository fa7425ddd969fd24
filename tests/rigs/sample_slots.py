"""What the strategies of a sample home did at each of their slots, as their rules and their sub-agents say."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import talib

from mcp_server.adapters.simulated import path
from mcp_server.domain.backtest.run import compiled_rules
from mcp_server.domain.candles import Candles
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, SlotRow, Status, Trigger
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, timeframe_ms, to_ms
from tests.rigs.sample_claude import MOMENTUM, PRICE, SampleAnswer, by_claude, without_answer
from tests.rigs.sample_runs import EXCHANGE, SampleRun, not_run

if TYPE_CHECKING:
    from mcp_server.domain.rules.compiled import CompiledRules

HOUR = timedelta(hours=1)
SLOTS, CLAUDE_SLOTS, DAYS = 200, 60, 9
"""So many slots of the strategies by rules, by Claude, and of the paused one."""

SLEPT = "Nothing ran from {0:%Y-%m-%d %H:%M:%S} to {1:%Y-%m-%d %H:%M:%S} UTC: the machine slept, stood still, or its "
SLEPT += "clock was set."


def candles_of(strategy: Strategy, now: datetime, count: int) -> Candles:
    """Return the latest closed candles of a strategy's market."""
    length, now_ms = timeframe_ms(strategy.timeframe), to_ms(now)
    market = path.market_of(strategy.config.trading_pair, 0)
    made = path.candles(market, strategy.timeframe, now_ms - (count + 1) * length, now_ms, now_ms)
    return made.closed_by(now_ms, strategy.timeframe)


def _slots(now: datetime, hours: int, count: int) -> list[datetime]:
    """Return the latest slots, oldest first."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last = day + (now - day) // (hours * HOUR) * hours * HOUR
    return [last - hours * HOUR * back for back in reversed(range(count))]


def slots_by_rules(versions: list[Strategy], now: datetime) -> Iterator[SampleRun]:
    """Yield a long record: what the rules really say, and the slots that did not run."""
    compiled = [compiled_rules(version) for version in versions]
    candles = candles_of(versions[0], now, SLOTS + compiled[0].history + 2)
    slots = _slots(now, 4, SLOTS)
    for number, slot in enumerate(slots):
        at = min(number * 3 // SLOTS, 2)
        version = versions[at]
        if 40 <= number < 46:
            if number == 40:
                why = SLEPT.format(slot - HOUR, slots[46] - 2 * HOUR)
                yield not_run(version, Status.MISSED, slot, why, 6)
        elif number == 80:
            yield not_run(version, Status.SKIPPED_OVERLAP, slot, "The run before was still going on.")
        elif number == 81:
            why = "Its turn came 320 s late: too many runs were due at once."
            yield not_run(version, Status.SKIPPED_STALE, slot, why)
        elif number in (120, 121):
            error = "The exchange 'simulated' did not answer in time. Try again in a moment."
            outcome = Outcome(Status.ERROR, error=error, blame="outside", **NOTHING_SPENT)
            yield SampleRun(version, SlotRow(Status.RUNNING, slot, slot), outcome)
        elif number == 160:
            error = "Cannot decide: simulated has no 4h candle that closed by then."
            yield SampleRun(
                version, SlotRow(Status.RUNNING, slot, slot), Outcome(Status.ABSTAINED, error=error, **NOTHING_SPENT)
            )
        else:
            window = candles.closed_by(to_ms(slot), "4h").slice(-compiled[at].history)
            yield SampleRun(version, SlotRow(Status.RUNNING, slot, slot), _decided(version, compiled[at], window))
    others: Sequence[tuple[int, Trigger]] = ((30, "manual"), (50, "replay"), (51, "replay"))
    for back, trigger in others:
        slot, began = slots[-back], slots[-back] + 90 * timedelta(minutes=1)
        window = candles.closed_by(to_ms(slot), "4h").slice(-compiled[2].history)
        outcome = _decided(versions[2], compiled[2], window)
        row = SlotRow(Status.RUNNING, slot, slot)
        yield SampleRun(versions[2], row, outcome, trigger=trigger, began_at=began)


def _decided(strategy: Strategy, compiled: "CompiledRules", window: Candles) -> Outcome:
    """Return what rules say of candles, as `runner.rules` records it."""
    verdict = compiled.evaluate(window)
    conditions = [
        {"rule": one.rule, "text": one.text, "value": one.value, "values": dict(one.values)}
        for one in verdict.conditions
    ]
    evidence = {
        "conditions": conditions, "open_time": iso(verdict.open_time_ms), "candles_used": len(window),
        "exchange": EXCHANGE, "symbol": strategy.config.trading_pair, "timeframe": strategy.timeframe,
        "simulated": True,
    }  # fmt: skip
    if verdict.signal is None:
        return Outcome(Status.ABSTAINED, error=verdict.reasoning, trace=evidence, **NOTHING_SPENT)
    confidence = strategy.config.rules.confidence if strategy.config.rules else None
    data = {"sub_agent_results": {}, "evidence": evidence}
    signal = Signal(verdict.signal, confidence, verdict.reasoning, verdict.close, data)
    return Outcome(Status.SUCCESS, signal, trace=evidence, **NOTHING_SPENT)


def slots_by_claude(versions: list[Strategy], now: datetime) -> Iterator[SampleRun]:
    """Yield runs by Claude that ended in every way, the last of them under way."""
    candles = candles_of(versions[0], now, CLAUDE_SLOTS + 50)
    rsi = dict(zip(candles.open_time_ms.tolist(), talib.RSI(candles.close, 14).tolist(), strict=True))
    close = dict(zip(candles.open_time_ms.tolist(), candles.close.tolist(), strict=True))
    for number, slot in enumerate(_slots(now, 1, CLAUDE_SLOTS)):
        strategy, seen = versions[number >= 20], to_ms(slot) - 3_600_000
        if (skipped := _skipped(strategy, number, slot)) is not None:
            yield skipped
        elif number not in (8, 9):  # they are in the row for three slots that were missed
            outcome = None if number == CLAUDE_SLOTS - 1 else _answered(strategy, number, slot, close[seen], rsi[seen])
            took = timedelta(seconds=300 if number == 30 else 20 + number % 9)
            yield SampleRun(strategy, SlotRow(Status.RUNNING, slot, slot), outcome, took)


def _skipped(strategy: Strategy, number: int, slot: datetime) -> SampleRun | None:
    """Return a slot at which Claude was not asked."""
    why = {
        7: (Status.MISSED, SLEPT.format(slot - HOUR, slot + 3 * HOUR)),
        15: (Status.SKIPPED_OVERLAP, "The run before was still going on."),
        16: (Status.SKIPPED_STALE, "Its turn came 320 s late: too many runs were due at once."),
        44: (Status.SKIPPED_BUDGET, "1.86 of 2.00 USD of this strategy's budget.usd_per_day are spent."),
        **dict.fromkeys((22, 23, 24, 37, 52), (Status.SKIPPED_GATE, "wake does not hold: rsi_14 is 50.4")),
    }
    return not_run(strategy, *_then(why[number], slot), 3 if number == 7 else 1) if number in why else None


def _then(why: tuple[Status, str], slot: datetime) -> tuple[Status, datetime, str]:
    return why[0], slot, why[1]


def _answered(strategy: Strategy, number: int, slot: datetime, close: float, rsi: float) -> Outcome:
    """Return what Claude answers at one slot."""
    if number == 30:
        return without_answer(strategy, slot)
    if number == 35:
        error = "Claude's API answered 529: it is overloaded: the same run may work later."
        return Outcome(Status.ERROR, error=error, model="claude-sonnet-5", blame="outside")
    if number in (12, 48):
        return by_claude(strategy, slot, close, rsi, SampleAnswer(decided=False, reasoning="The reports contradict."))
    signal = "BUY" if rsi < 45 else "SELL" if rsi > 55 else "HOLD"
    twin = "BUY" if rsi < 40 else "SELL" if rsi > 60 else "HOLD"
    reasoning = f"RSI is {rsi:.1f}, and the price of {close:.2f} is in the middle of its last day: {signal}."
    cost = None if number % 11 == 3 else 0.03 + 0.0013 * (number % 17)
    leans = {PRICE: ("BUY", "HOLD", "SELL")[number % 3], MOMENTUM: signal}
    return by_claude(
        strategy, slot, close, rsi, SampleAnswer(signal, 45 + number % 20, reasoning, leans, cost=cost, twin=twin)
    )


def slots_of_paused(strategy: Strategy, now: datetime) -> Iterator[SampleRun]:
    """Yield the few runs of a strategy that was paused ten days ago."""
    candles = candles_of(strategy, now - 10 * 24 * HOUR, (DAYS + 3) * 24)
    compiled = compiled_rules(strategy)
    for slot in _slots(now - 10 * 24 * HOUR, 24, DAYS):
        window = candles.closed_by(to_ms(slot), strategy.timeframe).slice(-compiled.history)
        yield SampleRun(strategy, SlotRow(Status.RUNNING, slot, slot), _decided(strategy, compiled, window))
