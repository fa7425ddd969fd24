"""Signals are judged by the real tool server: what that does to a strategy with `stop`, and to what is told of it."""

import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from runner.notify.events import Event
from runner.notify.weekly import weekly_summary
from runner.scheduler.records import Ask, Record, Records
from runner.scheduler.skill_stop import SkillStop
from runner.scheduler.troubles import Troubles
from runner.tool_server.client import Tools
from tests.rigs.fast_clock import FastClock
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import journal_url, until_missed
from tests.rigs.processes import left
from tests.rigs.running_up import RunningUp
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, hourly, strategy, write
from tests.scoring.journal import MadeRun, enter_runs

pytestmark = pytest.mark.usefixtures("kept_in")
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
TERMS = {"exchange": "simulated", "trading_pair": "BTC/USDT", "horizon": "1h", "costs": {"fee_bps": 500}}
"""Each signal costs a tenth of the price, which no hour of the market brings."""

LOSES = hourly("loses", stop={"no_skill": 0.05}, **TERMS)
SELLS = strategy(
    "sells", cron="* * * * *", status="paused", rules={"timeframe": "1h", "sell": "close > 1"}, **TERMS
)  # fmt: skip


def gave_signals(machine: Machine, who: Strategy, first: datetime, count: int) -> None:
    """Enter hourly slots of a strategy that ended as BUY."""
    slots = [to_ms(first + timedelta(hours=hour)) for hour in range(count)]
    enter_runs(machine.root, who, [MadeRun(slot, "BUY", 60) for slot in slots])
    # They were entered with numbers of their own, which no later run must get.
    taken = "SELECT nextval('execution_ids') FROM generate_series(1, ?)"
    machine.database.write(lambda c: c.execute(taken, [count]).fetchall())


class Judged:
    """Looks of the records' keeper, one by one, at a home that a real tool server judges."""

    def __init__(self, machine: Machine, tools: Tools) -> None:
        self.machine, self.tools = machine, tools
        self.told: list[Event] = []
        self.seen: Mapping[str, Record] = {}
        self.scheduled = [LOSES]
        stop = SkillStop(
            lambda: self.scheduled, machine.database, machine.folders, "simulated",
            lambda: BEGIN + timedelta(days=365), self.told.append,
        )  # fmt: skip
        self.troubles = Troubles()
        self.records = Records(
            self._connect, HandClock(BEGIN), machine.database, "simulated", lambda: False, self.troubles,
            self.told.append, [self._note, stop],
        )  # fmt: skip

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Tools]:
        yield self.tools

    async def _note(self, records: Mapping[str, Record], _: Ask) -> None:
        self.seen = records

    async def look(self) -> str:
        """Look once; give the strategy's status after it."""
        await self.records._look()
        assert self.troubles.reasons() == []
        return self.machine.folders.read("loses").config.status


@pytest.mark.parametrize("resumed", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_a_strategy_without_skill_is_judged_paused_and_told_and_after_a_resume_judged_anew(
    home: Path, *, resumed: bool
) -> None:
    """In `make test`, `test_skill_stop.py` has what counts after a resume."""
    machine = Machine(home)
    write(home, LOSES)
    machine.adopt(LOSES, BEGIN - timedelta(minutes=30))
    gave_signals(machine, LOSES, BEGIN, 12)
    url = journal_url(home)
    settings = ServerSettings(home=home, exchange="simulated", database_url=None if url is None else SecretStr(url))
    async with Client(build_server(settings)) as client:
        judged = Judged(machine, Tools(client))
        assert await judged.look() == "active"
        assert judged.records.sentence(LOSES) == "12 judged: too few to say"
        gave_signals(machine, LOSES, BEGIN + timedelta(days=1), 48)
        assert await judged.look() == "paused"
        (event,) = judged.told
        assert (event.kind, event.fields["minimum_edge_pct"], event.fields["limit"]) == ("no_skill", "0", "20")
        assert float(event.fields["mean_net_pct"]) < -5
        assert float(event.fields["e_value"]) >= 20
        summary = weekly_summary(judged.seen.values(), BEGIN)
        assert summary is not None
        assert summary.fields["strategies"].startswith("loses: 60 signals, 60 judged, 0 right (0 %, base rate ")

        if not resumed:
            return
        resumed_at = BEGIN + timedelta(days=9)
        judged.scheduled = [machine.folders.set_status("loses", "active")[0]]
        machine.adopt(judged.scheduled[0], resumed_at)
        assert await judged.look() == "active", "what was judged before no longer counts against it"
        gave_signals(machine, judged.scheduled[0], resumed_at + timedelta(hours=1), 12)
        assert await judged.look() == "active", "too few since then"
        gave_signals(machine, judged.scheduled[0], resumed_at + timedelta(days=1), 48)
        assert await judged.look() == "paused"
    assert len({event.key for event in judged.told}) == 2
    assert machine.ask("SELECT state, count(*) FROM outcomes GROUP BY state") == [("judged", 120)]


def notices(home: Path, kind: str) -> list[dict[str, str]]:
    every = [json.loads(file.read_text()) for file in (home / "notices").rglob("*.json")]
    return [notice["fields"] for notice in every if notice["kind"] == kind]


def logs_where_its_page_is(up: RunningUp) -> None:
    """Check that it logs that, and so tells its heartbeat, and that the page is there."""
    address = up.says(" in a browser").rpartition("Open ")[2].partition(" ")[0]
    up.until(lambda: f"Open {address} in a browser" in up.beat()["page"])
    page = httpx2.get(address, trust_env=False)
    assert (page.status_code, "<title>Claude Trader</title>" in page.text) == (200, True)


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_up_judges_by_itself_names_the_record_so_far_and_sends_one_summary_a_week_also_after_a_kill(
    home: Path, *, killed: bool
) -> None:
    """In `make test`, `test_weekly.py` has the summary after a restart."""
    machine = Machine(home)
    write(home, SELLS)
    gave_signals(machine, SELLS, BEGIN, 12)
    gave_signals(machine, hourly("gone", **TERMS), BEGIN, 1)
    clock = FastClock(60.0, BEGIN + timedelta(days=2))
    environment = {"TRADER_EXCHANGE": "simulated", "TRADER_SUMMARY": "weekly", "TRADER_NOTIFY": "json://127.0.0.1:9/"}

    def up() -> RunningUp:
        return RunningUp(
            home, start=BEGIN + timedelta(days=2), epoch_s=clock.epoch_s, environment=environment, warm_server=True
        )

    def judged() -> int:
        return int(machine.ask("SELECT count(*) FROM outcomes")[0][0])

    with up() as running:
        logs_where_its_page_is(running)
        running.until(lambda: notices(home, "summary"))
        assert judged() == 13
        machine.folders.set_status("sells", "active")
        running.until(lambda: list((home / "analysis" / "sells").glob("*.md")))
        children = running.children()
        running.signal(signal.SIGKILL)
        running.process.wait(10)
        assert left(children, within_s=2.0) == [], "nothing of it runs any more"
    (told,) = notices(home, "signal")
    assert (told["before"], told["signal"]) == ("BUY", "SELL")
    assert told["record"] == "Record so far: 12 judged: too few to say."
    (report,) = (home / "analysis" / "sells").glob("*.md")
    assert "| record so far | 12 judged: too few to say |" in report.read_text()
    if killed:
        with up() as running:
            running.until(lambda: judged() > 13)
            assert running.stop() == 0
    (summary,) = notices(home, "summary")
    assert summary["week"] == "2026-01-05"
    assert summary["strategies"].startswith("sells: 12 signals, 12 judged, 0 right")
    assert "gone" not in summary["strategies"], "its folder was removed"

    later = clock.now().replace(second=30) + timedelta(minutes=10)
    if machine.ask("SELECT 1 FROM executions WHERE status = 'running'"):  # else nobody would be missed
        until_missed(machine.database)
    async with driven(machine, later):
        pass
    since = machine.slot_store.stored_schedules()["sells"].since.replace(second=0, microsecond=0, tzinfo=None)
    rows = machine.ask(
        "SELECT scheduled_at, e.slots FROM executions e WHERE scheduled_at > ? AND e.status <> 'running' ORDER BY 1",
        since,
    )
    accounted = [first + timedelta(minutes=minute) for first, slots in rows for minute in range(slots)]
    due = range(1, (later.replace(tzinfo=None) - since) // timedelta(minutes=1) + 1)
    assert accounted == [since + timedelta(minutes=minute) for minute in due], "the next life has each slot once"
