"""On a full disk everything says that, and what to do; a runner that cannot report there is not called dead."""

import errno
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from mcp import Client
from rich.console import Console

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Status
from mcp_server.errors import NoSpace
from mcp_server.http.health import Health
from mcp_server.overview import overview
from mcp_server.settings import ServerSettings
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import examples_folder, no_space, unwritable
from mcp_server.storage.journal.outbox import Outbox
from mcp_server.storage.journal.prune import prune
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.removed import RemovedStrategies
from runner.backup import back_up
from runner.cli.context import Context
from runner.cli.show_status import rendered
from runner.doctor import findings
from runner.notify.notice_store import Notice, NoticeStore
from tests.scheduler.slot_homes import Machine, hourly, write

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = Beat(4711, NOW - timedelta(days=1), NOW - timedelta(minutes=9), 1)


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Make a home with a strategy, a run under way and a heartbeat on a small disk, and fill the disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    try:
        monkeypatch.setenv("TRADER_HOME", str(disk / "home"))
        machine = Machine(disk / "home")
        write(machine.root, hourly())
        machine.journal.finish(machine.journal.claim(Run(hourly(), "manual", NOW, "rules", NOW)), HELD, NOW)
        machine.home.notices.mkdir()
        Heartbeat(machine.home.heartbeat).write(LONG_AGO)
        with suppress(OSError), (disk / "fill").open("wb", buffering=0) as stream:
            while stream.write(b"x" * 4096):
                pass
        yield machine
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


HELD = Outcome(Status.ABSTAINED, error="It did not decide.")


def says(act: Callable[[], object]) -> None:
    with pytest.raises(NoSpace) as raised:
        act()
    assert "No space is left" in raised.value.problem
    assert "Free some disk space" in raised.value.remedy


async def test_on_a_full_disk_all_that_writes_says_so_and_leaves_nothing_half_written(
    full: Machine, tmp_path: Path
) -> None:
    folders = StrategyFolders(full.home, examples_folder())
    says(lambda: folders.add("rsi-reversion"))
    says(lambda: folders.set_status("s", "paused"))
    says(lambda: Heartbeat(full.home.heartbeat).write(LONG_AGO))
    says(lambda: Outbox(full.home.outbox).put("0" * 32, {"trace": "x" * 10_000}))
    says(lambda: NoticeStore(full.home).add(Notice("a.json", "server", "a", {"problem": "x" * 9_000}, NOW)))
    says(lambda: full.database.write(lambda c: c.execute("CREATE TABLE big AS SELECT * FROM range(2000000)")))
    says(lambda: full.database.copy(full.root / "copy.duckdb"))
    says(lambda: back_up(Context(), tmp_path / "archive.tar.gz"))
    assert [file.name for file in full.root.rglob("*") if file.suffix in (".new", ".copying", ".partial")] == []
    says(lambda: prune(full.database, full.home, NOW + timedelta(days=1)))
    says(lambda: RemovedStrategies(full.home.strategies, folders).remove("s", NOW))
    assert list(full.root.glob("*.rewriting*")) == []
    assert full.database.read(lambda c: c.execute("SELECT count(*) FROM executions").fetchall()) == [(1,)]
    assert folders.read("s").config.status == "active"


async def test_on_a_full_disk_status_and_health_look_for_room_before_they_call_a_runner_dead(full: Machine) -> None:
    stands = overview(full.home, full.database, full.folders, Decimal(5), NOW)
    assert "No space is left" in stands.problems[0]
    assert not stands.well
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rendered(stands, 120))
    text = console.export_text()
    assert "No space is left" in text
    assert "cannot report on a full disk" in text
    assert "claude-trader up" not in text
    checks = (await Health(full.home, examples_folder(), full.database, lambda: NOW).report())["checks"]
    assert "No space is left" in checks["database"]["why"]
    assert "full disk" in checks["runner"]["why"]
    (diagnosis,) = findings.heartbeat(LONG_AGO, NOW, 1, full=no_space(full.root) is not None)
    assert "full disk" in str(diagnosis)
    async with Client(build_server(ServerSettings(home=full.root))) as client:
        answer = await client.call_tool("list_signals", {"outcomes": "all"})
    assert "No space is left" in str(answer.structured_content)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_told_from_what_a_user_may_not_write(number: int) -> None:
    assert isinstance(unwritable(Path("x"), OSError(number, os.strerror(number))), NoSpace)
    assert "write access" in unwritable(Path("x"), OSError(errno.EACCES, "Permission denied")).remedy
    assert no_space(Path("/no/such/folder")) is None


def test_a_disk_without_room_for_one_more_file_is_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert no_space(home) is None
    real = os.statvfs(home)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([*real[:7], 0, *real[8:]]))
    assert isinstance(no_space(home), NoSpace)
