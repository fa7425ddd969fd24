"""Records: the tool server judges signals now and then, in its own time; no slot waits for it, whatever it does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp.server import MCPServer

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Retryable
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.journal.slot_history import next_horizon, overdue
from mcp_server.storage.journal.slots import Claim
from runner.notify.events import Event
from runner.scheduler import records as module
from runner.scheduler.records import Follow, Records
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.troubles import RECORDS, Troubles
from runner.tool_server.connection import Connection
from runner.tool_server.server import Address
from tests.rigs.hand_clock import HandClock
from tests.rigs.tool_server import ToolServer
from tests.scheduler.hand_driven import DECIDED, Engine, driven, make_scheduler
from tests.scheduler.performance import Performance, record
from tests.scheduler.slot_homes import Machine, at, hourly, strategy, write

pytestmark = pytest.mark.usefixtures("kept_in")


@dataclass
class Watched:
    """Records that are kept while a test moves the clock."""

    machine: Machine
    clock: HandClock
    server: Performance
    busy: list[bool] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    troubles: Troubles = field(default_factory=Troubles)
    follow: list[Follow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = Records(
            self.server.connect,
            self.clock,
            self.machine.database,
            "simulated",
            lambda: bool(self.busy),
            self.troubles,
            self.told.append,
            self.follow,
        )

    async def on(self, seconds: float) -> None:
        """Let time pass at once, and wait until nothing more can happen now."""
        self.clock.pass_by(seconds)
        await self.asleep()

    async def asleep(self) -> None:
        with anyio.fail_after(30):
            await self.clock.until_asleep(1)

    async def begin(self) -> None:
        """Wait until the tool is asked for the first time."""
        with anyio.fail_after(30):
            await self.clock.until_asleep(1)
            self.clock.pass_by(module.FIRST_S)
            await self.server.asked.wait()

    @property
    def looks(self) -> int:
        return len(self.server.calls)


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(home)


@asynccontextmanager
async def kept(machine: Machine, now: datetime, server: Performance, *busy: bool) -> AsyncIterator[Watched]:
    """Keep records until the block ends; the first look is at `now`."""
    watched = Watched(machine, HandClock(now - timedelta(seconds=module.FIRST_S)), server, busy=[*busy])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.records.keep)
        await watched.asleep()
        await watched.on(module.FIRST_S)
        yield watched
        tasks.cancel_scope.cancel()


def gave_a_signal(machine: Machine, who: Strategy, slot: datetime) -> None:
    """Enter a slot of a strategy that ended as BUY."""
    (claimed,) = machine.slot_store.claim([Claim(who, slot - timedelta(minutes=1), slot, ())], slot).started
    outcome = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "it rose", price=42.5), **NOTHING_SPENT)
    machine.journal.finish(claimed, outcome, slot, began_at=slot)


def ran_once(machine: Machine, who: Strategy) -> None:
    machine.slot_store.open()
    machine.adopt(who, at("00:30"))
    gave_a_signal(machine, who, at("10:00"))


async def test_it_looks_at_the_start_and_at_least_hourly(machine: Machine) -> None:
    server = Performance()
    async with kept(machine, at("12:00"), server) as watched:
        looks = [watched.looks]
        for _ in range(36):
            await watched.on(300)
            looks.append(watched.looks)
    assert server.calls == [{}] * 4
    assert [looks.index(count) for count in (1, 2, 3, 4)] == [0, 12, 24, 36], "each an hour after the one before"


async def test_slots_that_were_missed_come_before_the_first_look(machine: Machine) -> None:
    watched = Watched(machine, HandClock(at("12:00")), Performance())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.records.keep)
        await watched.asleep()
        await watched.on(9)
        assert watched.looks == 0
        await watched.on(1)
        assert watched.looks == 1
        tasks.cancel_scope.cancel()


async def test_it_looks_soon_after_a_signal_can_be_judged_and_no_sooner(machine: Machine) -> None:
    server = Performance()
    ran_once(machine, hourly(horizon="2h"))
    assert next_horizon(machine.database, at("09:00")) == at("12:00")
    assert next_horizon(machine.database, at("12:00")) is None, "it is over by then"
    async with kept(machine, at("11:55"), server) as watched:
        moments = []
        for _ in range(40):
            before = watched.looks
            await watched.on(60)
            if watched.looks > before:
                moments.append(watched.clock.now())
    assert moments == [at("12:10")]


async def test_a_signal_that_is_given_meanwhile_is_judged_soon_after_it_can_be(machine: Machine) -> None:
    often, server = strategy(interval="5m", horizon="1h"), Performance()
    machine.slot_store.open()
    machine.adopt(often, at("00:30"))
    async with kept(machine, at("11:55"), server) as watched:
        gave_a_signal(machine, often, at("12:20"))
        moments = []
        for _ in range(100):
            before = watched.looks
            await watched.on(60)
            if watched.looks > before:
                moments.append(watched.clock.now())
    assert moments == [at("12:55"), at("13:30")]


async def test_what_one_call_had_no_time_for_is_judged_by_the_next_ones_and_what_cannot_be_waits_for_an_hour(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([40, 25, 3, 3, 3, 0, 0])
    monkeypatch.setattr(module, "overdue", lambda *_: next(left))
    server = Performance()
    async with kept(machine, at("12:00"), server) as watched:
        looks = [watched.looks]
        for _ in range(30):
            await watched.on(300)
            looks.append(watched.looks)
    assert [looks.index(count) for count in range(1, 6)] == [0, 1, 2, 3, 15]


async def test_a_signal_is_overdue_until_it_has_an_outcome(machine: Machine) -> None:
    ran_once(machine, hourly(horizon="2h"))
    assert [overdue(machine.database, at(time)) for time in ("11:59", "12:00")] == [0, 1]
    machine.database.write(
        lambda connection: connection.execute(
            "INSERT INTO outcomes (execution_id, entry_time, exit_time, cost_bps, horizon_s, definition, state, "
            "settled_at) SELECT id, as_of, as_of, 30, 7200, '1', 'void', as_of FROM executions"
        )
    )
    assert overdue(machine.database, at("12:00")) == 0


async def test_there_is_never_more_than_one_call_however_long_it_takes(machine: Machine) -> None:
    server = Performance(hang=anyio.Event())
    watched = Watched(machine, HandClock(at("12:00")), server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.records.keep)
        await watched.begin()
        for _ in range(5):
            watched.clock.pass_by(3600)
            await anyio.lowlevel.checkpoint()
        assert (watched.looks, server.most_at_once) == (1, 1)
        assert server.hang is not None
        server.hang.set()
        await watched.asleep()
        tasks.cancel_scope.cancel()
    assert (watched.looks, server.most_at_once) == (1, 1)


async def test_while_slots_run_it_waits_but_not_for_ever(machine: Machine) -> None:
    server = Performance()
    async with kept(machine, at("12:00"), server, True) as watched:
        for _ in range(10):
            await watched.on(2)
        assert watched.looks == 0
        watched.busy.clear()
        await watched.on(2)
        assert watched.looks == 1
        watched.busy.append(True)
        for _ in range(2 + 3600 // 600):
            await watched.on(600)
        assert watched.looks == 1, "it is due, and slots run"
        for _ in range(300):
            await watched.on(2)
        assert watched.looks == 2, "in ten minutes they did not end"


async def test_a_slot_that_is_due_when_a_signal_can_be_judged_holds_that_up_no_longer_than_it_runs(
    machine: Machine,
) -> None:
    ran_once(machine, hourly(horizon="2h"))
    server = Performance()
    async with kept(machine, at("11:55"), server) as watched:
        await watched.on(300)
        watched.busy.append(True)
        await watched.on(600)
        await watched.on(2)
        assert watched.looks == 1
        watched.busy.clear()
        await watched.on(2)
        assert (watched.looks, watched.clock.now()) == (2, at("12:10:04"))


async def test_while_the_tool_hangs_slots_are_claimed_and_run_and_a_stop_ends_it_at_once(machine: Machine) -> None:
    write(machine.root, hourly(), at("10:30"))
    server = Performance(hang=anyio.Event())
    watched = Watched(machine, HandClock(at("11:59:30")), server)
    async with driven(machine, at("11:59:30"), beside=watched.records.keep) as up:
        await watched.begin()
        for _ in range(3):
            await up.on(3600)
        assert len(up.engine.ran) == 3
        assert server.under_way == 1
    assert server.under_way == 0
    assert [slot[:3] for slot in machine.slots()] == [("abstained", hour, hour) for hour in ("12:00", "13:00", "14:00")]


class _Hanging:
    """Stands in for the engines: a run goes on until `end` is set."""

    def __init__(self) -> None:
        self.begun, self.end = anyio.Event(), anyio.Event()

    async def __call__(self, _: Claimed) -> Outcome:
        self.begun.set()
        await self.end.wait()
        return DECIDED


async def test_a_stop_ends_it_before_the_runs_that_have_their_grace(machine: Machine) -> None:
    write(machine.root, hourly(), at("10:30"))
    server, clock, engine, stop = Performance(hang=anyio.Event()), HandClock(at("12:00:00")), _Hanging(), anyio.Event()
    watched = Watched(machine, HandClock(at("12:00:00")), server)
    scheduler = make_scheduler(machine, clock, Engine(), watched.records.keep)
    scheduler.run, scheduler.grace_s = cast(SlotRun, engine), 60.0
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.serve, stop)
            await watched.begin()
            await clock.until_asleep(2)
            clock.pass_by(3700)
            await engine.begun.wait()
            stop.set()
            await server.over.wait()
            assert scheduler.running == 1
            engine.end.set()
    assert [slot[:2] for slot in machine.slots()] == [("abstained", "13:00")]


async def test_slots_that_are_near_make_the_scheduler_busy(machine: Machine) -> None:
    write(machine.root, hourly(), at("10:30"))
    async with driven(machine, at("11:59:30")) as up:
        (scheduler,) = up.schedulers
        assert not scheduler.busy
        await up.on(30)
        assert scheduler.busy, "its offset is 5 s"
        await up.on(6)
        assert len(up.engine.ran) == 1
        assert not scheduler.busy


async def test_a_failure_is_logged_once_tried_again_and_told_only_where_it_lasts(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    server = Performance(error=Retryable("The exchange is down."))
    async with kept(machine, at("12:00"), server) as watched:
        for _ in range(11):
            await watched.on(300)
        assert watched.looks == 12, "every five minutes"
        assert (watched.told, watched.records.problems()) == ([], [])
        await watched.on(300)
        await watched.on(300)
        assert {event.key for event in watched.told} == {f"not_judged {at('12:00').isoformat()}"}
        assert watched.told[0].fields == {"problem": "The exchange is down.", "since": "2026-01-05T12:00Z"}
        assert watched.records.problems() == [
            "No signal has been judged since 2026-01-05 12:00 UTC: The exchange is down."
        ]
        server.error = None
        await watched.on(300)
        assert watched.records.problems() == []
        told = len(watched.told)
        await watched.on(300)
        assert len(watched.told) == told
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert warnings == ["signals cannot be judged: The exchange is down."]


async def test_a_tool_that_never_answers_is_given_up_and_asked_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.01)
    server = Performance(hang=anyio.Event())
    async with kept(machine, at("12:00"), server) as watched:
        trouble = watched.troubles.of(RECORDS)
        assert trouble is not None
        assert trouble.why == "The tool server did not answer within 0.01 s."
        assert server.under_way == 0
        server.hang = None
        await watched.on(300)
        assert watched.troubles.of(RECORDS) is None


class _NeverAnswers(ToolServer):
    """The tool server, with a `get_performance` that never answers."""

    def _server(self) -> MCPServer:
        server = super()._server()

        @server.tool()
        async def get_performance() -> dict[str, Any]:
            """Never answer."""
            await anyio.sleep_forever()
            return {}

        return server


async def test_giving_up_costs_the_runs_that_go_on_neither_their_connection_nor_their_calls(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_S", 1.0)
    with _NeverAnswers() as server:

        @asynccontextmanager
        async def serving() -> AsyncIterator[Address]:
            yield Address(server.url, None)

        connection = Connection(serving)
        watched = Watched(machine, HandClock(at("12:00")), Performance())
        watched.records.connect = connection.tools
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.hold)
            async with connection.tools() as tools:
                tasks.start_soon(watched.records.keep)
                await watched.asleep()
                watched.clock.pass_by(module.FIRST_S)
                await watched.asleep()
                assert watched.troubles.reasons() == ["The tool server did not answer within 1 s."]
                assert (await tools.call("get_price", {"symbol": "BTC/USD"}))["last"] == 42.5
                async with connection.tools() as lent:
                    assert lent is tools, "it is the same connection"
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("error", [KeyError("columns"), OSError(5, "Input/output error")])
async def test_an_exception_that_nobody_foresaw_ends_nothing(
    machine: Machine, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    what = hourly(exchange="simulated")
    server = Performance([record(what)], error=error)
    ran_once(machine, what)
    async with kept(machine, at("12:00"), server) as watched:
        for _ in range(3):
            await watched.on(300)
        server.error = None
        await watched.on(300)
        assert watched.records.sentence(what) == "12 judged: too few to say"
    assert [entry.levelname for entry in caplog.records if entry.getMessage() == "judging signals"] == ["ERROR"]


async def test_a_journal_that_cannot_be_read_costs_nothing_but_the_early_look(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise Retryable("Another program holds it.")

    monkeypatch.setattr(module, "next_horizon", held)
    monkeypatch.setattr(module, "overdue", held)
    server = Performance()
    async with kept(machine, at("12:00"), server) as watched:
        for _ in range(12):
            await watched.on(300)
        assert watched.looks == 2
        assert watched.troubles.reasons() == []


async def test_a_sentence_is_of_what_decides_now_and_the_first_look_after_a_restart_fills_it(machine: Machine) -> None:
    what = hourly(exchange="simulated")
    server = Performance([record(what)])
    ran_once(machine, what)
    fresh = Watched(machine, HandClock(at("12:00")), server)
    assert fresh.records.sentence(what) == ""
    async with kept(machine, at("12:00"), server) as watched:
        sentence = watched.records.sentence
        assert sentence(what) == "12 judged: too few to say"
        assert sentence(hourly(exchange="simulated", status="paused", max_failures=9)) == "12 judged: too few to say"
        assert sentence(hourly(exchange="kraken")) == "", "it decides in another way now"
        assert sentence(hourly("other", exchange="simulated")) == ""
        server.error = Retryable("down")
        await watched.on(3600)
        assert sentence(what) == "12 judged: too few to say", "a failed look forgets nothing"


async def test_what_follows_a_look_has_every_record_and_one_that_fails_is_the_looks_failure(machine: Machine) -> None:
    seen: list[list[str]] = []

    async def follow(records: object, ask: Callable[..., object]) -> None:
        assert isinstance(records, dict)
        seen.append(sorted(records))
        if len(seen) == 1:
            raise Retryable("The journal is held.")

    server = Performance([record(hourly("a")), record(hourly("b"))])
    watched = Watched(machine, HandClock(at("12:00")), server, follow=[follow])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.records.keep)
        await watched.begin()
        await watched.asleep()
        assert watched.troubles.reasons() == ["The journal is held."]
        await watched.on(300)
        assert (seen, watched.troubles.reasons()) == ([["a", "b"]] * 2, [])
        tasks.cancel_scope.cancel()
