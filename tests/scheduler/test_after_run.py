"""What follows a run: a notice of what changed or failed, once; a report of a signal; a pause after failures."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, BudgetReached, Ended, Outcome, Signal, SignalName, Status
from mcp_server.domain.run_status import RunEngine
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.carry_out import STOPPED
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slots import Change, Claim
from runner.notify.events import Event
from runner.scheduler.after_run import AfterRun
from runner.scheduler.outage import Outage
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.troubles import CLAIMS, Troubles, watch
from tests.rigs.hand_clock import HandClock
from tests.scheduler.hand_driven import DECIDED, driven
from tests.scheduler.slot_homes import Machine, at, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")

DOWN = Outcome(Status.ERROR, error="'kraken' is not available at the moment.", blame="outside", **NOTHING_SPENT)
FAILED = Outcome(Status.ERROR, error="The exchange is down.", **NOTHING_SPENT)
ABROAD = Outcome(Status.ERROR, error="Claude's API answered 529.", blame="outside", **NOTHING_SPENT)


def says(signal: SignalName, confidence: int = 70) -> Outcome:
    return Outcome(Status.SUCCESS, Signal(signal, Decimal(confidence), "so it is", price=42.5), **NOTHING_SPENT)


@dataclass
class Followed:
    """Runs of one strategy, hour by hour, each entered and followed; what was told and reported."""

    machine: Machine
    what: Strategy
    told: list[Event] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    hour: int = 0

    def __post_init__(self) -> None:
        write(self.machine.root, self.what)
        self.machine.adopt(self.what, at("00:30"))
        self.anew()

    def anew(self) -> None:
        """Go on as another process does: nothing is remembered but what the journal has."""

        async def report(_: Strategy, ended: Ended) -> None:
            assert ended.outcome.signal is not None
            self.reported.append(ended.outcome.signal.signal)

        self.after_run = AfterRun(
            self.machine.database,
            self.machine.folders,
            "simulated",
            Troubles(),
            self.told.append,
            report,
            lambda *_: None,
        )

    async def run(self, outcome: Outcome, engine: RunEngine = "rules") -> None:
        self.hour += 1
        now = at(f"{self.hour:02}:00")
        before = now - timedelta(minutes=1)
        (claimed,) = self.machine.slot_store.claim([Claim(self.what, before, now, ())], now).started
        ended = self.machine.journal.finish(claimed, outcome, now, began_at=now)
        assert ended.waiting is None
        await self.after_run.follow(self.what, replace(ended, engine=engine))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]


@pytest.fixture
def follow(home: Path) -> Callable[..., Followed]:
    def make(**config: Any) -> Followed:
        machine = Machine(home)
        machine.slot_store.open()
        return Followed(machine, hourly(**config))

    return make


async def test_a_signal_is_told_when_it_differs_from_the_last_one_also_after_a_restart(
    follow: Callable[..., Followed],
) -> None:
    runs = follow()
    for signal in ("HOLD", "BUY", "BUY", "HOLD"):
        await runs.run(says(signal))
    runs.anew()
    await runs.run(says("SELL"))
    runs.anew()
    await runs.run(says("SELL"))
    told = [(event.fields["before"], event.fields["signal"]) for event in runs.told]
    assert told == [("HOLD", "BUY"), ("BUY", "HOLD"), ("HOLD", "SELL")]
    assert len({event.key for event in runs.told}) == 3


async def test_the_notice_of_a_signal_names_the_record_so_far(follow: Callable[..., Followed]) -> None:
    runs = follow()
    await runs.run(says("BUY"))
    runs.after_run.record = lambda what: f"12 judged of {what.name}: too few to say"
    await runs.run(says("SELL"))
    assert [event.fields["record"] for event in runs.told] == ["", "Record so far: 12 judged of s: too few to say."]


async def test_a_signal_has_its_report_but_not_one_that_rules_repeat(follow: Callable[..., Followed]) -> None:
    runs = follow()
    for signal in ("HOLD", "HOLD", "BUY", "BUY", "HOLD", "HOLD"):
        await runs.run(says(signal))
    assert runs.reported == ["HOLD", "BUY", "HOLD"]
    await runs.run(says("HOLD"), "claude")
    assert runs.reported == ["HOLD", "BUY", "HOLD", "HOLD"], "what Claude decides is reported each time"


async def test_after_failures_in_a_row_it_is_paused_and_told_and_counts_anew_once_it_is_resumed(
    follow: Callable[..., Followed],
) -> None:
    runs = follow(max_failures=3)
    for outcome in (FAILED, FAILED, says("HOLD"), FAILED, ABROAD, FAILED):
        await runs.run(outcome)
    assert runs.machine.folders.read("s").config.status == "active", "a success between, and what is not its own"
    await runs.run(FAILED)
    assert runs.machine.folders.read("s").config.status == "paused"
    kinds = [kind for kind in runs.kinds() if kind != "server"]
    assert kinds == [*["failure"] * 5, "paused"], "a failure that is not its own is told elsewhere"
    assert runs.told[-1].fields["failures"] == "3"
    runs.machine.slot_store.change([Change("s", runs.what, None, ())], at(f"{runs.hour:02}:20"))
    runs.machine.folders.set_status("s", "active")
    runs.machine.adopt(runs.what, at(f"{runs.hour:02}:30"))
    for status in ("active", "active", "paused"):
        await runs.run(FAILED)
        assert runs.machine.folders.read("s").config.status == status


async def test_a_budget_that_is_used_up_is_told_once_a_day(follow: Callable[..., Followed]) -> None:
    runs = follow()
    everyones, own = (BudgetReached(scope, Decimal("4.80"), Decimal(5)) for scope in ("everyone", "strategy"))
    for reached in (everyones, everyones, own, own):
        await runs.run(Outcome(Status.SKIPPED_BUDGET, error="no room", budget=reached, **NOTHING_SPENT))
    assert [(event.fields["strategy"], event.fields["spent_usd"]) for event in runs.told] == [
        ("all strategies", "4.80"),
        ("s", "4.80"),
    ]


async def test_what_was_only_skipped_is_no_event(follow: Callable[..., Followed]) -> None:
    runs = follow()
    for status in (Status.SKIPPED_GATE, Status.SKIPPED_STALE, Status.MISSED, Status.ABSTAINED):
        await runs.run(Outcome(status, error="why", **NOTHING_SPENT))
    assert (runs.told, runs.reported) == ([], [])


async def test_a_failing_report_or_notice_ends_no_scheduler(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly())
    async with driven(machine, at("11:59:30")) as up:
        up.engine.outcome = says("BUY")
        for scheduler in up.schedulers:

            def fail(_: object) -> None:
                raise OSError("the disk is full")

            scheduler.after_run.tell = fail
        await up.on(36)
        await up.on(3600)
    assert machine.slots() == [("success", "12:00", "12:00", 1), ("success", "13:00", "13:00", 1)]


async def test_trouble_that_lasts_is_told_once_with_its_beginning_and_what_mends_itself_is_not() -> None:
    clock, troubles, told, problem = HandClock(at("12:00")), Troubles(), list[Event](), list[str | None]([None])
    outage = Outage(troubles)

    async def on(seconds: float) -> None:
        clock.pass_by(seconds)
        with anyio.fail_after(5):
            await clock.until_asleep(1)

    async with anyio.create_task_group() as group:
        group.start_soon(watch, troubles, clock, lambda: problem[0], told.append)
        await clock.until_asleep(1)
        problem[0] = "It ended."
        await on(10)
        problem[0] = None
        await on(60)
        assert told == []
        problem[0] = "It ended again."
        for _ in range(9):
            await on(10)
        assert {event.key for event in told} == {f"server {at('12:01:20').isoformat()}"}
        problem[0] = None
        outage.note(ABROAD, clock.now())
        told.clear()
        for _ in range(8):
            await on(10)
        assert {event.fields["problem"] for event in told} == {"Claude cannot be asked: Claude's API answered 529."}
        outage.note(says("HOLD"), clock.now())
        told.clear()
        await on(10)
        assert told == []
        group.cancel_scope.cancel()


@pytest.mark.parametrize(("interval", "at_once"), [("1h", True), ("1m", False)])
async def test_an_exchange_that_is_down_is_told_once_and_again_when_it_was_back(
    home: Path, interval: str, *, at_once: bool
) -> None:
    machine = Machine(home)
    write(home, strategy(interval=interval))
    told: list[Event] = []
    async with driven(machine, at("00:59:50")) as up:
        (scheduler,) = up.schedulers
        scheduler.after_run.tell = told.append
        for down in (True, True, True, False, True, True, True):
            up.engine.outcome = DOWN if down else DECIDED
            await up.on(65)
            if len(up.engine.ran) == 1:
                assert bool(told) is at_once
            if at_once:
                await up.set(up.clock.now() + timedelta(minutes=58, seconds=54))
    assert [event.kind for event in told] == ["server", "server"]
    assert told[0].fields["problem"] == "Runs on simulated fail: 'kraken' is not available at the moment."
    assert json.loads((home / "strategies" / "s" / "config.json").read_text()).get("status", "active") == "active"


async def test_a_journal_that_cannot_be_written_for_a_while_is_told_of() -> None:
    clock, troubles, told = HandClock(at("12:00")), Troubles(), list[Event]()
    troubles.note(CLAIMS, "The disk is full.", at("11:58:30"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, troubles, clock, lambda: None, told.append)
        await clock.until_asleep(1)
        tasks.cancel_scope.cancel()
    assert told[0].fields == {"problem": "No slot is claimed: The disk is full.", "since": "2026-01-05T11:58Z"}


async def test_a_run_that_a_stop_ended_says_nothing_of_its_exchange(follow: Callable[..., Followed]) -> None:
    runs = follow()
    await runs.run(Outcome(Status.ERROR, error=STOPPED, blame="runner", **NOTHING_SPENT))
    assert runs.told == []


async def test_signals_of_strategies_that_end_in_one_moment_are_each_told_once_whichever_runner_ran_them(
    home: Path,
) -> None:
    machine, told = Machine(home), list[Event]()
    same: dict[str, list[SignalName]] = {f"s{number}": ["SELL"] * 3 for number in range(6)}
    signals: dict[str, list[SignalName]] = {"a": ["BUY", "BUY", "SELL"], "b": ["HOLD", "BUY", "BUY"], **same}
    for name in signals:
        write(home, hourly(name), at("08:30"))
    async with driven(machine, at("08:59:50"), runners=2) as up:
        for scheduler in up.schedulers:
            scheduler.after_run.tell = told.append
            scheduler.run = cast(SlotRun, _Says(signals))
        for hour in (9, 10, 11):
            await up.set(at(f"{hour:02}:00:10"))
    facts = sorted((event.fields["strategy"], event.fields["before"], event.fields["signal"]) for event in told)
    assert facts == [
        ("a", "BUY", "SELL"),
        ("a", "no signal", "BUY"),
        ("b", "HOLD", "BUY"),
        *((name, "no signal", "SELL") for name in same),
    ]


class _Says:
    """Stands in for the engines: all runs of an hour end in one moment, each with its signal of that hour."""

    def __init__(self, signals: dict[str, list[SignalName]]) -> None:
        self.signals = signals
        self.under_way = 0
        self.all = anyio.Event()

    async def __call__(self, claimed: Claimed) -> Outcome:
        self.under_way += 1
        every = self.all
        if self.under_way == len(self.signals):
            self.under_way, self.all = 0, anyio.Event()
            every.set()
        await every.wait()
        run = claimed.run
        return says(self.signals[run.strategy.name][run.as_of.hour - 9])


async def test_a_cost_and_a_price_that_are_unknown_are_null_in_the_log(
    follow: Callable[..., Followed], caplog: pytest.LogCaptureFixture
) -> None:
    runs = follow()
    with caplog.at_level("INFO", "runner"):
        await runs.run(Outcome(Status.ERROR, error="It was killed."))
        await runs.run(says("BUY"))
    ends = [vars(record) for record in caplog.records if record.getMessage() == "slot ended"]
    assert [(end["outcome"], end["cost_usd"], end["price"]) for end in ends] == [
        ("error", None, None),
        ("BUY", 0, 42.5),
    ]
    assert {(end["strategy"], end["late_s"]) for end in ends} == {(runs.what.name, 0.0)}
