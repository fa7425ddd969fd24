"""The run of one slot: wait for the candle that just closed, look whether `wake` holds, then let the engine decide."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, last_closed_open_ms, parse_moment, to_ms
from mcp_server.errors import TraderError
from mcp_server.storage.journal.rows import Claimed, Run
from runner.clock import Clock
from runner.execute import PREPARE_S, Runner, failed_early
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.outage import Outage
from runner.tool_server.client import Tools

T = TypeVar("T")

PAUSES_S = (2, 3, 5, 10, 10)
"""How long it waits, in seconds, after each time that a candle is asked for and not there yet."""


@dataclass(frozen=True, slots=True)
class SlotRun:
    """Runs slots. `concurrency` says when an agent may start; `outage` knows whether Claude is worth asking."""

    runner: Runner
    clock: Clock
    concurrency: Concurrency
    outage: Outage

    async def __call__(self, claimed: Claimed) -> Outcome:
        """Run a claimed slot to its end; every failure is an outcome."""
        if claimed.run.engine == "rules":
            return await self._when_closed(lambda: self.runner.decide(claimed), _lacks_candle)
        return await self._by_claude(claimed)

    async def _by_claude(self, claimed: Claimed) -> Outcome:
        if (kept_out := await self._gate(claimed.run)) is not None:
            return kept_out
        if (why := self.outage.refusal(self.clock.now())) is not None:
            return Outcome(Status.ERROR, error=why, blame="outside", **NOTHING_SPENT)
        async with self.concurrency.agent():
            refused = self.concurrency.refusal(claimed, self.clock.now())
            outcome = refused or await self.runner.decide(claimed)
        if outcome.trace is not None:  # else it did not come so far: the tool server or the journal failed, not Claude
            self.outage.note(outcome, self.clock.now())
        return outcome

    async def _gate(self, run: Run) -> Outcome | None:
        """Look whether the candle is there and `wake` holds; return None, or the outcome that ends the run already."""
        try:
            with anyio.fail_after(PREPARE_S + sum(PAUSES_S)):
                async with self.runner.tools() as tools:
                    if run.strategy.config.wake is not None:
                        return await self._woken(tools, run)
                    return await self._closed(tools, run)
        except TimeoutError:
            why = "The tool server or the exchange did not answer in time; Claude was not asked."
            return Outcome(Status.TIMEOUT, error=why, blame="outside", **NOTHING_SPENT)
        except TraderError as error:
            return failed_early(error, f"Claude was not asked: {error}")

    async def _woken(self, tools: Tools, run: Run) -> Outcome | None:
        strategy = run.strategy
        arguments = {"strategy_name": strategy.name, "as_of": iso(to_ms(run.as_of)), "version": strategy.version}
        answer = await self._when_closed(
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

    async def _closed(self, tools: Tools, run: Run) -> Outcome | None:
        """Look whether the exchange has published the candle that closed last; else there is nothing to decide."""
        strategy = run.strategy
        if strategy.config.interval is None and strategy.config.rules is None:
            return None  # nothing says which candle it looks at
        expected_ms = last_closed_open_ms(to_ms(run.as_of), strategy.timeframe)
        arguments = {
            "symbol": strategy.config.trading_pair,
            "exchange": strategy.config.exchange or self.runner.settings.exchange,
            "timeframe": strategy.timeframe,
            "limit": 1,
            "as_of": iso(to_ms(run.as_of)),
        }
        candles = await self._when_closed(
            lambda: tools.call("get_ohlcv", arguments), lambda candles: _last_ms(candles) != expected_ms
        )
        if _last_ms(candles) == expected_ms:
            return None
        return Outcome(Status.ABSTAINED, error=_unpublished(strategy, expected_ms), **NOTHING_SPENT)

    async def _when_closed(self, ask: Callable[[], Awaitable[T]], lacks: Callable[[T], bool]) -> T:
        """Ask until the candle is there, for as long as `PAUSES_S` allows; return the last answer."""
        answer = await ask()
        for pause_s in PAUSES_S:
            if not lacks(answer):
                break
            await self.clock.sleep(pause_s)
            answer = await ask()
        return answer


def _lacks_candle(outcome: Outcome) -> bool:
    """True where the rules abstained because the candle to decide on was not there."""
    trace = outcome.trace
    return outcome.status is Status.ABSTAINED and trace is not None and trace.get("open_time", "") is None


def _last_ms(candles: Mapping[str, Any]) -> int | None:
    return to_ms(parse_moment(candles["rows"][-1][0])) if candles["rows"] else None


def _unpublished(strategy: Strategy, expected_ms: int) -> str:
    return (
        f"The exchange has not published the {strategy.timeframe} candle of {iso(expected_ms)} within "
        f"{sum(PAUSES_S)} s: either nothing was traded, or it is late. 'offset_s' lets slots begin later."
    )
