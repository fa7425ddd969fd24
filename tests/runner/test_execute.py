"""A claimed run is finished whatever happens to it, by the one function that carries runs out."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import NOTHING_SPENT, Blame, Ended, Outcome, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.budget import SpendingLimits, admit
from mcp_server.storage.journal.carry_out import Begin, Decide, carry_out
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from runner import execute
from runner.claude import engine
from runner.claude.engine import ClaudeTask
from runner.claude.twin import with_twin
from runner.cli.context import Context
from runner.clock import SystemClock
from runner.execute import Runner
from runner.tool_server.client import Tools
from runner.tool_server.server import Address
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import strategy as agents

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DECIDED = Outcome(Status.ABSTAINED, error="no candle", **NOTHING_SPENT)


async def decides(begin: Begin) -> Outcome:
    begin()
    return DECIDED


async def is_stopped_in_its_turn(begin: Begin) -> None:
    begin()


async def is_stopped_before_its_turn(_: Begin) -> None:
    return None


async def breaks(begin: Begin) -> Outcome:
    begin()
    raise MemoryError


async def breaks_beside_its_twin(begin: Begin) -> Outcome:
    begin()
    return await with_twin(partial(breaks, begin), few_tools, agents(rules={"buy": "close > 1"}), "simulated", NOON, ())


async def hangs(begin: Begin) -> Outcome:
    begin()
    await anyio.sleep_forever()
    raise AssertionError


CASES: dict[str, tuple[Decide, Status, Blame | None, bool]] = {
    "it decides": (decides, Status.ABSTAINED, None, True),
    "it is stopped in its turn": (is_stopped_in_its_turn, Status.ERROR, "runner", True),
    "it is stopped before its turn": (is_stopped_before_its_turn, Status.MISSED, None, False),
    "it breaks": (breaks, Status.ERROR, "strategy", True),
    "it breaks beside its twin": (breaks_beside_its_twin, Status.ERROR, "strategy", True),
    "its task is cancelled": (hangs, Status.ERROR, "runner", True),
}


class ImpatientClock(SystemClock):
    """The machine's clock, on which nobody waits."""

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


class FewTools:
    """What a run by Claude asks of the tool server before it begins."""

    async def listed(self) -> tuple[dict[str, bool], frozenset[str]]:
        return {"get_price": True, "calculate_rsi": True}, frozenset({"get_price", "calculate_rsi"})

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"symbol": arguments["symbol"], "price": 42.5}


class HangingTools(FewTools):
    """A tool server that lists its tools and then answers nothing."""

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError


@asynccontextmanager
async def hanging_tools() -> AsyncIterator[Tools]:
    yield cast(Tools, HangingTools())


@asynccontextmanager
async def no_server() -> AsyncIterator[Address]:
    yield Address("http://127.0.0.1:9/mcp", None)


@asynccontextmanager
async def few_tools() -> AsyncIterator[Tools]:
    yield cast(Tools, FewTools())


@pytest.fixture
def journal(home: Path) -> Journal:
    at = Home(home)
    return Journal(Database(at.database, prepare=at.prepare), at)


@pytest.mark.parametrize(("decide", "status", "blame", "begun"), CASES.values(), ids=CASES.keys())
async def test_a_claimed_run_is_finished_whatever_happens(
    journal: Journal, home: Path, decide: Decide, status: Status, blame: Blame | None, begun: bool
) -> None:
    strategy = parse_strategy("s", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    claimed = journal.claim(Run(strategy, "schedule", NOON, "rules", NOON))
    finished: list[Ended] = []

    async def finish(outcome: Outcome, began_at: datetime | None) -> Ended:
        finish: Callable[[], Ended] = partial(journal.finish, claimed, outcome, datetime.now(UTC), began_at=began_at)
        finished.append(await anyio.to_thread.run_sync(finish))
        return finished[-1]

    with anyio.move_on_after(0.2):
        await carry_out(claimed, decide, finish, SystemClock().now)
    (ended,) = finished
    assert (ended.outcome.status, ended.outcome.blame, ended.began_at is not None) == (status, blame, begun)
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.why) == (status, ended.outcome.error)
    assert ("unexpected MemoryError" in (entry.why or "")) == decide.__name__.startswith("breaks")
    assert list(Home(home).running.iterdir()) == []


async def test_a_run_for_which_no_budget_has_room_in_time_never_starts(
    journal: Journal, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "ADMISSION_S", 3)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with ScriptedMessagesApi({}) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        parts, dip = Context(), agents(budget={"usd_per_day": "0.90"})
        runner = Runner(parts.settings, journal, parts.database, no_server, few_tools, clock=ImpatientClock())
        now = datetime.now(UTC)
        running = journal.claim(Run(dip, "manual", now, "claude", now))
        limits = SpendingLimits(Decimal("0.50"), Decimal("0.90"), None)
        assert admit(parts.database, running.execution_id, dip.name, limits, now).answer == "yes"
        ended = await runner.run(dip)
    assert api.requests == []
    assert (ended.outcome.status, ended.outcome.cost_usd) == (Status.SKIPPED_BUDGET, Decimal(0))
    assert "0.50 are reserved by runs under way" in (ended.outcome.error or "")


@pytest.mark.skipif(sys.platform == "win32", reason="the claude engine needs Linux or macOS")
async def test_a_tool_server_that_gives_no_price_in_time_ends_a_run_before_a_model_is_asked(
    journal: Journal, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "PREPARE_S", 0.3)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with ScriptedMessagesApi({}) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        parts = Context()
        ended = await Runner(parts.settings, journal, parts.database, no_server, hanging_tools).run(agents())
    outcome = ended.outcome
    assert api.requests == []
    assert (outcome.status, outcome.blame, outcome.cost_usd) == (Status.TIMEOUT, "outside", Decimal(0))
    assert "did not answer" in (outcome.error or "")


async def test_a_run_that_is_taken_up_again_pays_under_the_name_of_the_attempt_that_has_paid_before(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid_by = list[str | None]()

    async def heard(task: ClaudeTask) -> Outcome:
        paid_by.append(task.run_key)
        return DECIDED

    async def room(_: Claimed) -> None:
        return None

    monkeypatch.setattr(engine, "run_claude", heard)
    parts, address = Context(), Address("http://127.0.0.1:9/mcp", None)
    asking = Runner(parts.settings, journal, parts.database, no_server, few_tools, admit=room)
    for earlier in ("first", None):
        claimed = Claimed(1, Run(agents(), "replay", NOON, "claude", NOON), "second", None, earlier_payer=earlier)
        await asking._asked(claimed, address, {}, None)
    assert paid_by == ["first", "second"]


class OtherName(FewTools):
    """A tool server that names the market as its exchange does, and says what rules decide."""

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "symbol": "BTC/USDT", "price": 42.5, "signal": "SELL", "asked": name}


@pytest.mark.skipif(sys.platform == "win32", reason="the claude engine needs Linux or macOS")
async def test_a_run_by_claude_has_one_tool_server_for_its_twin_too_and_both_names_of_its_market(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, tasks, names = list[str](), list[ClaudeTask](), set[str]()

    async def heard(task: ClaudeTask) -> Outcome:
        tasks.append(task)
        names.update(await task.names() or ())
        return DECIDED

    @asynccontextmanager
    async def serving() -> AsyncIterator[Address]:
        started.append("one")
        yield Address("http://127.0.0.1:9/mcp", None)

    @asynccontextmanager
    async def tools(address: Address) -> AsyncIterator[Tools]:
        assert address.url == "http://127.0.0.1:9/mcp"
        yield cast(Tools, OtherName())

    monkeypatch.setattr(engine, "run_claude", heard)
    monkeypatch.setattr(execute, "connected", tools)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    parts = Context()
    await Runner(parts.settings, journal, parts.database, serving).run(
        agents(rules={"sell": "close > 0"}, trading_pair="XBT-USDT")
    )
    assert started == ["one"]
    assert names == {"XBT-USDT", "BTC/USDT"}
    assert tasks[0].recorder is None, "as of now"


async def test_a_run_by_claude_is_told_which_tools_look_at_a_market_and_which_do_more_than_look(
    home: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = list[ClaudeTask]()

    async def heard(task: ClaudeTask) -> Outcome:
        tasks.append(task)
        return DECIDED

    async def room(_: Claimed) -> None:
        return None

    monkeypatch.setattr(engine, "run_claude", heard)
    parts, address = Context(), Address("http://127.0.0.1:9/mcp", None)
    async with Client(build_server(ServerSettings(home=home, exchange="simulated"))) as client:

        @asynccontextmanager
        async def tools() -> AsyncIterator[Tools]:
            yield Tools(client)

        asking = Runner(parts.settings, journal, parts.database, no_server, tools, admit=room)
        await asking._asked(Claimed(1, Run(agents(), "manual", NOON, "claude", NOON), "a run", None), address, {}, None)
    (task,) = tasks
    assert task.market_tools >= {"get_price", "get_ohlcv", "calculate_rsi", "calculate_indicators"}
    assert task.market_tools.isdisjoint({"query_journal", "find_indicators", "write_strategy"})
    assert (task.tools["get_price"], task.tools["write_strategy"]) == (True, False)
