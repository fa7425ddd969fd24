"""list_strategies: how everything stands, as a home's page needs it: quick, of any moment, and never another truth."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import iso, naive, to_ms
from mcp_server.errors import NoSpace
from mcp_server.overview_cache import OverviewCache
from mcp_server.scoring.record_sentences import RecordSentences
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from tests.rigs import sample_strategies as names
from tests.rigs.sample_home import SampleHome, sample_home
from tests.rigs.sampled import sampled
from tests.scoring.journal import CONFIG, MadeRun, database_of, enter_runs, store_candles, write_strategy
from tests.scoring.many_signals import walk
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import answer_of

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
HOUR_MS = 3_600_000
FIRST = ["name", "origin", "engine", "trading_pair", "schedule", "status", "description"]
SIGNALS = "SELECT id FROM executions WHERE status = 'success'"
THEN = datetime(2026, 5, 18, 18, 0, 20, tzinfo=UTC)
"""A run of that time ended 13 s later."""


@pytest.fixture
def sample(home: Path) -> Iterator[SampleHome]:
    filled = sample_home(home, NOW)
    yield filled
    filled.close()


async def listed(home: Path, *, as_of: datetime | None = None, now: datetime = NOW, **more: Any) -> dict[str, Any]:
    settings = ServerSettings(home=home, exchange="simulated", as_of=as_of and as_of.isoformat(), **more)
    async with Client(build_server(settings, clock=lambda: now)) as client:
        return answer_of(await client.call_tool("list_strategies", {}))


def own(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    return {row["name"]: row for row in rows if row["origin"] == "home"}


async def test_each_strategy_is_told_with_next_slot_last_run_and_record(sample: SampleHome) -> None:
    answer = await listed(sample.root)
    assert answer["columns"][:7] == FIRST, "older clients read these by their place"
    rows = own(answer)
    beat = Heartbeat(sample.home.heartbeat).read()
    assert beat is not None
    assert beat.due is not None
    for name in (names.TREND, names.ANALYSTS, names.NEW):
        assert rows[name]["next_slot"] == iso(to_ms(beat.due[name])), "as the scheduler has it"
    assert (rows[names.PAUSED]["status"], rows[names.PAUSED]["next_slot"]) == ("paused", None)
    assert (rows[names.ANALYSTS]["last_status"], rows[names.ANALYSTS]["last_signal"]) == ("running", None)
    assert rows[names.TREND]["last_at"] == "2026-05-20T12:00Z"
    assert rows[names.NEW]["last_at"] is rows[names.NEW]["record"] is None
    assert (rows[names.BROKEN]["status"], rows[names.BROKEN]["description"][:7]) == (None, "broken:")
    assert (rows[names.TREND]["exchange"], rows[names.TREND]["timeframe"]) == ("simulated", "4h")
    assert (answer["running"], answer["budget_usd_per_day"]) == (1, 5)


async def test_a_record_is_the_first_sentence_of_get_performance(sample: SampleHome) -> None:
    settings = ServerSettings(home=sample.root, exchange="simulated")
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        for name in (names.TREND, names.ANALYSTS, names.PAUSED):
            scored = answer_of(await client.call_tool("get_performance", {"strategy_name": name}))
            record = own(answer_of(await client.call_tool("list_strategies", {})))[name]["record"]
            assert record
            assert scored["summary"][0].startswith(record)


def _judged(home: Path, candles: Candles, count: int, *, from_candle: int) -> None:
    """Enter hourly signals with their outcomes, on the stored candles of an exchange that cannot be reached."""
    strategy = write_strategy(home)
    times = candles.open_time_ms[from_candle : from_candle + count].tolist()
    enter_runs(home, strategy, [MadeRun(at, "BUY" if at % 7 else "SELL", 60) for at in times])
    database_of(home).write(
        lambda connection: connection.execute(
            "INSERT INTO outcomes SELECT id, as_of, 100, as_of + INTERVAL 4 HOUR, 101, 0.01, 30, 0, 14400, '1', "
            "'judged', as_of + INTERVAL 5 HOUR FROM executions"
        )
    )


UNREACHABLE: dict[str, Any] = {"exchange_urls": {"coinbase": "http://127.0.0.1:9"}}


async def test_a_record_of_a_real_exchange_rests_on_stored_candles_alone(home: Path) -> None:
    candles = walk(3, to_ms(NOW) // HOUR_MS * HOUR_MS)
    store_candles(home, candles)
    _judged(home, candles, 60, from_candle=5_000)
    settings = ServerSettings(home=home, **UNREACHABLE)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        record = own(answer_of(await client.call_tool("list_strategies", {})))["mine"]["record"]
        scored = answer_of(await client.call_tool("get_performance", {"strategy_name": "mine"}))
    assert "60 judged signals" in record
    assert scored["summary"][0].startswith(record)


async def test_where_the_exchange_would_have_to_be_asked_a_record_says_no_more_than_is_known(home: Path) -> None:
    candles = walk(3, to_ms(NOW) // HOUR_MS * HOUR_MS)
    _judged(home, candles, 60, from_candle=5_000)
    record = own(await listed(home, **UNREACHABLE))["mine"]["record"]
    assert record == "There are 60 judged signals; get_performance tells what they show."


async def test_candles_that_are_added_before_a_record_change_its_sentence_at_once(home: Path) -> None:
    candles = walk(3, to_ms(NOW) // HOUR_MS * HOUR_MS)
    _judged(home, candles, 60, from_candle=5_000)
    settings = ServerSettings(home=home, **UNREACHABLE)
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        await client.call_tool("list_strategies", {})
        store_candles(home, candles)
        record = own(answer_of(await client.call_tool("list_strategies", {})))["mine"]["record"]
    assert "get_performance" not in record


def _as_it_was(sample: SampleHome, root: Path) -> None:
    """Make a home of the journal and the folders as they were: nothing that was written later is in it."""
    target = Home(root)
    target.prepare()
    sample.database.copy(target.database)
    then, known = naive(THEN), naive(THEN - timedelta(minutes=10))
    later = [
        ("DELETE FROM executions WHERE started_at > ?", then),
        ("UPDATE executions SET status = 'running', cost_usd = NULL, completed_at = NULL WHERE completed_at > ?", then),
        (f"DELETE FROM analysis_results WHERE execution_id NOT IN ({SIGNALS})", None),
        ("DELETE FROM outcomes WHERE exit_time > ?", known),
    ]  # fmt: skip

    def work(connection: Any) -> None:
        for statement, value in later:
            connection.execute(statement, [] if value is None else [value])

    database_of(root).write(work)
    for name in sample.folders.names():
        if (folder := sample.home.strategies / name).is_dir():
            (target.strategies / name).mkdir()
            for file in folder.iterdir():
                (target.strategies / name / file.name).write_bytes(file.read_bytes())


async def test_under_a_past_moment_everything_is_as_it_was_then(sample: SampleHome, tmp_path: Path) -> None:
    was = tmp_path / "was"
    was.mkdir()
    _as_it_was(sample, was)
    expected, answer = await listed(was, now=THEN), await listed(sample.root, as_of=THEN)
    rows = own(expected)
    del rows[names.BROKEN]  # when it was broken nobody knows
    assert own(answer) == rows
    last = [rows[names.ANALYSTS][name] for name in ("last_at", "last_status", "last_signal")]
    assert last == ["2026-05-18T18:00Z", "running", None]
    for name in ("as_of", "spent_today_usd", "spent_month_usd", "since"):
        assert answer[name] == expected[name]
    assert (answer["problems"], answer["running"]) == ([], 1)
    assert "budget_usd_per_day" not in answer, "what it was then is not kept"
    assert {row[1] for row in answer["rows"]} == {"home"}
    assert "not kept" in answer["note"]


def _write(home: Path, name: str, days_ago: int, **config: Any) -> None:
    """Write a strategy as if it had been written days ago; what it replaces is kept."""
    folders = StrategyFolders(Home(home), examples_folder())
    folders.write(parse_strategy(name, {**CONFIG, **config}, None))
    moment = (NOW - timedelta(days=days_ago)).timestamp()
    for file in (home / "strategies" / name, *(home / "strategies" / name).iterdir()):
        os.utime(file, (moment, moment))


async def test_a_strategy_of_a_past_moment_is_in_the_version_that_was_in_force(home: Path) -> None:
    _write(home, "mine", 30, description="first")
    _write(home, "mine", 20, description="second", status="paused")
    _write(home, "other", 18, description="of another time")
    before = own(await listed(home, as_of=NOW - timedelta(days=25)))
    assert {name: (row["status"], row["description"]) for name, row in before.items()} == {"mine": ("active", "first")}
    after = own(await listed(home, as_of=NOW - timedelta(days=15)))
    assert {name: row["description"] for name, row in after.items()} == {"mine": "second", "other": "of another time"}
    assert (after["mine"]["status"], after["mine"]["next_slot"]) == ("paused", None)
    assert after["other"]["next_slot"][:16] == "2026-05-05T13:00", "as counted from then"
    assert own(await listed(home, as_of=NOW - timedelta(days=40))) == {}, "it did not exist yet"


async def test_an_example_that_was_run_by_hand_is_none_of_the_home_at_any_time(home: Path) -> None:
    example = StrategyFolders(Home(home), examples_folder()).read("rsi-reversion")
    enter_runs(home, example, [MadeRun(to_ms(NOW) - 3 * HOUR_MS, "BUY", 60, trigger="manual")])
    answer = await listed(home, as_of=NOW - timedelta(hours=1))
    assert (answer["rows"], answer["since"]) == ([], "2026-05-20T09:00:41Z")
    assert "since" not in await listed(home, as_of=NOW - timedelta(hours=4)), "nothing had run"


async def test_what_is_wrong_comes_with_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_strategy(home)
    broken = home / "strategies" / "half"
    broken.mkdir()
    broken.joinpath("config.json").write_text("{")
    no_scheduler, half = (await listed(home))["problems"]
    assert "No scheduler" in no_scheduler["problem"]
    assert "`claude-trader up`" in no_scheduler["remedy"]
    assert "'half' is broken" in half["problem"]
    assert half["remedy"]
    beat = Beat(os.getpid(), NOW, NOW, 0, ("Claude cannot be asked: the key was refused.",), {})
    Heartbeat(Home(home).heartbeat).write(beat)
    of_runner, _ = (await listed(home))["problems"]
    assert of_runner["problem"] == "Claude cannot be asked: the key was refused."
    assert "`claude-trader doctor`" in of_runner["remedy"]
    monkeypatch.setattr("mcp_server.overview.no_space", NoSpace)
    full, *_ = (await listed(home))["problems"]
    assert "No space is left" in full["problem"]
    assert "Free some disk space" in full["remedy"]


async def test_a_home_without_an_active_strategy_needs_no_scheduler(home: Path) -> None:
    assert (await listed(home))["problems"] == []
    write_strategy(home, config={"status": "paused"})
    assert (await listed(home))["problems"] == []


async def test_a_journal_that_another_program_holds_is_a_problem_and_its_figures_are_unknown(home: Path) -> None:
    enter_runs(home, write_strategy(home), [MadeRun(to_ms(NOW) - HOUR_MS, "BUY", 60)])
    with held_by_a_shell(Home(home).database) as pid:
        answer = await listed(home)
    held, _ = answer["problems"]
    assert f"process {pid}" in held["problem"]
    row = own(answer)["mine"]
    assert (answer["spent_today_usd"], row["spent_today_usd"], row["last_at"]) == (None,) * 3
    assert (row["last_status"], row["record"]) == ("unknown", "It could not be read.")
    assert row["next_slot"] is not None


async def test_what_has_not_changed_is_not_read_again_and_what_has_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = write_strategy(home)
    enter_runs(home, strategy, [MadeRun(to_ms(NOW) - 3 * HOUR_MS, "BUY", 60)])
    for path in (Home(home).database, *(home / "strategies").rglob("*")):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    reads: list[str] = []
    read, one = Database.read, StrategyFolders.one

    def counted(database: Database, *work: Any, **more: Any) -> Any:
        reads.append("journal")
        return read(database, *work, **more)

    def read_one(folders: StrategyFolders, name: str, *, example: bool) -> ListedStrategy:
        reads.append(name)
        return one(folders, name, example=example)

    monkeypatch.setattr(Database, "read", counted)
    monkeypatch.setattr(StrategyFolders, "one", read_one)
    async with Client(build_server(ServerSettings(home=home, exchange="simulated"), clock=lambda: NOW)) as client:

        async def row() -> dict[str, Any]:
            reads.clear()
            return own(answer_of(await client.call_tool("list_strategies", {})))["mine"]

        first = await row()
        assert {"journal", "mine"} <= {*reads}
        assert await row() == first
        assert reads == []
        enter_runs(home, strategy, [MadeRun(to_ms(NOW) - 2 * HOUR_MS, "SELL", 60)])
        assert (await row())["last_signal"] == "SELL"
        write_strategy(home, config={"status": "paused"})
        assert (await row())["status"] == "paused"
        assert "mine" in reads


KILLED = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("UPDATE executions SET status = 'error'")
os._exit(0)
"""


async def test_what_a_killed_program_had_committed_is_read_though_the_file_itself_has_not_changed(home: Path) -> None:
    enter_runs(home, write_strategy(home), [MadeRun(to_ms(NOW) - 3 * HOUR_MS, "BUY", 60)])
    file = Home(home).database
    os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    async with Client(build_server(ServerSettings(home=home, exchange="simulated"), clock=lambda: NOW)) as client:
        assert own(answer_of(await client.call_tool("list_strategies", {})))["mine"]["last_status"] == "success"
        before = file.stat()
        await anyio.run_process([sys.executable, "-c", KILLED, str(file)])
        assert file.stat().st_mtime_ns == before.st_mtime_ns, "the commit is in the log beside it"
        assert own(answer_of(await client.call_tool("list_strategies", {})))["mine"]["last_status"] == "error"


async def test_a_file_that_was_written_a_moment_ago_is_read_again_though_its_time_stays(home: Path) -> None:
    """Two writes within one tick of the clock of the file system have the same time."""
    write_strategy(home, config={"description": "one"})
    file = home / "strategies" / "mine" / "config.json"
    kept = file.stat()
    folders = StrategyFolders(Home(home), examples_folder())
    at = kept.st_mtime

    def cache(wall_s: float) -> OverviewCache:
        home_ = Home(home)
        made = OverviewCache(home_, database_of(home), folders, Decimal(5), _no_records, wall_s=lambda: wall_s)
        assert _described(made) == "one"
        text = file.read_text().replace("one", "two")
        with file.open("r+") as opened:  # the same file, as long as before
            opened.write(text)
        os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        return made

    assert _described(cache(at + 0.01)) == "two"
    with file.open("r+") as opened:
        opened.write(file.read_text().replace("two", "one"))
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert _described(cache(at + 60)) == "one", "it is not read where nothing seems to have changed"


def _described(cache: OverviewCache) -> str:
    (mine,) = [one for one in cache._strategies() if one.name == "mine"]
    assert mine.strategy is not None
    return mine.strategy.config.description


def _no_records() -> RecordSentences:
    raise AssertionError("no record is asked for")


@pytest.mark.parametrize("count", sampled([3, 50], 2))
async def test_the_answer_stays_small_for_a_model_that_pays(home: Path, count: int) -> None:
    for number in range(count):
        strategy = write_strategy(home, f"strategy-{number:02}", {"description": "Buys a dip of a calm market."})
        enter_runs(home, strategy, [MadeRun(to_ms(NOW) - hours * HOUR_MS, "BUY", 60) for hours in (30, 20)])
    answer = await listed(home)
    size = len(json.dumps(answer, separators=(",", ":")))
    examples = sum(len(json.dumps(row, separators=(",", ":"))) for row in answer["rows"] if row[1] == "example")
    assert len(own(answer)) == count
    assert size - examples < 1_000 + 330 * count
    assert examples < 3_500
