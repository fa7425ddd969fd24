"""Budgets: whatever order runs come, wait, end and die in, a day exceeds its limit by one last turn at most."""

import json
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.to_thread
import duckdb
import pytest

from mcp_server.domain.outcome import BudgetReached, Ended, Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.budget import Admission, SpendingLimits, Spent, admit
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.schema import migrate
from runner import execute
from runner.cli.context import Context
from runner.clock import SystemClock
from runner.execute import Runner
from runner.settings import RunnerSettings
from runner.tool_server.server import Address, tool_server
from tests.rigs.scripted_messages_api import Held, Reply, ScriptedMessagesApi, answer
from tests.runner.claude_runs import AS_OF, GOOD_ANSWER, KEY, START_BOTH, script
from tests.runner.claude_runs import strategy as agents
from tests.runner.conftest import Command
from tests.scheduler.slot_homes import at, hourly, spent

pytestmark = pytest.mark.usefixtures("kept_in")

DAY = timedelta(days=1)
NOON = at("12:00")


class InMemory(Database):
    """The same database without its file: a transaction takes a hundredth of the time."""

    _kept: duckdb.DuckDBPyConnection | None = None

    def _open(self, *, read_only: bool, most_s: float | None = None) -> duckdb.DuckDBPyConnection:
        if self._kept is None:
            self._kept = duckdb.connect(":memory:", config={"threads": 1})
            migrate(self._kept, self.path, read_only=False)
            self.path.touch()
        return self._kept.cursor()

    def let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()


@dataclass
class Ledger:
    """One home's journal and budgets."""

    database: InMemory
    journal: Journal

    def start(self, name: str, now: datetime) -> Claimed:
        return self.journal.claim(Run(hourly(name), "manual", now, "claude", now))

    def end(self, claimed: Claimed, cost: Decimal | None, now: datetime) -> None:
        ended = Outcome(Status.ABSTAINED, error="x", cost_usd=cost, tokens_used=None)
        assert self.journal.finish(claimed, ended, now).waiting is None

    def kill(self, claimed: Claimed) -> None:
        """Leave a run as a kill does, and let the next settle it."""
        assert claimed.liveness is not None
        claimed.liveness.close(forget=False)
        self.journal.settle()

    def of(self, name: str, day: datetime) -> Decimal:
        """Add up what one strategy has spent in a day, from the rows: an unknown cost is the run's limit."""
        rows = self.database.read(
            lambda connection: connection.execute(
                "SELECT coalesce(sum(coalesce(cost_usd, reserved_usd)), 0) FROM executions e "
                "JOIN strategies s ON s.id = e.strategy_id WHERE s.name = ? AND e.status <> 'running' "
                "AND CAST(coalesce(e.reserved_at, e.started_at) AS DATE) = CAST(? AS DATE)",
                [name, day.replace(tzinfo=None)],
            ).fetchall()
        )
        return Decimal(rows[0][0])


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    where = Home(home)
    database = InMemory(where.database, prepare=where.prepare)
    yield Ledger(database, Journal(database, where))
    database.let_go()


def usd(text: str) -> Decimal:
    return Decimal(text)


NONE_LEFT: dict[str, tuple[str, str | None, str | None, str, str]] = {
    "room for one": ("0.50", None, "0.50", "yes", ""),
    "no room for one": ("0.51", None, "0.50", "no", "everyone"),
    "no room of its own": ("0.51", "0.50", "5", "no", "strategy"),
    "no limit at all": ("900", None, None, "yes", ""),
}


@pytest.mark.parametrize(("run", "own", "all_", "answer_", "scope"), NONE_LEFT.values(), ids=NONE_LEFT.keys())
def test_a_run_alone_is_admitted_where_its_limit_fits(
    ledger: Ledger, run: str, own: str | None, all_: str | None, answer_: str, scope: str
) -> None:
    limits = SpendingLimits(usd(run), None if own is None else usd(own), None if all_ is None else usd(all_))
    said = admit(ledger.database, ledger.start("a", NOON).execution_id, "a", limits, NOON)
    assert said.answer == answer_
    if answer_ == "no":
        assert said.budget is not None
        assert said.budget.scope == scope
        assert all(usd in said.why for usd in ("0.00 USD", "0.51", "0.50"))


def test_beside_a_run_that_goes_on_there_must_be_room_for_its_last_turn_too(ledger: Ledger) -> None:
    first, second = ledger.start("a", NOON), ledger.start("b", NOON)
    limits = SpendingLimits(usd("0.50"), None, usd("1.50"))
    assert admit(ledger.database, first.execution_id, "a", limits, NOON) == Admission("yes")
    waits = admit(ledger.database, second.execution_id, "b", replace(limits, everyone=usd("1.49")), NOON)
    assert (waits.answer, waits.budget) == ("wait", BudgetReached("everyone", usd("0.50"), usd("1.49")))
    assert "0.50 are reserved" in waits.why
    assert admit(ledger.database, second.execution_id, "b", limits, NOON) == Admission("yes")
    assert spent(ledger.database, at("00:00"), at("06T00:00")) == Spent(usd("0"), usd("1.00"))


def test_a_budget_that_is_spent_names_what_was_spent_and_not_what_a_run_may_still_cost(ledger: Ledger) -> None:
    ended, running, third = (ledger.start(name, NOON) for name in ("a", "b", "c"))
    limits = SpendingLimits(usd("0.50"), None, usd("2"))
    for run, name in ((ended, "a"), (running, "b")):
        assert admit(ledger.database, run.execution_id, name, limits, NOON).answer == "yes"
    ledger.end(ended, usd("0.004"), NOON)
    said = admit(ledger.database, third.execution_id, "c", replace(limits, everyone=usd("0.501")), NOON)
    assert said.budget == BudgetReached("everyone", usd("0.004"), usd("0.501"))
    assert said.why.startswith("0.004 USD are spent today (UTC), 0.50 are reserved by runs under way, and this run may")


def test_what_was_refused_reserves_nothing(ledger: Ledger) -> None:
    first = ledger.start("a", NOON)
    assert (
        admit(ledger.database, first.execution_id, "a", SpendingLimits(usd("2"), None, usd("1")), NOON).answer == "no"
    )
    assert spent(ledger.database, at("00:00"), at("06T00:00")) == Spent(usd("0"), usd("0"))


def test_a_strategys_budget_counts_its_own_runs_and_everyones_counts_all(ledger: Ledger) -> None:
    for name, cost in (("a", "0.40"), ("b", "0.70")):
        run = ledger.start(name, NOON)
        admit(ledger.database, run.execution_id, name, SpendingLimits(usd("1"), None, None), NOON)
        ledger.end(run, usd(cost), NOON)
    third = ledger.start("a", NOON)
    assert (
        admit(
            ledger.database, third.execution_id, "a", SpendingLimits(usd("0.6"), usd("1.00"), usd("1.70")), NOON
        ).answer
        == "yes"
    )
    ledger.end(third, usd("0"), NOON)
    fourth = ledger.start("a", NOON)
    own = admit(ledger.database, fourth.execution_id, "a", SpendingLimits(usd("0.6"), usd("0.99"), usd("1.70")), NOON)
    everyones = admit(
        ledger.database, fourth.execution_id, "a", SpendingLimits(usd("0.6"), usd("1.00"), usd("1.69")), NOON
    )
    assert own.budget is not None
    assert everyones.budget is not None
    said = [(own.answer, own.budget.scope), (everyones.answer, everyones.budget.scope)]
    assert said == [("no", "strategy"), ("no", "everyone")]


def test_an_unknown_cost_counts_as_the_runs_limit(ledger: Ledger) -> None:
    unknown, killed, asked_nothing = (ledger.start(name, NOON) for name in "abc")
    for run, name in ((unknown, "a"), (killed, "b")):
        admit(ledger.database, run.execution_id, name, SpendingLimits(usd("0.30"), None, None), NOON)
    ledger.end(unknown, None, NOON)
    ledger.kill(killed)
    ledger.kill(asked_nothing)
    assert spent(ledger.database, at("00:00"), at("06T00:00")) == Spent(usd("0.60"), usd("0"))


def test_a_new_day_has_its_own_budget_and_a_run_counts_on_the_day_on_which_it_was_admitted(ledger: Ledger) -> None:
    before, after = at("23:59:58"), at("06T00:00:10")
    limits = SpendingLimits(usd("0.50"), None, usd("0.60"))
    full, waited, third = (ledger.start(name, before) for name in "abc")
    assert admit(ledger.database, full.execution_id, "a", limits, before).answer == "yes"
    assert admit(ledger.database, waited.execution_id, "b", limits, before).answer == "wait"
    assert admit(ledger.database, waited.execution_id, "b", limits, after).answer == "yes"
    assert admit(ledger.database, third.execution_id, "c", limits, after).answer == "wait", (
        "it sees what the day has reserved"
    )
    ledger.end(full, usd("0.55"), after)
    ledger.end(waited, usd("0.45"), after)
    assert admit(ledger.database, third.execution_id, "c", limits, after).answer == "no"
    days = [spent(ledger.database, day, day + DAY).ended for day in (at("00:00"), at("06T00:00"))]
    assert days == [usd("0.55"), usd("0.45")]


class _Instant(SystemClock):
    """Stands still, and sleeps no longer than it takes to note that it did."""

    slept_s = 0.0

    def now(self) -> datetime:
        return NOON

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds


async def test_a_run_that_has_waited_for_room_in_vain_does_not_start(
    ledger: Ledger, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert execute.ADMISSION_S == 600
    monkeypatch.setattr(execute, "ADMISSION_S", 9)
    first, second, clock = ledger.start("a", NOON), ledger.start("b", NOON), _Instant()
    limits = SpendingLimits(usd("0.50"), None, usd("0.60"))
    assert admit(ledger.database, first.execution_id, "a", limits, NOON).answer == "yes"
    settings = RunnerSettings(home=home, budget_usd_per_day=usd("0.60"))
    runner = Runner(settings, ledger.journal, ledger.database, lambda: tool_server(settings), clock=clock)
    outcome = await runner._no_room(second)
    assert outcome is not None
    assert (outcome.status, outcome.cost_usd) == (Status.SKIPPED_BUDGET, usd("0"))
    assert clock.slept_s == 9
    ledger.end(first, usd("0.05"), NOON)
    assert await runner._no_room(second) is None


@dataclass
class Interleaving:
    """One day of runs that come, wait, end and die in an order that chance gives."""

    ledger: Ledger
    chance: random.Random
    day: datetime

    def __post_init__(self) -> None:
        cents = self.chance.randint
        self.everyone = Decimal(cents(100, 500)) / 100
        self.own = {name: self.chance.choice([None, Decimal(cents(60, 250)) / 100]) for name in "abc"}
        self.now = self.day
        self.waiting: list[tuple[Claimed, str, Decimal]] = []
        self.going_on: list[tuple[Claimed, str, Decimal]] = []
        self.turn = dict.fromkeys("abc", Decimal(0))
        self.admitted = self.refused = self.waits = 0

    def play(self, runs: int) -> None:
        while runs or self.waiting or self.going_on:
            self.now += timedelta(seconds=self.chance.randint(1, 60))
            step = self.chance.choice(["come", "ask", "end"])
            if step == "come" and runs:
                runs -= 1
                name = self.chance.choice("abc")
                limit = Decimal(self.chance.randint(10, 60)) / 100
                self.waiting.append((self.ledger.start(name, self.now), name, limit))
            elif step == "ask" and self.waiting:
                self.ask(self.chance.randrange(len(self.waiting)))
            elif step == "end" and self.going_on:
                self.end(*self.going_on.pop(self.chance.randrange(len(self.going_on))))
        self.check()

    def ask(self, which: int) -> None:
        run, name, limit = self.waiting[which]
        said = admit(
            self.ledger.database, run.execution_id, name, SpendingLimits(limit, self.own[name], self.everyone), self.now
        )
        if said.answer == "wait":
            self.waits += 1
            assert self.going_on, "nobody waits for nothing"
            return
        self.waiting.pop(which)
        if said.answer == "yes":
            self.admitted += 1
            self.going_on.append((run, name, limit))
        else:
            self.refused += 1
            self.ledger.end(run, Decimal(0), self.now)

    def end(self, run: Claimed, name: str, limit: Decimal) -> None:
        how = self.chance.random()
        if how < 0.15:
            self.ledger.kill(run)
        elif how < 0.3:
            self.ledger.end(run, None, self.now)
        elif how < 0.5:
            self.ledger.end(run, limit * self.chance.randint(0, 100) / 100, self.now)
        else:  # it reached its limit, and its last turn cost up to as much again
            last_turn = limit * self.chance.randint(50, 100) / 100
            self.turn[name] = max(self.turn[name], last_turn)
            self.ledger.end(run, limit + last_turn, self.now)

    def check(self) -> None:
        """Look at the end of the day: what is recorded never becomes less."""
        today = spent(self.ledger.database, self.day, self.day + DAY).ended
        each = {name: self.ledger.of(name, self.day) for name in "abc"}
        assert today == sum(each.values())
        assert today <= self.everyone + max(self.turn.values())
        for name, most in self.own.items():
            assert most is None or each[name] <= most + self.turn[name]


@pytest.mark.parametrize("interleavings", [3, pytest.param(40, marks=pytest.mark.long)])
def test_whatever_the_interleaving_no_budget_is_exceeded_by_more_than_one_last_turn(
    ledger: Ledger, interleavings: int
) -> None:
    days = []
    for seed in range(interleavings):
        days.append(Interleaving(ledger, random.Random(seed), at("00:00") + seed * DAY))  # noqa: S311
        days[-1].play(runs=6)
    admitted, refused, waits = (sum(getattr(day, what) for day in days) for what in ("admitted", "refused", "waits"))
    assert min(admitted, refused, waits) > interleavings / 2, "each was to happen often"
    over = sum(spent(ledger.database, day.day, day.day + DAY).ended > day.everyone for day in days)
    assert over > 0, "some last turn was to exceed a budget, or nothing was tried"


class Watched(SystemClock):
    """The machine's clock, which tells when somebody waits for admission, and shortens that."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody_waits = threading.Event()

    async def sleep(self, seconds: float) -> None:
        self.somebody_waits.set()
        await super().sleep(seconds / 10)


@pytest.fixture
def dip(home: Path) -> Strategy:
    """The strategy `dip` of two sub-agents."""
    what = agents(exchange="simulated", model="claude-sonnet-4-5", budget={"usd_per_run": 0.5})
    folder = home / "strategies" / "dip"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(what.config_json()))
    (folder / "agents.json").write_text(json.dumps(what.agents_json()))
    return what


@pytest.mark.long
async def test_of_three_runs_by_the_real_cli_the_second_waits_and_the_third_finds_the_day_spent(
    dip: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of three CLI processes each: that takes its seconds."""
    clock, go_on = Watched(), threading.Event()
    costly = Reply(calls=START_BOTH.calls, usage={"input_tokens": 10_000, "output_tokens": 20})
    with ScriptedMessagesApi(script(orchestrator=[Held(costly, go_on), answer(GOOD_ANSWER)])) as api:
        for name, value in {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": KEY,
            "TRADER_BUDGET_USD_PER_DAY": "0.55",
        }.items():
            monkeypatch.setenv(name, value)
        parts = Context()
        ended: list[Ended] = []

        async def run(address: Address) -> None:
            @asynccontextmanager
            async def shared() -> AsyncIterator[Address]:
                yield address

            runner = Runner(parts.settings, parts.journal, parts.database, shared, clock=clock)
            ended.append(await runner.run(dip, as_of=AS_OF))

        with anyio.fail_after(90):
            async with tool_server(parts.settings) as address, anyio.create_task_group() as tasks:
                try:
                    tasks.start_soon(run, address)
                    assert await anyio.to_thread.run_sync(api.arrived.wait, 60)
                    tasks.start_soon(run, address)
                    tasks.start_soon(run, address)
                    assert await anyio.to_thread.run_sync(clock.somebody_waits.wait, 60)
                finally:
                    go_on.set()
    assert [each.outcome.status for each in ended] == [Status.SUCCESS, Status.SUCCESS, Status.SKIPPED_BUDGET]
    costs = [each.outcome.cost_usd for each in ended]
    assert costs[0] == costs[1]
    assert costs[0] is not None
    assert Decimal("0.025") < costs[0] < Decimal("0.05")
    assert costs[2] == 0
    assert "USD are spent today" in (ended[2].outcome.error or "")
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    assert spent(parts.database, midnight - DAY, midnight + DAY) == Spent(2 * costs[0], Decimal(0))


def test_a_manual_run_obeys_the_budget_of_the_day(dip: Strategy, trader: Command, home: Path) -> None:
    with ScriptedMessagesApi({}) as api:
        names = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "TRADER_BUDGET_USD_PER_DAY": "0.49"}
        done = trader("run", dip.name, "--as-of", AS_OF.isoformat(), "--json", **names)
    assert (done.code, done.json["status"], done.json["signal"]) == (1, "skipped_budget", None)
    assert "0.50" in done.json["error"]
    assert "0.49 of TRADER_BUDGET_USD_PER_DAY" in done.json["error"]
    assert done.json["cost_usd"] == 0
    assert api.requests == [], "nothing was asked"
