"""A backup is put back when the container starts, before anything runs; what was there is kept beside it."""

import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.storage.journal.outcomes import SettledOutcome
from mcp_server.storage.journal.rows import Run
from runner.backup import back_up
from runner.cli.context import Context
from runner.container import USER_ID
from runner.restore import restore
from tests.deploy.test_backup import CONFIG, rows
from tests.deploy.test_container import STARTED
from tests.rigs.sampled import sampled
from tests.storage.test_backtests import ROW

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BEFORE = "before-restore-2026-05-01T000000Z"
TERMS = Terms("kraken", "BTC/USD", "1h", 86_400, 30.0, "1", "0123456789ab")
OUTCOME = SettledOutcome(1, TERMS, "judged", to_ms(NOW), to_ms(NOW) + 86_400_000, 100.0, 125.0, 0.25, 0.0)


def outcomes() -> list[tuple[object, ...]]:
    return Context().database.read(lambda c: c.execute("SELECT execution_id, r, state FROM outcomes").fetchall())


@pytest.fixture
def backup(home: Path, tmp_path: Path) -> Path:
    """A backup of a home with one strategy and one run; the home itself has gone on."""
    parts = Context()
    strategy = parse_strategy("mine", CONFIG, None)
    parts.strategies.write(strategy)

    def record() -> None:
        claimed = parts.journal.claim(Run(strategy, "manual", NOW, "rules", NOW))
        parts.journal.finish(claimed, Outcome(Status.ABSTAINED, error="why"), NOW)

    record()
    parts.journal.backtests.record([ROW])
    parts.journal.outcomes(parts.strategies, "kraken").add([OUTCOME], NOW)
    back_up(parts, tmp_path / "home.tar.gz")
    record()
    parts.strategies.write(parse_strategy("later", CONFIG, None))
    (home / ".env").write_text("TRADER_HOME=")
    return tmp_path / "home.tar.gz"


def test_what_was_saved_is_there_again_and_what_was_there_is_kept_beside_it(home: Path, backup: Path) -> None:
    backup.rename(home / "restore.tar.gz")
    assert BEFORE in (restore(home, NOW) or "")
    assert rows(home / "claude_trader.duckdb") == 1
    assert [entry.name for entry in (home / "strategies").iterdir() if entry.is_dir()] == ["mine"]
    assert (home / ".env").exists()
    assert rows(home / BEFORE / "claude_trader.duckdb") == 2
    assert (home / BEFORE / "strategies" / "later").is_dir()
    assert restore(home, NOW) is None, "it is done once"
    assert Context().strategies.read("mine").name == "mine"
    assert Context().journal.backtests.read(1, ROW.created_at) == ROW
    assert outcomes() == [(1, 0.25, "judged")]
    back_up(Context(), backup)
    with tarfile.open(backup) as archive:
        assert not [name for name in archive.getnames() if "restore" in name]


def test_a_restore_that_was_stopped_half_way_is_done_again(home: Path, backup: Path) -> None:
    (home / "restore.tar.gz").write_bytes(backup.read_bytes())
    (home / ".restoring").mkdir()
    (home / ".restoring" / "half").write_text("of it")
    (home / BEFORE).mkdir()
    (home / "claude_trader.duckdb").rename(home / BEFORE / "claude_trader.duckdb")
    assert restore(home, datetime(2026, 5, 2, tzinfo=UTC))
    assert rows(home / "claude_trader.duckdb") == 1
    assert rows(home / BEFORE / "claude_trader.duckdb") == 2
    assert not (home / ".restoring").exists()


def test_a_python_without_a_filter_of_its_own_restores_files_and_nothing_beyond_the_home(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    for name, target in {"../away": "", "/away": "", "link": "/etc/passwd"}.items():
        with tarfile.open(home / "restore.tar.gz", "w:gz") as made:
            entry = tarfile.TarInfo(name)
            entry.linkname, entry.type = target, tarfile.SYMTYPE if target else tarfile.REGTYPE
            made.addfile(entry)
        assert "which is no file within it" in (restore(home, NOW) or "")
    (home / "restore.tar.gz").write_bytes(backup.read_bytes())
    assert "is restored" in (restore(home, NOW) or "")


@pytest.mark.parametrize("content", sampled(["outside", "cut", "other", "text"], 4))
def test_an_archive_that_is_no_backup_changes_nothing(home: Path, backup: Path, tmp_path: Path, content: str) -> None:
    archive = home / "restore.tar.gz"
    if content == "cut":
        archive.write_bytes(backup.read_bytes()[:-200])
    elif content == "text":
        archive.write_text("not an archive")
    else:
        (tmp_path / "file").write_text("x")
        with tarfile.open(archive, "w:gz") as made:
            made.add(tmp_path / "file", "../strategies" if content == "outside" else "notes.txt")
    assert "was not restored" in (restore(home, NOW) or "")
    assert rows(home / "claude_trader.duckdb") == 2
    assert not [entry.name for entry in home.iterdir() if entry.name.startswith((".restoring", "before"))]
    assert (home / "restore.tar.gz.unreadable").exists()
    assert not (home.parent / "strategies").exists()


@pytest.mark.parametrize("arguments", [[], ["status"]])
def test_the_container_restores_as_its_own_user_when_it_starts_the_scheduler(
    home: Path, backup: Path, arguments: list[str]
) -> None:
    (home / "restore.tar.gz").write_bytes(backup.read_bytes())
    if os.geteuid() == 0:
        for folder in home.parents:
            if folder.stat().st_uid == 0 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
    environment = {**os.environ, "TRADER_HOME": str(home)}
    imported = "import gzip\n"  # a Python that is root's own cannot be read by another user
    command = [sys.executable, "-c", imported + STARTED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ("is restored" in done.stderr) == (not arguments)
    if not arguments and os.geteuid() == 0:
        assert (home / "claude_trader.duckdb").stat().st_uid == USER_ID
