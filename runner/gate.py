"""Whether a moment is worth asking Claude about: the candle that closed last is there, and `wake` holds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, last_closed_open_ms, parse_moment, to_ms
from runner.clock import Clock
from runner.tool_server.client import Tools

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CandlePatience:
    """How long to wait, in seconds, after each time that a candle is asked for and not there yet."""

    clock: Clock
    pauses_s: Sequence[int] = ()

    async def when_closed(self, ask: Callable[[], Awaitable[T]], lacks: Callable[[T], bool]) -> T:
        """Ask until the candle is there, for as long as the pauses allow; return the last answer."""
        answer = await ask()
        for pause_s in self.pauses_s:
            if not lacks(answer):
                break
            await self.clock.sleep(pause_s)
            answer = await ask()
        return answer


async def kept_out(
    tools: Tools, strategy: Strategy, default_exchange: str, as_of: datetime, patience: CandlePatience
) -> Outcome | None:
    """Look whether Claude is to be asked at a moment; return None, or the outcome that ends the run already.

    Raises:
        TraderError: what the tool server answered instead.
    """
    if strategy.config.wake is not None:
        return await _woken(tools, strategy, as_of, patience)
    return await _closed(tools, strategy, default_exchange, as_of, patience)


async def _woken(tools: Tools, strategy: Strategy, as_of: datetime, patience: CandlePatience) -> Outcome | None:
    arguments = {"strategy_name": strategy.name, "as_of": iso(to_ms(as_of)), "version": strategy.version}
    answer = await patience.when_closed(
        lambda: tools.call("evaluate_strategy", {**arguments, "rule": "wake"}),
        lambda answer: answer["open_time"] is None,
    )
    if answer.get("wakes"):
        return None
    kept: dict[str, Any] = {key: answer[key] for key in ("conditions", "open_time", "reasoning") if key in answer}
    if answer.get("wakes") is None:
        why = f"The wake condition could not be decided, so Claude was not asked. {answer['reasoning']}"
        return Outcome(Status.ABSTAINED, error=why, trace=kept, **NOTHING_SPENT)
    why = f"Not worth asking: {answer['reasoning']}"
    return Outcome(Status.SKIPPED_GATE, error=why, trace=kept, **NOTHING_SPENT)


async def _closed(
    tools: Tools, strategy: Strategy, default_exchange: str, as_of: datetime, patience: CandlePatience
) -> Outcome | None:
    """Look whether the exchange has published the candle that closed last; else there is nothing to decide."""
    if strategy.config.interval is None and strategy.config.rules is None:
        return None  # nothing says which candle it looks at
    expected_ms = last_closed_open_ms(to_ms(as_of), strategy.timeframe)
    arguments = {
        "symbol": strategy.config.trading_pair,
        "exchange": strategy.config.exchange or default_exchange,
        "timeframe": strategy.timeframe,
        "limit": 1,
        "as_of": iso(to_ms(as_of)),
    }
    candles = await patience.when_closed(
        lambda: tools.call("get_ohlcv", arguments), lambda candles: _last_ms(candles) != expected_ms
    )
    if _last_ms(candles) == expected_ms:
        return None
    why = _unpublished(strategy.timeframe, expected_ms, sum(patience.pauses_s))
    return Outcome(Status.ABSTAINED, error=why, **NOTHING_SPENT)


def _last_ms(candles: Mapping[str, Any]) -> int | None:
    return to_ms(parse_moment(candles["rows"][-1][0])) if candles["rows"] else None


def _unpublished(timeframe: str, expected_ms: int, waited_s: int) -> str:
    problem = f"The exchange has not published the {timeframe} candle of {iso(expected_ms)}"
    if not waited_s:
        return f"{problem}: nothing was traded, or its history has a gap there."
    remedy = "'offset_s' lets slots begin later."
    return f"{problem} within {waited_s} s: either nothing was traded, or it is late. {remedy}"
