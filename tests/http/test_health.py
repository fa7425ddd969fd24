"""What `/health` says, and to whom."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mcp_server.errors import NoSpace
from mcp_server.http.health import FRESH_S, Health
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, examples_folder
from tests.http.conftest import LIMIT_S, READS, Guarded, guarded
from tests.storage.test_database import held_by_a_shell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _health(home: Path) -> Health:
    where = Home(home)
    return Health(where, examples_folder(), Database(where.database, prepare=where.prepare), lambda: NOW)


async def _checks(home: Path) -> Any:
    report = await _health(home).report()
    assert report["live"] is True
    assert report["ready"] is all(check["ok"] for check in report["checks"].values())
    assert report["status"] == ("ready" if report["ready"] else "not ready")
    return report["checks"]


def _beat(home: Path, ago_s: float, *problems: str) -> None:
    beat = Beat(os.getpid(), NOW - timedelta(days=1), NOW - timedelta(seconds=ago_s), 2, problems)
    Heartbeat(Home(home).heartbeat).write(beat)


async def test_an_empty_home_is_ready_and_has_no_runner(home: Path) -> None:
    assert await _checks(home) == {
        "database": {"ok": True},
        "strategies": {"ok": True, "valid": 0},
        "runner": {"ok": True, "running": False},
    }


async def test_a_runner_that_lives_says_how_many_runs_it_has(home: Path) -> None:
    _beat(home, 5)
    assert (await _checks(home))["runner"] == {"ok": True, "running": True, "runs": 2, "age_s": 5}


async def test_a_runner_that_has_stopped_is_told(home: Path) -> None:
    _beat(home, 300)
    said = (await _checks(home))["runner"]
    assert not said["ok"]
    assert all(fact in said["why"] for fact in (f"process {os.getpid()}", "300 s", "Start it again."))


async def test_a_runners_problems_are_told(home: Path) -> None:
    _beat(home, 1, "The disk is full.")
    assert (await _checks(home))["runner"] == {"ok": False, "why": "The disk is full."}


async def test_a_full_disk_is_told_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _beat(home, 5)
    full = NoSpace(home)
    for module in ("mcp_server.http.health", "mcp_server.overview"):
        monkeypatch.setattr(f"{module}.no_space", lambda _: full)
    checks = await _checks(home)
    assert checks["database"] == {"ok": False, "why": str(full)}
    assert checks["runner"] == {"ok": False, "why": "On a full disk no runner can report that it is alive."}


async def test_a_broken_strategy_is_named_and_keeps_nothing_else_from_being_answered(home: Path) -> None:
    broken = home / "strategies" / "broken"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text("{")
    assert (await _checks(home))["strategies"] == {"ok": True, "valid": 0, "broken": ["broken"]}


async def test_a_database_that_another_holds_is_told_soon(home: Path) -> None:
    await _checks(home)
    with held_by_a_shell(Home(home).database):
        began = time.monotonic()
        said = (await _checks(home))["database"]
        assert time.monotonic() - began < 5
    assert not said["ok"]
    assert "is in use: process" in said["why"]
    assert (await _checks(home))["database"] == {"ok": True}


async def test_what_is_no_database_is_told(home: Path) -> None:
    Home(home).database.write_bytes(b"no database" * 1000)
    said = (await _checks(home))["database"]
    assert not said["ok"]
    assert "cannot be read as a database" in said["why"]


async def test_asking_often_looks_once(home: Path) -> None:
    health = _health(home)
    first = await health.report()
    assert await health.report() is first
    time.sleep(FRESH_S + 0.01)  # noqa: ASYNC251 (it is the clock that must go on)
    assert await health.report() is not first


def _ask(server: Guarded, **headers: str | None) -> tuple[int, dict[str, Any]]:
    answered = server.post(b"", "/health", "GET", **headers)
    return answered.status, json.loads(answered.text)


def test_only_who_has_a_token_is_told_more_than_that_it_is_alive(server: Guarded) -> None:
    alive = (200, {"status": "alive"})
    assert _ask(server, Authorization=None) == alive
    assert _ask(server, Authorization="Bearer guess") == alive
    assert _ask(server, Authorization=None, Host="10.0.0.7:8000") == alive  # as a platform asks
    assert _ask(server, Host="evil.example") == alive
    status, said = _ask(server, Authorization=f"Bearer {READS}")
    assert (status, said["ready"]) == (200, True)


def test_on_loopback_without_a_token_it_tells_everything_but_to_no_page_of_others(home: Path) -> None:
    Home(home).database.write_bytes(b"no database" * 1000)
    with guarded(ServerSettings(home=home)) as server:
        status, said = _ask(server, Authorization=None)
        assert (status, said["status"], said["checks"]["database"]["ok"]) == (503, "not ready", False)
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert _ask(server, Authorization=None, **headers) == (200, {"status": "alive"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_asks_only_whether_it_is_alive_has_nothing_looked_at(home: Path, method: str) -> None:
    """So a runner that asks every few seconds keeps no database open: the look would make its file."""
    with guarded(ServerSettings(home=home)) as server:
        answered = server.post(b"", "/health?alive", method, Authorization=None)
        assert answered.status == 200
        assert answered.text == ('{"status":"alive"}' if method == "GET" else "")
        assert not Home(home).database.exists()
        assert _ask(server, Authorization=None)[1]["ready"]
        assert Home(home).database.exists()


def test_a_platform_may_ask_for_the_head_alone(server: Guarded) -> None:
    answered = server.post(b"", "/health", "HEAD", Authorization=None)
    assert (answered.status, answered.text) == (200, "")


def test_it_is_answered_while_the_database_is_held(home: Path) -> None:
    with guarded(ServerSettings(home=home)) as server:
        assert _ask(server)[0] == 200
        duckdb.connect(Home(home).database).close()
        with held_by_a_shell(Home(home).database):
            time.sleep(FRESH_S)
            began = time.monotonic()
            status, said = _ask(server)
            assert time.monotonic() - began < LIMIT_S / 3
        assert (status, said["checks"]["database"]["ok"], said["checks"]["strategies"]["ok"]) == (503, False, True)


@pytest.mark.parametrize("path", ["/health?verbose=1", "/health?alive", "/%68ealth"])
def test_no_other_way_of_writing_it_says_more(server: Guarded, path: str) -> None:
    assert json.loads(server.post(b"", path, "GET", Authorization=None).text) == {"status": "alive"}
