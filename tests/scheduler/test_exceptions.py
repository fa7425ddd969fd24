"""An exception that nobody foresaw costs a strategy no later slot, and no other strategy anything; status names it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from mcp_server.errors import BadInput
from mcp_server.overview import overview
from mcp_server.storage.journal.carry_out import NOT_BEGUN
from mcp_server.storage.journal.interrupted import KILLED
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import Change, Claim, Claims, SlotStore
from mcp_server.storage.strategies.versions import KeptVersions
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import ON_A_FILE
from tests.scheduler.hand_driven import Driven, Engine, driven, make_scheduler
from tests.scheduler.slot_homes import Machine, at, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")

ABSTAINED_AT_NOON = [("abstained", "12:00", "12:00", 1)]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a method raise as long as a condition on its arguments holds."""

    def fail(owner: type, name: str, when: Callable[..., bool], error: Exception | None = None) -> None:
        method = getattr(owner, name)

        def wrapped(self: object, *args: Any, **more: Any) -> Any:
            if when(*args, **more):
                raise error or OSError(5, "Input/output error")
            return method(self, *args, **more)

        monkeypatch.setattr(owner, name, wrapped)

    return fail


def times(count: int) -> Callable[..., bool]:
    left = iter(range(count))
    return lambda *_, **__: next(left, None) is not None


def only(name: str, broken: list[bool]) -> Callable[..., bool]:
    """Hold for what concerns one strategy, while `broken` has anything."""

    def concerns(items: Sequence[Change | Claim], **_: object) -> bool:
        names = [item.name if isinstance(item, Change) else item.strategy.name for item in items]
        return bool(broken) and name in names

    return concerns


def problems(up: Driven) -> list[str]:
    return up.schedulers[0].problems()


@pytest.mark.parametrize("failures", [*(pytest.param(few, marks=pytest.mark.long) for few in (1, 2)), 3])
async def test_after_one_exception_while_strategies_are_adopted_they_are_scheduled(
    home: Path, failing: Callable[..., None], failures: int
) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    failing(SlotStore, "change", times(failures))
    async with driven(machine, at("11:30")) as up:
        for _ in range(3):
            await up.on(30)
        assert problems(up) == []
        await up.set(at("12:00:10"))
    assert machine.slots() == ABSTAINED_AT_NOON


async def test_an_exception_during_an_edit_loses_neither_the_edit_nor_the_schedule(
    home: Path, failing: Callable[..., None]
) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:20")) as up:
        failing(SlotStore, "change", times(2))
        write(home, strategy(interval="30m"), at("11:20"))
        await up.on(2)
        assert problems(up)[0].startswith("s is not scheduled (OSError")
        await up.on(60)
        assert problems(up) == []
        await up.set(at("11:30:05"))
    assert machine.slots() == [("abstained", "11:30", "11:30", 1)]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("change", OSError(5, "Input/output error")),
        ("claim", BadInput("It is odd.")),
        pytest.param("change", BadInput("It is odd."), marks=pytest.mark.long),
        pytest.param("claim", OSError(5, "Input/output error"), marks=pytest.mark.long),
    ],
)
async def test_a_strategy_that_always_fails_is_named_and_holds_up_no_other_until_it_is_mended(
    home: Path, failing: Callable[..., None], method: str, error: Exception
) -> None:
    machine, broken = Machine(home), [True]
    write(home, hourly(), at("10:30"))
    write(home, hourly("odd"), at("10:30"))
    failing(SlotStore, method, only("odd", broken), error)
    async with driven(machine, at("11:30")) as up:
        await up.set(at("12:00:10"))
        (problem,) = problems(up)
        assert problem.startswith(f"odd is not scheduled ({type(error).__name__}")
        broken.clear()
        await up.on(60)
        assert problems(up) == []
        await up.set(at("13:00:10"))
    assert machine.slots() == [*ABSTAINED_AT_NOON, ("abstained", "13:00", "13:00", 1)]
    assert machine.slots("odd")[-1] == ("abstained", "13:00", "13:00", 1)


async def test_what_was_claimed_before_another_strategy_failed_is_run(
    home: Path, failing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(home)
    for name in ("a", "odd", "z"):
        write(home, hourly(name), at("10:30"))
    claim = SlotStore.claim

    def held(self: SlotStore, claims: Sequence[Claim], now: datetime) -> Claims:
        if [each.strategy.name for each in claims] == ["z"] and not seen:
            seen.append(now)
            raise OSError(5, "Input/output error")
        return claim(self, claims, now)

    seen = list[datetime]()
    monkeypatch.setattr(SlotStore, "claim", held)
    failing(SlotStore, "claim", only("odd", [True]))
    async with driven(machine, at("11:30")) as up:
        await up.set(at("12:00:10"))
    assert machine.slots("a") == ABSTAINED_AT_NOON
    assert machine.ask("SELECT count(*) FROM executions WHERE status = 'running'") == [(0,)]


async def test_a_strategy_that_is_not_scheduled_for_whatever_reason_is_scheduled_at_the_next_look(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    write(home, hourly("paused", status="paused"), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        (scheduler,) = up.schedulers
        scheduler.schedules.by_name["paused"] = scheduler.schedules.by_name.pop("s")
        await up.on(2)
        assert [*scheduler.schedules.by_name] == ["s"]
        await up.set(at("12:00:10"))
    assert machine.slots() == ABSTAINED_AT_NOON
    assert machine.slots("paused") == []


async def test_a_strategies_folder_that_cannot_be_listed_for_a_moment_ends_no_strategy(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        listing = Path.iterdir

        def too_many(self: Path) -> Any:
            if self.name == "strategies":
                raise OSError(24, "Too many open files")
            return listing(self)

        monkeypatch.setattr(Path, "iterdir", too_many)
        await up.set(at("12:00:10"))
        monkeypatch.undo()
        await up.set(at("13:00:10"))
    assert machine.slots() == [*ABSTAINED_AT_NOON, ("abstained", "13:00", "13:00", 1)]


@pytest.mark.parametrize(
    ("owner", "method", "named"),
    [
        (KeptVersions, "copy", "an edit ends what is running"),
        (Journal, "settle", "Outcomes that wait cannot be recorded"),
        (Journal, "end_orphans", "Outcomes that wait cannot be recorded"),
    ],
)
async def test_what_else_is_done_at_a_look_holds_up_no_slot_when_it_fails(
    home: Path, failing: Callable[..., None], owner: type, method: str, named: str
) -> None:
    machine, broken = Machine(home), [True]
    write(home, hourly(), at("10:30"))
    failing(owner, method, lambda *_, **__: bool(broken), UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"))
    async with driven(machine, at("11:30")) as up:
        await up.set(at("12:00:10"))
        assert [problem for problem in problems(up) if named in problem]
        broken.clear()
        await up.on(2)
        assert problems(up) == []
    assert machine.slots() == ABSTAINED_AT_NOON


async def test_a_notice_that_cannot_be_noted_loses_no_other_and_no_schedule(home: Path) -> None:
    machine = Machine(home)
    for name in ("a", "b"):
        write(home, hourly(name), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        (scheduler,) = up.schedulers
        told = list[str]()

        def tell(event: Any) -> None:
            told.append(event.fields["strategy"])
            raise OSError(5, "Input/output error")

        scheduler.after_run.tell = tell
        for name in ("a", "b"):
            write(home, name)
        await up.on(2)
        assert told == ["a", "b"]
        write(home, hourly("a"))
        await up.set(at("12:00:10"))
    assert machine.slots("a") == machine.slots("b") == ABSTAINED_AT_NOON


async def test_when_a_strategy_is_due_comes_from_what_is_scheduled(home: Path, failing: Callable[..., None]) -> None:
    machine = Machine(home)
    for name in ("odd", "s"):
        write(home, hourly(name), at("10:30"))
    write(home, hourly("paused", status="paused"), at("10:30"))
    failing(SlotStore, "change", only("odd", [True]))

    def due(now: datetime) -> dict[str, datetime | None]:
        stands = overview(machine.home, machine.database, machine.folders, Decimal(5), now)
        assert stands.well is (stands.runner.alive is not None and not stands.runner.alive.problems)
        return {state.name: state.due for state in stands.strategies}

    async with driven(machine, at("11:30")) as up:
        await up.on(5)
        write(home, hourly("new"))
        assert due(up.clock.now()) == {"new": None, "odd": None, "paused": None, "s": at("12:00:05")}
        await up.on(2)
        await up.on(5)
        assert due(up.clock.now())["new"] == at("12:00:05")
    assert due(at("11:31"))["odd"] == at("12:00:05"), "no runner is alive: when it would be"


async def test_a_slot_whose_row_a_newer_version_wrote_counts_as_taken(home: Path) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    async with driven(machine, at("11:30")) as up:
        await up.set(at("12:00:10"))
    machine.database.write(lambda c: c.execute("UPDATE executions SET status = 'moonshot'"))
    machine.ask_to_forget("s", at("11:30"))
    async with driven(machine, at("12:00:30")) as up:
        assert problems(up) == []
        await up.set(at("13:00:10"))
    assert machine.slots() == [("moonshot", "12:00", "12:00", 1), ("abstained", "13:00", "13:00", 1)]


@ON_A_FILE
async def test_an_outcome_that_could_be_written_nowhere_ends_as_interrupted_at_the_next_start(
    home: Path, failing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(home)
    write(home, hourly(), at("10:30"))
    with monkeypatch.context() as patched:
        finish_all = Journal.finish_all

        def fail(self: Journal, *arguments: Any, **more: Any) -> Any:
            raise OSError(5, "Input/output error")

        patched.setattr(Journal, "finish_all", fail)
        async with driven(machine, at("11:30")) as up:
            await up.set(at("12:00:10"))
            assert "1 outcomes could not be written." in problems(up)
    assert Journal.finish_all is finish_all
    assert machine.slots() == [("running", "12:00", "12:00", 1)]
    assert len([*machine.home.running.iterdir()]) == 1, "the sign that nobody ended it"
    async with driven(machine, at("12:01:00")):
        pass
    assert machine.slots() == [("error", "12:00", "12:00", 1)]
    assert machine.reasons() == [KILLED]


async def test_a_stop_between_claim_and_start_leaves_no_slot_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, stop = Machine(home), anyio.Event()
    write(home, hourly(), at("10:30"))
    claim = SlotStore.claim

    async def stopped() -> None:
        stop.set()
        for _ in range(50):  # the stop reaches whatever it is to reach
            await anyio.lowlevel.checkpoint()

    def stopped_meanwhile(self: SlotStore, claims: Sequence[Claim], now: datetime) -> Claims:
        done = claim(self, claims, now)
        anyio.from_thread.run(stopped)
        return done

    monkeypatch.setattr(SlotStore, "claim", stopped_meanwhile)
    machine.adopt(hourly(), at("11:30"))
    engine = Engine()
    scheduler = make_scheduler(machine, HandClock(at("12:00:10")), engine)
    with anyio.fail_after(30):
        await scheduler.serve(stop)
    assert engine.ran == []
    assert machine.slots() == [("missed", "12:00", "12:00", 1)]
    assert machine.reasons() == [NOT_BEGUN]
