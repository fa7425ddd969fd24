"""The run of one slot, by stand-ins: it waits for a candle that comes late, and what keeps it from deciding is said.

The small form of `test_every_outcome`, for the ends that no other quick test comes to.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import anyio
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.rows import Claimed, Run
from runner.execute import Runner
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.outage import Outage
from runner.scheduler.slot_run import PAUSES_S, SlotRun
from runner.tool_server.client import Tools
from tests.runner.claude_runs import strategy
from tests.runner.test_execute import no_server
from tests.scheduler.slot_homes import at

NOON = at("12:00")
RULES = parse_strategy("mine", {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
CANDLE = {"rows": [["2026-01-05T11:00Z", 1, 1, 1, 1, 1]]}
NONE_YET: dict[str, Any] = {"rows": []}
LACKS = Outcome(Status.ABSTAINED, error="kraken has no 1h candle", trace={"open_time": None}, **NOTHING_SPENT)
DECIDED = Outcome(Status.ABSTAINED, error="It was decided.", trace={"open_time": "2026-01-05T11:00Z"}, **NOTHING_SPENT)


class NotedClock:
    """A clock that stands still, on which nobody waits, and which notes how long somebody would have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return NOON + timedelta(seconds=90)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Answering:
    """Stands in for the runner and its tool server: each question has the next answer, the last one again and again."""

    def __init__(self, answers: Sequence[Any], decided: Sequence[Outcome] = (DECIDED,)) -> None:
        self.answers, self.decided = [*answers], [*decided]

    async def call(self, *_: object) -> dict[str, Any]:
        return cast(dict[str, Any], self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    async def decide(self, *_: object) -> Outcome:
        return self.decided.pop(0) if len(self.decided) > 1 else self.decided[0]

    @asynccontextmanager
    async def tools(self) -> AsyncIterator["Answering"]:
        yield self


def claimed(what: Strategy, start_deadline: datetime | None = None) -> Claimed:
    run = Run(what, "schedule", NOON, what.engine, NOON)
    return Claimed(1, run, "k", None, start_deadline=start_deadline)


async def slot(
    what: Strategy, runner: Answering, start_deadline: datetime | None = None
) -> tuple[Outcome, list[float]]:
    clock = NotedClock()
    slot_run = SlotRun(cast(Runner, runner), clock, Concurrency("kraken", 1), Outage())
    return await slot_run(claimed(what, start_deadline)), clock.slept


async def test_rules_wait_for_a_candle_that_the_exchange_publishes_late() -> None:
    assert await slot(RULES, Answering([], [LACKS, LACKS, DECIDED])) == (DECIDED, [2, 3])


async def test_rules_abstain_where_the_candle_never_comes() -> None:
    assert await slot(RULES, Answering([], [LACKS])) == (LACKS, [*PAUSES_S])


async def test_claude_is_asked_once_the_candle_is_there() -> None:
    assert await slot(strategy(), Answering([NONE_YET, NONE_YET, CANDLE])) == (DECIDED, [2, 3])


async def test_claude_is_not_asked_where_the_candle_never_comes() -> None:
    outcome, slept = await slot(strategy(), Answering([NONE_YET]))
    assert (outcome.status, outcome.cost_usd, slept) == (Status.ABSTAINED, Decimal(0), [*PAUSES_S])
    assert "has not published the 1h candle of 2026-01-05T11:00Z within 30 s" in (outcome.error or "")


@pytest.mark.parametrize(
    ("wakes", "status", "why"),
    [(False, Status.SKIPPED_GATE, "Not worth asking: why"), (None, Status.ABSTAINED, "could not be decided")],
)
async def test_a_gate_that_is_closed_or_undecided_keeps_claude_from_being_asked(
    wakes: bool | None, status: Status, why: str
) -> None:
    awake = strategy(rules={"buy": "close > 1"}, wake="close < 0")
    answer = {"wakes": wakes, "open_time": "2026-01-05T11:00Z", "reasoning": "why", "conditions": [{"value": wakes}]}
    outcome, _ = await slot(awake, Answering([answer]))
    assert (outcome.status, outcome.cost_usd, why in (outcome.error or "")) == (status, Decimal(0), True)
    assert outcome.trace is not None
    assert outcome.trace["conditions"] == [{"value": wakes}]


async def test_an_agent_whose_turn_comes_too_late_is_stale_and_says_how_late() -> None:
    outcome, _ = await slot(strategy(), Answering([CANDLE]), NOON + timedelta(seconds=60))
    assert (outcome.status, outcome.cost_usd) == (Status.SKIPPED_STALE, Decimal(0))
    assert "Its turn came 85 s late: too many runs were due at once." in (outcome.error or "")


async def test_after_a_failure_of_claudes_api_the_next_run_does_not_ask_it() -> None:
    failed = Outcome(Status.ERROR, error="529: overloaded", trace={"sub_agents": []}, blame="outside")
    runner, outage = Answering([CANDLE], [failed, DECIDED]), Outage()
    slot_run = SlotRun(cast(Runner, runner), NotedClock(), Concurrency("kraken", 1), outage)
    assert await slot_run(claimed(strategy())) == failed
    refused = await slot_run(claimed(strategy()))
    assert (refused.status, refused.blame, refused.cost_usd) == (Status.ERROR, "outside", Decimal(0))
    assert "Claude was not asked: it failed once, and is left alone until" in (refused.error or "")
    assert (await slot_run(claimed(RULES))).status is Status.ABSTAINED, "rules need no Claude"


async def test_rules_that_take_too_long_are_a_timeout_and_cost_nothing() -> None:
    class Hanging:
        of_this_program = False

        async def call(self, *_: object) -> dict[str, Any]:
            await anyio.sleep_forever()
            raise AssertionError

    @asynccontextmanager
    async def hanging() -> AsyncIterator[Tools]:
        yield cast(Tools, Hanging())

    at_once = RULES.model_copy(update={"config": RULES.config.model_copy(update={"timeout_s": 0})})
    runner = Runner(cast(Any, None), cast(Any, None), cast(Any, None), no_server, connect=hanging)
    outcome = await runner.decide(claimed(at_once))
    assert (outcome.status, outcome.cost_usd) == (Status.TIMEOUT, Decimal(0))
    assert "The rules took longer than 0 s" in (outcome.error or "")
