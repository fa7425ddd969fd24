"""What failed is named: the journal's and the tool server's failures are no outage of Claude's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.storage.journal.rows import Claimed, Run
from runner.execute import Runner
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.outage import Outage
from runner.scheduler.slot_run import SlotRun
from tests.rigs.hand_clock import HandClock
from tests.runner.claude_runs import strategy
from tests.scheduler.slot_homes import at

HELD = Outcome(Status.ERROR, error="The database is in use.", blame="outside", **NOTHING_SPENT)
OVERLOADED = Outcome(Status.ERROR, error="Claude's API answered 529.", blame="outside", trace={}, **NOTHING_SPENT)


class Deciding:
    """Stands in for the runner: each decision is the same."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    async def decide(self, *_: object) -> Outcome:
        return self.outcome

    @asynccontextmanager
    async def tools(self) -> AsyncIterator[None]:
        yield


async def _outage_after(outcome: Outcome) -> Outage:
    what, outage = strategy(), Outage()
    config = what.config.model_copy(update={"interval": None, "rules": None, "cron": "* * * * *"})
    run = Run(what.model_copy(update={"config": config}), "schedule", at("12:00"), "claude", at("12:00"))
    runner, concurrency = cast(Runner, Deciding(outcome)), Concurrency("kraken", 1)
    slot_run = SlotRun(runner, HandClock(at("12:00")), concurrency, outage)
    assert await slot_run(Claimed(1, run, "k", None)) is outcome
    return outage


async def test_a_journal_that_is_held_is_no_outage_of_claude() -> None:
    assert (await _outage_after(HELD)).until is None


async def test_an_api_that_is_overloaded_is_one() -> None:
    assert (await _outage_after(OVERLOADED)).why == "Claude's API answered 529."
