"""Strategies that come, change, break and go while `up` runs are noticed within seconds, whoever changed them.

This is the program whole. In `make test`, `test_up.py` has an edit, and `test_schedules.py` drives what notices them in
the test's process.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.acceptance.test_http import calling
from tests.rigs.journal_databases import kept_for_file
from tests.rigs.running_up import RunningUp, edit, write_strategy
from tests.runner.claude_runs import KEY
from tests.runner.conftest import Command, trader

__all__ = ["kept_for_file", "trader"]
pytestmark = [pytest.mark.usefixtures("kept_in"), pytest.mark.long]

SPEED = 30.0
SECRETS = {"TRADER_TOKEN": "a-token-of-the-operator", "ANTHROPIC_API_KEY": KEY}
BROKEN = '{"trading_pair": "BTC/USDT", "interval": "1m", "bye": 1}'


@pytest.fixture(scope="module")
def up(kept_in: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    home = tmp_path_factory.mktemp("changes") / "home"
    home.mkdir()
    with RunningUp(home, speed=SPEED, grace_s=0.5, environment=SECRETS, warm_server=True) as running:
        running.says("it answers")
        yield running
        assert running.stop() == 0


def config_file(up: RunningUp, name: str) -> Path:
    return up.home / "strategies" / name / "config.json"


def newest(up: RunningUp, name: str) -> int:
    return max((row["id"] for row in up.rows(name)), default=0)


def until_it_runs(up: RunningUp, name: str, **expected: Any) -> dict[str, Any]:
    """Wait for a signal of a strategy that is later than what there is now, and as expected; give its row."""
    after = newest(up, name)

    def found() -> list[dict[str, Any]]:
        return [
            row
            for row in up.rows(name)
            if row["id"] > after
            and row["status"] == "success"
            and all(row[key] == value for key, value in expected.items())
        ]

    return up.until(found)[0]


def call(up: RunningUp, tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool of the server that `up` serves, as any host does."""
    url = up.log.partition("it answers at ")[2].partition('"')[0]

    async def ask() -> None:
        async with calling(url, authorization=f"Bearer {SECRETS['TRADER_TOKEN']}") as client:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result

    anyio.run(ask)


def test_a_new_folder_runs_and_an_edit_by_hand_counts_from_the_next_slot(up: RunningUp) -> None:
    write_strategy(up.home, "by-hand")
    first = until_it_runs(up, "by-hand")
    edit(up.home, "by-hand", rules={"buy": "close > 0"})
    edited = up.until(lambda: [row for row in up.rows("by-hand") if row["version"] != first["version"]])
    until_it_runs(up, "by-hand", signal="BUY", version=edited[0]["version"])
    edit(up.home, "by-hand", status="stopped")


def test_what_hosts_write_pause_and_resume_is_followed(up: RunningUp) -> None:
    """In `make test` they are edited by hand, in the same folders."""
    config = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1m", "offset_s": 0}
    call(up, "write_strategy", {"strategy_name": "by-tool", "config": {**config, "rules": {"buy": "close > 0"}}})
    until_it_runs(up, "by-tool", signal="BUY")
    call(up, "set_strategy_status", {"strategy_name": "by-tool", "status": "paused"})
    paused_at = up.clock.now().replace(tzinfo=None)
    write_strategy(up.home, "witness")
    until_it_runs(up, "witness")
    up.until(lambda: len([row for row in up.rows("witness") if row["status"] == "success"]) >= 3)
    late = [row for row in up.rows("by-tool", ended=False) if row["scheduled_at"] > paused_at]
    assert len(late) <= 2, "it was noticed within a few seconds"
    call(up, "set_strategy_status", {"strategy_name": "by-tool", "status": "active"})
    until_it_runs(up, "by-tool", signal="BUY")
    edit(up.home, "by-tool", status="stopped")
    edit(up.home, "witness", status="stopped")


def test_a_folder_that_is_deleted_runs_no_more(up: RunningUp) -> None:
    """In `make test`, `test_schedules.py` and `test_strategy_watch.py` have it."""
    write_strategy(up.home, "gone")
    until_it_runs(up, "gone")
    shutil.rmtree(up.home / "strategies" / "gone")
    up.says("strategy gone: gone")
    last = newest(up, "gone")
    write_strategy(up.home, "stays")
    until_it_runs(up, "stays")
    until_it_runs(up, "stays")
    assert newest(up, "gone") == last
    edit(up.home, "stays", status="stopped")


def test_a_broken_edit_is_told_without_secrets_and_the_last_good_version_goes_on(
    up: RunningUp, trader: Command
) -> None:
    """In `make test`, `test_schedules.py` has the version that goes on, and what is told of it."""
    write_strategy(up.home, "breaks")
    good = until_it_runs(up, "breaks")
    config_file(up, "breaks").write_text(BROKEN)
    up.says("strategy breaks is broken. Its last good version")
    until_it_runs(up, "breaks", version=good["version"])
    up.until(lambda: "breaks is broken" in " ".join(up.beat()["problems"]))
    status = [trader("status", *form, TRADER_HOME=str(up.home), **SECRETS).out for form in ((), ("--json",))]
    for text in [up.log, *status, str(up.beat())]:
        assert "breaks" in text
        assert not any(secret in text for secret in SECRETS.values())
    write_strategy(up.home, "breaks", status="stopped")
    up.until(lambda: up.beat()["problems"] == [])


def test_a_broken_edit_is_told_without_secrets_and_the_last_good_version_goes_on_also_after_a_restart(
    tmp_path: Path, trader: Command
) -> None:
    """In `make test`, `test_schedules.py` has the restart."""
    home = tmp_path / "broken" / "home"
    home.mkdir(parents=True)
    write_strategy(home, "breaks")
    with RunningUp(home, speed=SPEED, environment=SECRETS, warm_server=True) as up:
        good = until_it_runs(up, "breaks")
        config_file(up, "breaks").write_text(BROKEN)
        up.says("strategy breaks is broken. Its last good version")
        until_it_runs(up, "breaks", version=good["version"])
        up.until(lambda: "breaks is broken" in " ".join(up.beat()["problems"]))
        told = [up.log, *(trader("status", *form, TRADER_HOME=str(home), **SECRETS).out for form in ((), ("--json",)))]
        told.append(str(up.beat()))
        assert up.stop() == 0
    for text in [*told, up.log]:
        assert "breaks" in text
        assert not any(secret in text for secret in SECRETS.values())
    clock = up.clock
    with RunningUp(home, speed=SPEED, epoch_s=clock.epoch_s, warm_server=True) as up:
        up.says("strategy breaks is broken. Its last good version")
        until_it_runs(up, "breaks", version=good["version"])
        write_strategy(home, "breaks", rules={"buy": "close > 0"})
        up.until(lambda: up.rows("breaks")[-1]["version"] != good["version"])
        up.until(lambda: up.beat()["problems"] == [])
        assert up.stop() == 0
