"""Two machines with one journal: `claude-trader up` twice, each on a home of its own, on one real Postgres."""

import json
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import IN_POSTGRES, journal_url, postgres_url
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.runner.test_metrics import free_port
from tests.scheduler.slot_homes import at
from tests.storage.postgres.test_fellow_runners import Fellow

pytestmark = IN_POSTGRES
NAMES = ("one", "two", "three")
MINUTE = timedelta(minutes=1)
SLOTS = (
    "SELECT s.name, e.scheduled_at, e.slots, e.status, e.run_key FROM executions e JOIN strategies s "
    "ON s.id = e.strategy_id WHERE e.\"trigger\" = 'schedule' ORDER BY s.name, e.scheduled_at"
)


class Machines:
    """Homes with the same strategies; each says which runner's key it has had."""

    def __init__(self, folder: Path, ends: ExitStack, url: str) -> None:
        self._folder, self._ends, self._environment = folder, ends, {"TRADER_DATABASE_URL": url}
        self.database = PostgresDatabase(PostgresAddress.of(url))
        self._epoch_s: float | None = None

    def up(self, name: str) -> RunningUp:
        home = self._folder / name / "home"
        for strategy in NAMES:
            write_strategy(home, strategy)
        self.metrics_port = free_port()
        started = RunningUp(
            home,
            epoch_s=self._epoch_s,
            metrics_port=self.metrics_port,
            environment=self._environment,
            warm_server=True,
        )
        self._epoch_s = started.clock.epoch_s
        return self._ends.enter_context(started)

    def rows(self) -> list[tuple[Any, ...]]:
        return self.database.read(lambda connection: connection.execute(SLOTS).fetchall())

    def connections(self) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE ?"
        names = "claude-trader on %"
        return int(self.database.read(lambda connection: connection.execute(query, [names]).fetchall())[0][0])

    def runners(self) -> set[str]:
        return {key.partition(".")[0] for *_, status, key in self.rows() if status == "success"}


def check_http(machines: Machines, up: RunningUp) -> None:
    """Check what `/health` and `/metrics` of the runner that was started last say."""
    server = up.says("it answers at http").partition("it answers at ")[2].partition("/mcp")[0]
    health = httpx2.get(f"{server}/health", trust_env=False)
    metrics = httpx2.get(f"http://127.0.0.1:{machines.metrics_port}/metrics", trust_env=False)
    checks = json.loads(health.text)["checks"]
    assert checks["database"] == {"ok": True}
    assert checks["strategies"] == {"ok": True, "valid": len(NAMES)}
    assert f"claude_trader_scheduled {len(NAMES)}.0\n" in metrics.text
    counted = [line for line in metrics.text.splitlines() if line.startswith('claude_trader_slots_total{outcome="succ')]
    assert 0 < sum(float(line.split()[-1]) for line in counted) <= len(machines.rows())


def differ(up: RunningUp) -> list[str]:
    """Return what `status`, the page and the others say of a runner whose machine differs."""
    beat = Heartbeat(Home(up.home).heartbeat).read()
    return [problem for problem in (beat.problems if beat else ()) if "do not have the same strategies" in problem]


async def test_one_runs_on_postgres_and_tells_of_a_fellow_that_has_other_strategies(
    tmp_path: Path,
) -> None:
    beside = tmp_path / "beside"
    with ExitStack() as ends:
        machines = Machines(tmp_path, ends, journal_url(beside) or "")
        ends.callback(machines.database.close)
        fellow = Fellow(beside, HandClock(at("12:00")), "beta (process 2)")
        ends.callback(fellow.end)
        fellow.has = dict.fromkeys(NAMES, ("v9", "active"))
        await fellow.look()
        up = machines.up("a")
        up.until(machines.runners)
        check_http(machines, up)
        assert "'one': version " in up.until(lambda: differ(up))[0]
        assert up.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize("kills", [8])
def test_two_that_share_a_journal_run_each_slot_once_and_go_on_for_one_that_is_killed(
    tmp_path: Path, kills: int
) -> None:
    with ExitStack() as ends:
        machines = Machines(tmp_path, ends, postgres_url())
        ends.callback(machines.database.close)
        stays, goes = machines.up("a"), machines.up("b")
        stays.until(lambda: len(machines.runners()) == 2)
        check_http(machines, goes)
        for _ in range(kills):
            before = machines.runners()
            goes.process.kill()
            goes.process.wait(10)
            count = len(machines.rows())
            stays.until(lambda count=count: len(machines.rows()) >= count + 2 * len(NAMES))  # type: ignore[misc]
            goes = machines.up("b")
            goes.until(lambda before=before: machines.runners() - before)  # type: ignore[misc]
        assert differ(stays) == []
        assert machines.connections() <= 2 * 3 + 1, "three of each, and this test's own"
        edit(goes.home, "one", description="edited on one machine alone")
        assert "'one': version " in stays.until(lambda: differ(stays))[0]
        assert "'one': version " in goes.until(lambda: differ(goes))[0]
        write_strategy(goes.home, "one")
        stays.until(lambda: not differ(stays))
        assert stays.log.count("Runners of this journal do not have the same strategies") == 1
        assert [up.stop() for up in (stays, goes)] == [0, 0]
        rows = machines.rows()
        assert len(machines.runners()) >= kills + 2
    assert {status for *_, status, _ in rows} <= {"success", "error", "skipped_overlap", "missed", "skipped_stale"}
    taken = Counter((name, slot) for name, slot, *_ in rows)
    assert set(taken.values()) == {1}, "no slot has two rows"
    for name in NAMES:
        own = [row for row in rows if row[0] == name]
        slots = sum(row[2] for row in own)
        assert own[-1][1] - own[0][1] <= (slots - 1) * MINUTE, "none is lost"
