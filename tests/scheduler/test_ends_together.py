"""Runs that end together are entered in one transaction, and each as if it had ended alone."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Signal, SignalName, Status
from mcp_server.storage.journal.rows import Claimed, RunEnd
from mcp_server.storage.journal.runs import Journal
from runner.scheduler.recorder import Recorder
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import away
from tests.scheduler.slot_homes import Machine, at, claim, hourly

pytestmark = pytest.mark.usefixtures("kept_in")

NAMES = ("a", "b", "c", "d", "e")


def signalled(signal: SignalName, confidence: str | None = None) -> Outcome:
    data = {"evidence": {"price": 3.5, "unsettled": None, "word": "ü"}}
    confident = None if confidence is None else Decimal(confidence)
    return Outcome(Status.SUCCESS, Signal(signal, confident, "It is so.", 3.5, data), trace=data, **NOTHING_SPENT)


FIRST = (signalled("BUY"), signalled("SELL"), signalled("HOLD", "55.5"), signalled("SELL"), signalled("BUY"))
SECOND = (
    signalled("HOLD"),
    Outcome(Status.ERROR, error="It broke.", model="m", tokens_used=7, cost_usd=Decimal("0.25")),
    signalled("BUY", "61"),
    Outcome(Status.TIMEOUT, error="It was slow.", blame="outside", tokens_used=None, cost_usd=None),
    Outcome(Status.ABSTAINED, error="It is not known.", trace={"open_time": None}, **NOTHING_SPENT),
)

WRITTEN = (
    "SELECT s.name, e.status, e.error_message, e.started_at, e.completed_at, e.model, e.tokens_used, e.cost_usd, "
    "e.trace, e.own_failure, a.signal, a.confidence, a.reasoning, a.price, a.data, a.timestamp, a.execution_time_ms "
    "FROM executions e JOIN strategies s ON s.id = e.strategy_id LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "ORDER BY e.scheduled_at, s.name"
)


def claimed(machine: Machine, after: str, slot: str) -> Sequence[Claimed]:
    return machine.slot_store.claim([claim(hourly(name), after, slot) for name in NAMES], at(slot)).started


def ends(runs: Sequence[Claimed], outcomes: Sequence[Outcome]) -> list[RunEnd]:
    began = runs[0].run.as_of.replace(second=1)
    return [RunEnd(run, outcome, began.replace(second=4), began) for run, outcome in zip(runs, outcomes, strict=True)]


def machine_in(folder: Path) -> Machine:
    machine = Machine(folder)
    machine.slot_store.open()
    return machine


def test_what_ends_together_has_the_same_rows_and_answers_as_what_ends_alone(tmp_path: Path) -> None:
    together, alone = machine_in(tmp_path / "together"), machine_in(tmp_path / "alone")
    for after, slot, outcomes in (("11:00", "12:00", FIRST), ("12:00", "13:00", SECOND)):
        one_by_one = [
            alone.journal.finish(end.claimed, end.outcome, end.ended_at, began_at=end.began_at)
            for end in ends(claimed(alone, after, slot), outcomes)
        ]
        assert together.journal.finish_all(ends(claimed(together, after, slot), outcomes)) == one_by_one
    assert [ended.before for ended in one_by_one] == ["BUY", None, "HOLD", None, None]
    assert together.ask(WRITTEN) == alone.ask(WRITTEN)
    assert len(together.ask(WRITTEN)) == 2 * len(NAMES)


def test_one_end_that_the_database_refuses_is_an_error_and_the_others_are_entered(home: Path) -> None:
    machine = machine_in(home)
    refused = replace(SECOND[1], cost_usd=Decimal("NaN"))
    done = machine.journal.finish_all(ends(claimed(machine, "11:00", "12:00"), (*FIRST[:2], refused, *FIRST[3:])))
    assert [ended.waiting for ended in done] == [None] * 5
    assert [machine.slots(name)[0][0] for name in NAMES] == ["success", "success", "error", "success", "success"]
    assert "cannot be kept" in (machine.reasons("c")[0] or "")


def test_ends_that_cannot_be_entered_wait_each_in_a_file_of_its_own(home: Path) -> None:
    machine = Machine(home, patience_s=0.1)
    machine.slot_store.open()
    runs = claimed(machine, "11:00", "12:00")
    with away(home) as who:
        done = machine.journal.finish_all(ends(runs, FIRST))
    assert all(who in (ended.waiting or "") for ended in done)
    assert sorted(file.stem for file in machine.home.outbox.iterdir()) == sorted(run.key for run in runs)
    machine.journal.settle()
    assert [machine.slots(name)[0][0] for name in NAMES] == ["success"] * 5


class CountedJournal(Journal):
    """Notes how many ends come in each transaction, and fails at a strategy in a way that nobody foresaw."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.sizes: list[int] = []
        self.fails_at = ""

    def finish_all(self, ends: Sequence[RunEnd]) -> list[Ended]:
        self.sizes.append(len(ends))
        if any(end.claimed.run.strategy.name == self.fails_at for end in ends):
            raise MemoryError
        return super().finish_all(ends)


@pytest.fixture
def counted(home: Path) -> tuple[Machine, CountedJournal]:
    machine = machine_in(home)
    return machine, CountedJournal(machine.database, machine.home)


async def record_all(recorder: Recorder, runs: Sequence[Claimed]) -> dict[str, Ended]:
    ended: dict[str, Ended] = {}

    async def record(run: Claimed, outcome: Outcome) -> None:
        ended[run.run.strategy.name] = await recorder.record(run, outcome, at("12:00:01"))

    async with anyio.create_task_group() as tasks:
        for run, outcome in zip(runs, FIRST, strict=True):
            tasks.start_soon(record, run, outcome)
    return ended


async def test_slots_that_end_meanwhile_share_a_transaction_and_each_learns_of_its_own_end(
    counted: tuple[Machine, CountedJournal],
) -> None:
    machine, journal = counted
    ended = await record_all(Recorder(journal, HandClock(at("12:00:03"))), claimed(machine, "11:00", "12:00"))
    assert len(journal.sizes) <= 2
    assert sum(journal.sizes) == 5
    assert [ended[name].outcome for name in NAMES] == [*FIRST]
    assert [machine.slots(name)[0][0] for name in NAMES] == ["success"] * 5


async def test_what_a_model_was_paid_for_is_entered_at_once_with_all_that_wait(
    counted: tuple[Machine, CountedJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, journal = counted
    recorder = Recorder(journal, HandClock(at("12:00:03")))
    await record_all(recorder, claimed(machine, "11:00", "12:00"))
    monkeypatch.setattr("runner.scheduler.recorder.GATHER_S", 600)
    free, paid = claimed(machine, "12:00", "13:00")[:2]
    paid = replace(paid, run=replace(paid.run, engine="claude"))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.record, free, FIRST[0], at("13:00:01"))
            await anyio.wait_all_tasks_blocked()
            assert machine.slots("a")[-1][0] == "running"
            tasks.start_soon(recorder.record, paid, FIRST[1], at("13:00:01"))
    assert (journal.sizes[-1], machine.slots("a")[-1][0], machine.slots("b")[-1][0]) == (2, "success", "success")


async def test_one_end_that_fails_for_whatever_reason_holds_up_none_that_came_with_it(
    counted: tuple[Machine, CountedJournal],
) -> None:
    machine, journal = counted
    journal.fails_at = "b"
    recorder = Recorder(journal, HandClock(at("12:00:03")))
    ended = await record_all(recorder, claimed(machine, "11:00", "12:00"))
    assert [machine.slots(name)[0][0] for name in NAMES] == ["success", "running", "success", "success", "success"]
    assert "MemoryError" in (ended["b"].waiting or "")
    assert recorder.unwritten == 1
    journal.fails_at = ""
    await recorder.catch_up()
    assert (machine.slots("b")[0][0], recorder.unwritten) == ("success", 0)
