"""A home that an earlier version made opens, tells the same, and goes on where it was left."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.notify.notices import Notices, Patience
from runner.restore import unpack
from tests.rigs.receiver import receiver
from tests.rigs.running_up import RunningUp
from tests.runner.conftest import Command, trader_in
from tests.runner.notify.test_notices import deliver
from tests.scheduler.accounts import account, of_file

ARCHIVE = Path(__file__).with_name("older_home") / "home.tar.gz"
LEFT_AT = datetime(2026, 4, 1, 0, 21, tzinfo=UTC)
"""The minute in which its scheduler was killed."""

WAITING = "waiting-one cannot be read"
SERVICES = ("2f59e07fc0921d1f", "c88593fe97faf617")
"""Its addresses for notifications, as files name them: the beginning of a SHA-256."""

VERSIONS = {
    "da646bd10af0": "close > open",
    "259ccdc7faab": "rsi_14 < 40",
    "1b4211946dc5": "rsi_14 < 35",
}
"""Of `edited`, with the condition of each to buy."""


@pytest.fixture
def told(home: Path) -> dict[str, list[dict[str, Any]]]:
    """What the version that made the home said of it; the home is unpacked."""
    unpack(ARCHIVE, home.parent)
    answers: dict[str, list[dict[str, Any]]] = json.loads((home.parent / "told.json").read_text())
    return answers


@pytest.fixture
def trader(home: Path) -> Command:
    return trader_in(home)


def at_any_time(status: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out when each strategy is due next, which goes by the present."""
    return [{key: value for key, value in strategy.items() if key != "due"} for strategy in status]


def move_notices(home: Path, url: str) -> list[Path]:
    """Let the notices that wait be for another address, as if it had been that one all along; return their files."""
    ours = hashlib.sha256(url.encode()).hexdigest()[:16]
    files = list((home / "notices").glob("*.json"))
    for file in files:
        text = file.read_text()
        for service in SERVICES:
            text = text.replace(service, ours)
        file.write_text(text)
    return files


def ended_notices(home: Path) -> set[str]:
    return {file.name for where in ("sent", "lost") for file in (home / "notices" / where).glob("*.json")}


def after(rows: list[dict[str, Any]], moment: datetime) -> list[dict[str, Any]]:
    return [row for row in rows if row["scheduled_at"].replace(tzinfo=UTC) > moment]


def test_its_journal_strategies_and_status_are_told_as_before(
    told: Mapping[str, list[dict[str, Any]]], trader: Command, home: Path
) -> None:
    signals = trader("signals", "--all", "--limit", "1000", "--json").json["signals"]
    assert signals == told["signals"]
    assert (signals[0]["strategy"], signals[0]["status"], signals[0]["signal"]) == ("edited", "success", "SELL")
    assert list((home / "outbox").iterdir()) == [], "what waited is entered"
    own = [row for row in trader("strategies", "--json").json["strategies"] if row["origin"] == "home"]
    assert own == told["strategies"]
    status = trader("status", "--json").json
    assert at_any_time(status["strategies"]) == at_any_time(told["status"])
    assert status["alive"] is False


def test_a_run_uses_its_strategies_and_decides_as_before(
    told: Mapping[str, list[dict[str, Any]]], trader: Command
) -> None:
    (before,) = [
        row
        for row in told["signals"]
        if (row["strategy"], row["as_of"]) == ("rsi-reversion", "2026-04-28T20:00:00+00:00")
    ]
    done = trader("run", "rsi-reversion", "--as-of", before["as_of"], "--json", TRADER_EXCHANGE="simulated")
    assert done.code == 0, done.err
    assert {key: done.json[key] for key in ("signal", "confidence", "price", "reasoning")} == {
        key: before[key] for key in ("signal", "confidence", "price", "reasoning")
    }
    assert done.json["execution_id"] == max(row["execution_id"] for row in told["signals"]) + 1


@pytest.mark.usefixtures("told")
async def test_its_versions_reports_and_candles_can_be_read(home: Path) -> None:
    versions = StrategyFolders(Home(home), examples_folder()).versions
    assert {version: versions.read("edited", version).config.rules.buy for version in VERSIONS} == VERSIONS  # type: ignore[union-attr]
    async with Client(build_server(ServerSettings(home=home)), raise_exceptions=True) as client:
        arguments = {"symbol": "BTC/USD", "exchange": "coinbase", "as_of": "2017-07-09T18:00Z", "limit": 3}
        candles = (await client.call_tool("get_ohlcv", arguments)).structured_content
        assert candles is not None
        assert [row[4] for row in candles["rows"]] == [2501, 2502, 2503]
        sql = "SELECT status, count(*) AS runs FROM executions GROUP BY status"
        answer = (await client.call_tool("query_journal", {"sql": sql})).structured_content
        assert answer is not None
        assert {status for status, _ in answer["rows"]} >= {"success", "abstained", "timeout", "missed", "skipped_gate"}
        answer = (await client.call_tool("query_journal", {"sql": "SELECT count(*) FROM backtests"})).structured_content
        assert answer is not None
        assert answer["rows"] == [[0]]


@pytest.mark.usefixtures("told")
def test_the_heartbeat_of_its_killed_scheduler_can_be_read(home: Path) -> None:
    heartbeat = Home(home).heartbeat
    kept = json.loads(heartbeat.read_text())
    beat = Heartbeat(heartbeat).read()
    assert beat is not None
    assert (beat.pid, beat.running, [*beat.problems]) == (kept["pid"], kept["running"], kept["problems"])
    assert beat.started_at < beat.beat_at
    assert not beat.is_fresh(datetime.now(UTC))


@pytest.mark.usefixtures("told")
async def test_its_notices_that_wait_are_sent_once_and_those_that_ended_never_again(home: Path) -> None:
    ended = ended_notices(home)
    with receiver() as service:
        waiting = move_notices(home, service.url)
        notices = Notices(Home(home), [SecretStr(service.url)], patience=Patience(look_s=0.02))
        await deliver(notices, lambda: not [file for file in waiting if file.exists()])
    assert service.titles.count(WAITING) == 1
    assert len(service.titles) <= len(ended_notices(home) - ended) <= len(waiting)


@pytest.mark.long
@pytest.mark.usefixtures("told")
def test_up_goes_on_accounts_for_what_was_missed_once_and_tells_nothing_twice(home: Path) -> None:
    """In `make test`, `tests/scheduler` has how what was missed is accounted for, in homes of this version."""
    strategy = StrategyFolders(Home(home), examples_folder()).read("sleeps")
    ended = ended_notices(home)
    resumed_at = LEFT_AT + timedelta(minutes=30)
    with receiver() as service:
        waiting = move_notices(home, service.url)
        environment = {"TRADER_NOTIFY": service.url}
        with RunningUp(home, speed=30, start=resumed_at, environment=environment, warm_server=True) as up:
            up.until(lambda: after(up.rows("sleeps"), resumed_at))
            up.until(lambda: WAITING in service.titles)
            up.until(lambda: not [file for file in waiting if file.exists()])
            assert up.stop() == 0, up.log
            rows = after(up.rows("sleeps"), LEFT_AT)
    accounts = account(of_file(Home(home).database), "sleeps", strategy.config, resumed_at)
    assert (accounts.wrong, accounts.due > 50) == ([], True)
    assert sum(row["slots"] for row in rows if row["status"] == "missed") >= 28
    assert service.titles.count(WAITING) == 1
    assert len(service.titles) <= len(ended_notices(home) - ended), "what was sent or lost before is not told again"
