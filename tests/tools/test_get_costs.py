"""get_costs: what runs cost by day and strategy, against sums made here of the same rows."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import naive
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from tests.rigs.journal_databases import journal_database
from tests.scheduler.slot_homes import spent
from tests.tools.conftest import NOW, Ask, Told, answer_of

pytestmark = pytest.mark.usefixtures("kept_in")
COLUMNS = ["day", "strategy", "runs", "cost_usd", "unknown", "reserved_usd", "replay_usd"]
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Paid:
    """One row of the journal, as far as it is about money."""

    strategy: int
    started: datetime
    ended: datetime | None
    status: str
    cost: Decimal | None
    reserved: Decimal | None = None
    reserved_at: datetime | None = None
    trigger: str = "schedule"
    earlier: Decimal | None = None

    def counts_at(self, until: datetime) -> datetime:
        """Return when it counts, as was known then: what it may cost was not known before it was allowed to."""
        return self.reserved_at if self.reserved_at is not None and self.reserved_at <= until else self.started


@pytest.fixture
def database(home: Path) -> Any:
    return journal_database(home)


@pytest.fixture
def enter(database: Database) -> Callable[[list[Paid]], None]:
    def enter(rows: list[Paid]) -> None:
        def work(connection: Any) -> None:
            for number in sorted({row.strategy for row in rows}):
                connection.execute(
                    "INSERT INTO strategies (id, name, description, status, interval, config, agents, version, "
                    "created_at, updated_at) VALUES (?, ?, '', 'active', '1h', '{}', '{}', 'v', ?, ?)",
                    [number, f"s{number}", naive(NOW), naive(NOW)],
                )
            values: list[Any] = []
            for at, row in enumerate(rows):
                times = [moment and naive(moment) for moment in (row.started, row.started, row.ended, row.reserved_at)]
                values += [at, row.strategy, row.trigger, f"k{at}", *times, row.status, row.cost, row.reserved]
                values += [row.earlier]
            holes = ", ".join(["(?, ?, 'v', ?, 'claude', ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(rows))
            connection.execute(
                "INSERT INTO executions (id, strategy_id, strategy_version, trigger, engine, run_key, as_of, "
                f"started_at, completed_at, reserved_at, status, cost_usd, reserved_usd, earlier_usd) VALUES {holes}",
                values,
            )

        database.write(work)

    return enter


def made(count: int, seed: int) -> list[Paid]:
    """Return runs of 40 days: known and unknown costs, under way, skipped; some allowed only on the day after.

    Some are of replays, of which a few were taken up again.
    """
    dice = random.Random(seed)  # noqa: S311 (no secret)
    rows = []
    for _ in range(count):
        started = NOW - timedelta(minutes=dice.randrange(40 * 24 * 60))
        kind = dice.choice(["known", "known", "unknown", "unpriced", "running", "skipped"])
        cost = Decimal(dice.randrange(1, 90)) / 100 if kind == "known" else Decimal(0) if kind == "skipped" else None
        reserved = Decimal("0.5") if kind in ("known", "unknown", "running") else None
        status = {"running": "running", "skipped": "skipped_budget"}.get(kind, dice.choice(["success", "error"]))
        late = started + timedelta(minutes=dice.choice([0, 0, 30])) if reserved else None
        ended = None if kind == "running" else started + timedelta(minutes=45)
        trigger = dice.choice(["schedule", "schedule", "replay"])
        earlier = dice.choice([None, Decimal("0.03")]) if trigger == "replay" else None
        rows.append(Paid(dice.randrange(1, 4), started, ended, status, cost, reserved, late, trigger, earlier))
    return rows


def by_hand(rows: list[Paid], since: datetime, until: datetime) -> list[list[Any]]:
    """Return the table, made without SQL, as it was known at `until`."""
    sums: dict[tuple[date, str], list[Any]] = {}
    for row in rows:
        replayed = row.trigger == "replay"
        if row.status.startswith("skipped") and not replayed:
            continue
        if not since <= row.counts_at(until) <= until or row.started > until:
            continue
        sum_ = sums.setdefault((row.counts_at(until).date(), f"s{row.strategy}"), [0, None, 0, Decimal(0), Decimal(0)])
        if replayed:
            known = row.ended is not None and row.ended <= until and row.cost is not None
            sum_[4] += row.cost if known else (_allowed(row, until) or 0) + (row.earlier or 0)
            continue
        sum_[0] += 1
        if row.ended is not None and row.ended <= until and row.cost is not None:
            sum_[1] = (sum_[1] or 0) + row.cost
        else:
            sum_[2] += 1
            unlimited = row.ended is not None and row.ended <= until and row.reserved is None
            sum_[3] = None if unlimited or sum_[3] is None else sum_[3] + (_allowed(row, until) or 0)
    order = sorted(sums, key=lambda key: (-key[0].toordinal(), key[1]))
    rounded = {
        key: [runs, _float(known) if runs else 0.0, unknown, _float(most), float(replays)]
        for key, (runs, known, unknown, most, replays) in sums.items()
    }
    return [[f"{day}", name, *rounded[day, name]] for day, name in order]


def _allowed(row: Paid, until: datetime) -> Decimal | None:
    return None if row.reserved_at is not None and row.reserved_at > until else row.reserved


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


MORE = [(1, None), (366, DAY)]


@pytest.mark.parametrize(
    ("days", "back"),
    [(30, None), (7, timedelta(days=9, hours=5)), *(pytest.param(*case, marks=pytest.mark.long) for case in MORE)],
)
async def test_each_day_and_strategy_is_added_up_as_it_was_known(
    ask: Ask, enter: Callable[[list[Paid]], None], days: int, back: timedelta | None
) -> None:
    rows = made(300, seed=days)
    enter(rows)
    until = NOW - (back or timedelta())
    answer = await ask("get_costs", days=days, **({"as_of": until.isoformat()} if back else {}))
    since = datetime(until.year, until.month, until.day, tzinfo=UTC) - (days - 1) * DAY
    table = by_hand(rows, since, until)
    assert answer["columns"] == COLUMNS
    assert answer["rows"] == table
    assert answer["since"] == f"{since:%Y-%m-%d}"
    assert answer["runs"] == sum(row[2] for row in table)
    assert answer["unknown"] == sum(row[4] for row in table)
    assert answer["cost_usd"] == pytest.approx(sum(row[3] or 0 for row in table))
    assert answer["replay_usd"] == pytest.approx(sum(row[6] for row in table))
    limits = [row[5] for row in table]
    assert answer["reserved_usd"] == (None if None in limits else pytest.approx(sum(limits)))


async def test_what_budgets_count_is_what_is_known_and_what_is_reserved(
    ask: Ask, enter: Callable[[list[Paid]], None], database: Database
) -> None:
    rows = [row for row in made(300, seed=5) if row.cost is not None or row.reserved]
    replayed = [row for row in rows if row.trigger == "replay" and row.started.date() == NOW.date()]
    assert replayed, "none of the budget's business"
    enter(rows)
    midnight = NOW.replace(hour=0, minute=0, second=0)
    answer = await ask("get_costs", days=1)
    counted = spent(database, midnight, midnight + DAY)
    assert answer["cost_usd"] + answer["reserved_usd"] == pytest.approx(float(counted.ended + counted.reserved))
    assert (await ask("list_strategies"))["spent_today_usd"] == pytest.approx(float(counted.ended + counted.reserved))


async def test_a_run_with_neither_a_cost_nor_a_limit_leaves_what_was_spent_unknown(
    ask: Ask, enter: Callable[[list[Paid]], None]
) -> None:
    paid = Paid(1, NOW - timedelta(hours=1), NOW, "success", Decimal("0.2"))
    enter([paid, Paid(1, NOW - timedelta(hours=2), NOW, "error", None)])
    answer = await ask("get_costs")
    assert (answer["cost_usd"], answer["unknown"], answer["reserved_usd"]) == (0.2, 1, None)
    assert (await ask("list_strategies"))["spent_today_usd"] is None


async def test_a_cost_that_is_not_known_is_null_and_runs_under_way_are_told_apart(
    ask: Ask, enter: Callable[[list[Paid]], None]
) -> None:
    ago = NOW - timedelta(minutes=5)
    limit = Decimal("0.4")
    enter([Paid(1, ago, NOW, "error", None, limit, ago), Paid(1, ago, None, "running", None, limit, ago)])
    answer = await ask("get_costs")
    assert answer["rows"] == [["2026-05-20", "s1", 2, None, 2, 0.8, 0.0]]
    assert (answer["cost_usd"], answer["unknown"], answer["running"], answer["reserved_usd"]) == (None, 2, 1, 0.8)


async def test_what_replays_cost_is_told_beside_the_rest_and_no_budget_counts_it(
    ask: Ask, enter: Callable[[list[Paid]], None]
) -> None:
    ago, limit = NOW - timedelta(hours=1), Decimal("0.5")
    replayed = partial(Paid, reserved=limit, reserved_at=ago, trigger="replay")
    rows = [replayed(1, ago, NOW, "success", Decimal("0.2")), replayed(1, ago, NOW, "error", None)]
    rows += [replayed(1, ago, None, "running", None, earlier=Decimal("0.03"))]
    rows += [Paid(1, ago, NOW, "skipped_budget", Decimal("0.04"), trigger="replay")]  # taken up again in vain
    enter([*rows, Paid(2, ago, NOW, "success", Decimal("0.1"))])
    answer = await ask("get_costs")
    assert answer["rows"] == [["2026-05-20", "s1", 0, 0.0, 0, 0.0, 1.27], ["2026-05-20", "s2", 1, 0.1, 0, 0.0, 0.0]]
    assert (answer["runs"], answer["cost_usd"], answer["unknown"], answer["running"]) == (1, 0.1, 0, 0)
    assert (answer["reserved_usd"], answer["replay_usd"]) == (0.0, 1.27)
    home = await ask("list_strategies")
    assert (home["spent_today_usd"], home["spent_month_usd"]) == (0.1, 0.1)


async def test_a_home_without_runs_has_spent_nothing_and_says_what_to_do(ask: Ask) -> None:
    answer = await ask("get_costs")
    assert (answer["rows"], answer["runs"], answer["cost_usd"], answer["unknown"]) == ([], 0, 0, 0)
    assert answer["replay_usd"] == 0
    assert "`claude-trader up`" in answer["note"]


@pytest.mark.parametrize("days", [0, 367])
async def test_days_have_bounds(ask: Ask, days: int) -> None:
    with pytest.raises(Told, match="days"):
        await ask("get_costs", days=days)


async def test_a_year_of_many_strategies_is_cut_and_goes_on_from_there(
    settings: ServerSettings, enter: Callable[[list[Paid]], None]
) -> None:
    late = NOW.replace(hour=23, minute=59, second=30) - DAY  # the last minute of a day is a part of it
    rows = [
        Paid(number, late - day * DAY, late - day * DAY, "success", Decimal("0.01"))
        for number in range(1, 31) for day in range(100)
    ]  # fmt: skip
    enter(rows)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        first = answer_of(await client.call_tool("get_costs", {"days": 366}))
        assert (first["runs"], len(first["rows"]) < len(rows)) == (3_000, True), "the totals are of all"
        until = f"{first['rows'][-1][0]}T23:59:59Z"
        assert until in first["note"]
        rest = answer_of(await client.call_tool("get_costs", {"days": 366, "as_of": until}))
    assert {tuple(row) for row in first["rows"] + rest["rows"]} == {
        tuple(row) for row in by_hand(rows, NOW - 366 * DAY, NOW)
    }
