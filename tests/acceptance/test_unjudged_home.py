"""The runs of a home that an earlier version made are judged by what their config said, and never anew."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import to_ms
from mcp_server.market.market import Market
from mcp_server.scoring.settle import Settlement, settle_due
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.outcomes import Outcomes
from mcp_server.storage.journal.rows import TERMS
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.restore import unpack
from tests.scoring.made_exchange import MadeExchange, market_of

ARCHIVES = Path(__file__).with_name("older_home")
NOW = datetime(2026, 5, 20, tzinfo=UTC)
FIRST = datetime(2026, 4, 28, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY_S = 86_400


@dataclass
class Opened:
    """A home of an earlier version, as a new process has it; exchanges but the simulated one are out of reach."""

    database: Database
    outcomes: Outcomes
    market: Market

    async def settle(self) -> Settlement:
        return await settle_due(self.outcomes, self.market, NOW, NOW, 60, keep=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.read(lambda c: c.execute(sql).fetchall())


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Opened]:
    elsewhere = MadeExchange(now_ms=to_ms(NOW))
    elsewhere.reachable = False
    market, folders = market_of(elsewhere, home), StrategyFolders(Home(home), examples_folder())
    database = Database(Home(home).database)
    try:
        yield Opened(database, Outcomes(database, folders, "coinbase"), market)
    finally:
        await market.close()


JUDGED_BY = (
    "SELECT s.name, e.horizon_s, e.cost_bps, count(DISTINCT e.decision_version), count(*) FROM executions e "
    "JOIN strategies s ON s.id = e.strategy_id WHERE e.definition = '1' AND e.exchange = 'simulated' "
    "AND e.symbol = 'BTC/USDT' AND e.timeframe = '1h' GROUP BY ALL ORDER BY ALL"
)


async def test_each_run_is_judged_by_the_version_that_ran(home: Path) -> None:
    unpack(ARCHIVES / "unjudged.tar.gz", home.parent)
    async with opened(home) as older:
        signals = older.rows("SELECT execution_id, signal, confidence, price FROM analysis_results ORDER BY id")
        settled = await older.settle()
        assert (len(settled.outcomes), settled.unsettled) == (15, [])
        assert older.rows(JUDGED_BY) == [
            ("edited", 7_200, 30.0, 1, 1),
            ("edited", 21_600, 90.0, 1, 1),
            ("edited", DAY_S, 30.0, 1, 2),
            ("gone", 10_800, 30.0, 1, 1),
            ("hourly", DAY_S, 30.0, 1, 11),
        ]
        assert older.rows("SELECT count(*) FROM executions WHERE decision_version IS NULL") == [(0,)]
        assert older.rows("SELECT execution_id, signal, confidence, price FROM analysis_results ORDER BY id") == signals
        records = older.outcomes.records(NOW)
        assert [(r.strategy, r.kind, len(r.status), r.missed, set(r.state.tolist())) for r in records] == [
            ("edited", "manual", 4, 0, {1}),
            ("gone", "live", 1, 0, {1}),
            ("hourly", "live", 9, 2, {1}),
            ("hourly", "replay", 1, 0, {1}),
        ], "a pause and another horizon began no new record"


async def test_its_outcomes_are_what_the_market_did(home: Path) -> None:
    """The tool settles them; the prices are asked for with another one, a candle at a time."""
    unpack(ARCHIVES / "unjudged.tar.gz", home.parent)
    async with Client(build_server(ServerSettings(home=home), clock=lambda: NOW), raise_exceptions=True) as client:

        async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
            answer: dict[str, Any] | None = (await client.call_tool(tool, arguments)).structured_content
            assert answer is not None
            return answer

        async def candle(closed_by: datetime) -> list[Any]:
            market = {"symbol": "BTC/USDT", "exchange": "simulated", "timeframe": "1h"}
            at = closed_by.replace(tzinfo=UTC).isoformat()
            row: list[Any] = (await ask("get_ohlcv", **market, limit=1, as_of=at))["rows"][0]
            return row

        scores = await ask("get_performance", runs="all")
        judged = [scores["columns"].index(name) for name in ("strategy_name", "runs", "judged", "pending", "void")]
        assert [[row[at] for at in judged] for row in scores["rows"]] == [
            ["edited", 4, 4, 0, 0],
            ["gone", 1, 1, 0, 0],
            ["hourly", 9, 9, 0, 0],
            ["hourly", 1, 1, 0, 0],
        ]
        async with opened(home) as older:
            rows = older.rows(
                "SELECT entry_time, entry_price, exit_time, exit_price, r, funding_bps FROM outcomes o "
                "JOIN executions e ON e.id = o.execution_id JOIN strategies s ON s.id = e.strategy_id "
                "WHERE s.name <> 'hourly' ORDER BY e.id"
            )
        hours = [(3, 2), (4, 6), (5, 24), (6, 24), (4, 3)]
        assert [(entry, exit_) for entry, _, exit_, *_ in rows] == [
            tuple((FIRST + at * HOUR).replace(tzinfo=None) for at in (begin, begin + held)) for begin, held in hours
        ]
        for entry, entry_price, exit_, exit_price, r, funding_bps in rows:
            assert (entry_price, exit_price) == ((await candle(entry + HOUR))[1], (await candle(exit_))[4])
            assert (r, funding_bps) == (pytest.approx(exit_price / entry_price - 1, rel=1e-12), 0)


async def test_what_was_judged_once_stays_whatever_is_edited_later(home: Path) -> None:
    unpack(ARCHIVES / "unjudged.tar.gz", home.parent)
    async with opened(home) as older:
        await older.settle()
        frozen, outcomes = older.rows(JUDGED_BY), older.rows("SELECT * FROM outcomes ORDER BY execution_id")
    config = home / "strategies" / "edited" / "config.json"
    config.write_text(config.read_text().replace('"1h"', '"4h"').replace("close >", "open >"))
    async with opened(home) as again:
        assert (await again.settle()).outcomes == []
        assert again.rows(JUDGED_BY) == frozen
        assert again.rows("SELECT * FROM outcomes ORDER BY execution_id") == outcomes


async def test_a_home_from_before_that_is_judged_where_its_market_can_be_asked(home: Path) -> None:
    unpack(ARCHIVES / "home.tar.gz", home.parent)
    async with opened(home) as older:
        settled = await older.settle()
        assert {unsettled.series.exchange for unsettled in settled.unsettled} == {"coinbase", "kraken"}
        lacks = " OR ".join(f"{column} IS NULL" for column in TERMS)
        assert older.rows(f"SELECT count(*) FROM executions WHERE {lacks}") == [(0,)]
        ends = (
            "SELECT e.exchange, coalesce(o.state, 'pending'), count(*) FROM executions e LEFT JOIN outcomes o "
            "ON o.execution_id = e.id WHERE e.status = 'success' GROUP BY ALL ORDER BY ALL"
        )
        assert older.rows(ends) == [
            ("coinbase", "pending", 2),
            ("kraken", "pending", 2),
            ("simulated", "judged", 13),
        ]
        failed = (
            "SELECT count(*) FROM outcomes o JOIN executions e ON e.id = o.execution_id WHERE e.status <> 'success'"
        )
        assert older.rows(failed) == [(0,)]


async def test_of_older_runs_only_those_by_a_model_at_a_past_moment_are_left_out(home: Path) -> None:
    """Nobody noted what their model knew. Slots count, however late they began, and rules know nothing."""
    unpack(ARCHIVES / "home.tar.gz", home.parent)
    async with opened(home) as older:
        late = (
            "SELECT count(*), count(CASE WHEN \"trigger\" = 'schedule' THEN 1 END) FROM executions "
            "WHERE engine = 'claude' AND status = 'success' AND started_at - as_of > INTERVAL 50 SECOND"
        )
        assert older.rows(late) == [(2, 2)]
        before = {(one.strategy, one.kind): one for one in older.outcomes.records(NOW)}
        assert {one.left_out.runs for one in before.values()} == {0}
        by_hand = "SELECT id FROM executions WHERE \"trigger\" = 'manual' AND status = 'success'"
        past = [id_ for (id_,) in older.rows(by_hand)]
        assert len(past) == 3
        older.database.write(
            lambda c: c.execute("UPDATE executions SET engine = 'claude' WHERE list_contains(?, id)", [past])
        )
        after = [one for one in older.outcomes.records(NOW) if one.kind == "manual"]
        assert sum(one.left_out.runs for one in after) == 3
        assert not {id_ for one in after for id_ in one.execution_id.tolist()} & {*past}
