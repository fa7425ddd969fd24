"""Runners that share a journal share what is due: each claims what it can begin soon, and no slot runs twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import Outcome
from mcp_server.errors import Retryable
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slots import SlotStore
from runner.scheduler import concurrency as bounds
from runner.scheduler import schedules
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.due import PlannedClaims, Schedule, plan_claims
from runner.scheduler.scheduler import Scheduler
from runner.scheduler.share import Share
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import kept_in
from tests.runner.claude_runs import strategy as asking
from tests.scheduler.hand_driven import DECIDED, Engine, driven, make_scheduler
from tests.scheduler.slot_homes import Machine, at, hourly, write

__all__ = ["kept_in"]
NAMES = tuple("abcdefghijkl")
MOST = 4
LATE = "The runner was busy at the time."
IN_POSTGRES = pytest.mark.parametrize("kept_in", ["postgres"], indirect=True, ids=[""])


def planned(share: Share, names: Sequence[str] = NAMES, now: str = "12:00:10", **limits: Any) -> PlannedClaims:
    """Plan the slot of noon of hourly strategies."""
    due = [Schedule(hourly(name, **limits), at("11:00"), share.place(name)) for name in names]
    return plan_claims(due, at(now), LATE, share.taker(), None)


def names(result: PlannedClaims) -> list[str]:
    return [claim.strategy.name for claim in result.claims]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner has room for four."""
    monkeypatch.setattr(bounds, "RULES_AT_ONCE", MOST)
    monkeypatch.setattr(bounds, "RULES_AHEAD", 0)


@pytest.mark.usefixtures("narrow")
class TestWhatIsClaimed:
    def test_a_runner_that_is_alone_claims_all_that_is_due_in_the_order_of_names(self) -> None:
        result = planned(Share(Concurrency("simulated", 1), alone=True))
        assert names(result) == [*NAMES]
        assert not result.withheld

    def test_one_of_several_claims_what_it_can_begin_soon_and_counts_what_it_has(self) -> None:
        share = Share(Concurrency("simulated", 1), alone=False)
        share.begin(hourly())
        result = planned(share)
        assert len(result.claims) == MOST - 1
        assert result.withheld == {*NAMES} - {*names(result)}
        share.end(hourly())
        assert len(planned(share).claims) == MOST

    def test_each_has_an_order_of_its_own(self) -> None:
        orders = {tuple(sorted(NAMES, key=Share(Concurrency("simulated", 1), alone=False).place)) for _ in range(5)}
        assert len(orders) == 5

    def test_an_exchange_that_is_slow_holds_up_no_claims_of_others(self) -> None:
        share = Share(Concurrency("simulated", 1), alone=False)
        for _ in range(MOST):
            share.begin(hourly())
        assert not planned(share).claims
        assert len(planned(share, exchange="kraken").claims) == MOST

    def test_agents_are_claimed_for_twice_as_many_slots_as_may_run(self) -> None:
        concurrency = Concurrency("simulated", 3)
        concurrency.adjust()
        assert concurrency.most_claimed(("claude", "simulated")) == 6

    def test_agents_share_what_memory_lets_run_whatever_their_exchanges(self) -> None:
        takes = Share(Concurrency("simulated", 1), alone=False).taker()
        exchanges = ("simulated", "kraken", "coinbase")
        assert [takes(asking(exchange=exchange)) for exchange in exchanges] == [True, True, False]

    def test_slots_that_were_missed_get_their_rows_whether_or_not_there_is_room(self) -> None:
        share = Share(Concurrency("simulated", 1), alone=False)
        result = planned(share, now="13:00:10")
        assert {*names(result)} == {*NAMES}
        assert {row.why for claim in result.claims for row in claim.passed} == {LATE}


async def test_who_has_no_room_is_woken_by_half_of_it_and_not_by_the_clock(narrow: None) -> None:
    share = Share(Concurrency("simulated", 1), alone=False)
    for _ in range(MOST):
        share.begin(hourly())
    share.taker()
    async with anyio.create_task_group() as tasks:
        woken = anyio.Event()

        async def wait() -> None:
            await share.until_more(HandClock(at("12:00")), 1)
            woken.set()

        tasks.start_soon(wait)
        share.end(hourly())
        await anyio.wait_all_tasks_blocked()
        assert not woken.is_set()
        share.end(hourly())
        with anyio.fail_after(30):
            await woken.wait()


@dataclass
class Holding(Engine):
    """Runs go on until they are let go."""

    go: anyio.Event = field(default_factory=anyio.Event)
    names: list[str] = field(default_factory=list)

    async def __call__(self, claimed: Claimed) -> Outcome:
        self.names.append(claimed.run.strategy.name)
        await self.go.wait()
        return DECIDED


async def until(condition: Callable[[], object], clock: HandClock, step_s: float) -> None:
    """Let time pass in steps until something has come about."""
    with anyio.fail_after(60):
        while not condition():
            clock.pass_by(step_s)
            await anyio.sleep(0.005)


@IN_POSTGRES
@pytest.mark.usefixtures("kept_in", "narrow")
async def test_what_one_runner_cannot_begin_is_left_to_the_other_and_claimed_once_there_is_room(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "CLAIMED_AT_ONCE", 2)
    machines = [Machine(home), Machine(home)]
    for name in NAMES:
        write(home, hourly(name), at("01:00"))
    clock, engines = HandClock(at("11:30")), [Holding(), Holding()]
    runners: list[Scheduler] = [
        make_scheduler(machine, clock, engine) for machine, engine in zip(machines, engines, strict=True)
    ]
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for runner in runners:
            tasks.start_soon(runner.serve, stop)
        await until(lambda: all(len(runner.schedules.by_name) == len(NAMES) for runner in runners), clock, 0)
        clock.set(at("12:00:05"))
        full = lambda: all(runner.schedules.withheld and runner.running == MOST for runner in runners)  # noqa: E731
        await until(full, clock, 1)
        rows = machines[0].ask("SELECT count(*), count(DISTINCT strategy_id) FROM executions")
        assert rows == [(2 * MOST, 2 * MOST)], "the rest is nobody's yet"
        engines[0].go.set()
        await until(lambda: len(engines[0].names) == len(NAMES) - MOST, clock, 0.001)
        engines[1].go.set()
        await until(lambda: not any(runner.running for runner in runners), clock, 0.001)
        stop.set()
    assert sorted(engines[0].names + engines[1].names) == [*NAMES], "each ran once"
    assert {len(machines[0].slots(name)) for name in NAMES} == {1}


@IN_POSTGRES
@pytest.mark.usefixtures("kept_in", "narrow")
async def test_what_others_have_run_meanwhile_is_not_due_any_more_although_there_is_no_room(home: Path) -> None:
    for name in NAMES:
        write(home, hourly(name), at("01:00"))
    full, other = (make_scheduler(Machine(home), HandClock(at("11:30")), Engine()) for _ in range(2))
    for runner in (full, other):
        runner.slot_store.open()
        await runner.schedules.refresh(at("11:30"))
    for claimed in await full.schedules.claim(at("12:00:05"), LATE):
        full.schedules.share.begin(claimed.run.strategy)
    assert len(full.schedules.withheld) == len(NAMES) - MOST
    other.schedules.share.alone = True
    assert len(await other.schedules.claim(at("12:00:05"), LATE)) == len(NAMES) - MOST
    assert await full.schedules.claim(at("12:00:06"), LATE) == []
    assert not full.schedules.withheld
    assert {schedule.due for schedule in full.schedules.by_name.values()} == {at("13:00:05")}


@IN_POSTGRES
@pytest.mark.usefixtures("kept_in")
async def test_what_passed_while_the_journal_was_away_says_so_although_it_takes_several_claims(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "CLAIMED_AT_ONCE", 2)
    machine, claim, away = Machine(home), SlotStore.claim, [True]

    def unless_away(*arguments: Any, **more: Any) -> Any:
        if away:
            raise Retryable("It is away.", "Wait.")
        return claim(*arguments, **more)

    monkeypatch.setattr(SlotStore, "claim", unless_away)
    for name in NAMES:
        write(home, hourly(name), at("01:00"))
    async with driven(machine, at("11:30")) as up:
        for moment in ("12:00:06", "13:00:06", "15:00:06"):
            await up.set(at(moment))
            for _ in NAMES:  # one claim after the other
                await up.on(0.01)
            away.clear()
    for name in NAMES:
        assert [status for status, *_ in machine.slots(name)] == ["missed", "abstained", "missed", "abstained"]
        why = "The journal could not be written from 2026-01-05 12:00:07 UTC on: It is away."
        assert (machine.reasons(name)[0] or "")[: len(why)] == why
        assert (machine.reasons(name)[2] or "").startswith("Nothing ran from")
