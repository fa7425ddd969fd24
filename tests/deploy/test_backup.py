"""A backup is whole, made while others write, and without secrets; an older journal is copied before it is migrated."""

import subprocess
import sys
import tarfile
from pathlib import Path

import duckdb
import pytest

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import BadInput, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.schema import migrations
from runner.backup import back_up
from runner.cli.context import Context
from tests.runner.conftest import Command

CONFIG = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}


def rows(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM executions").fetchone() or (0,)
    return int(count)


def test_a_backup_made_while_others_write_opens_and_has_what_was_there(home: Path, tmp_path: Path) -> None:
    parts = Context()
    parts.strategies.write(parse_strategy("mine", CONFIG, None))
    (home / ".env").write_text("ANTHROPIC_API_KEY=secret")
    command = [sys.executable, "-m", "tests.deploy.writer"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            before = [int(writer.stdout.readline()) for _ in range(3)][-1]
            size = back_up(parts, tmp_path / "copy.tar.gz")
            after = int(writer.stdout.readline()) + 100  # what it had written ahead
        finally:
            writer.kill()
    restored = tmp_path / "restored"
    with tarfile.open(tmp_path / "copy.tar.gz") as archive:
        names = archive.getnames()
        archive.extractall(restored, filter="data")
    assert size == (tmp_path / "copy.tar.gz").stat().st_size
    assert before <= rows(restored / "claude_trader.duckdb") <= after
    assert "strategies/mine/config.json" in names
    assert not [name for name in names if ".env" in name or name.startswith("running") or name.endswith(".lock")]
    assert [entry.name for entry in home.iterdir() if entry.name.startswith(".backup")] == []


def test_a_backup_never_replaces_a_file(home: Path, tmp_path: Path, trader: Command) -> None:
    file = tmp_path / "there.tar.gz"
    file.write_text("mine")
    done = trader("backup", str(file))
    assert (done.code, file.read_text()) == (2, "mine")
    assert "exists already" in done.err
    with pytest.raises(BadInput, match="no folder"):
        back_up(Context(), tmp_path / "nowhere" / "x.tar.gz")


def test_the_command_says_where_the_backup_is_and_how_to_restore_it(
    home: Path, tmp_path: Path, trader: Command
) -> None:
    done = trader("backup", str(tmp_path / "copy.tar.gz"))
    assert done.code == 0, done.err
    assert "To restore: tar xzf" in done.out
    assert tarfile.is_tarfile(tmp_path / "copy.tar.gz")


def old_journal(path: Path) -> None:
    """Make a journal as the first version of this program did, with one run in it."""
    with duckdb.connect(path) as connection:
        connection.execute(migrations()[1])
        connection.execute("INSERT INTO schema_migrations (version) VALUES (1)")
        connection.execute(
            'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, '
            "run_key) VALUES (1, 'v', 'manual', '2026-01-01', 'claude', '2026-01-01', 'timeout', 'k')"
        )


def test_an_older_journal_is_copied_before_it_is_migrated(home: Path) -> None:
    old_journal(Home(home).database)
    Database(Home(home).database).write(lambda _: None)
    kept = home / "claude_trader.duckdb.schema-1"
    with duckdb.connect(kept, read_only=True) as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchone() == (1,)
    assert rows(kept) == rows(Home(home).database) == 1
    reserved = Database(Home(home).database).read(
        lambda connection: connection.execute("SELECT CAST(reserved_usd AS DOUBLE) FROM executions").fetchall()
    )
    assert reserved == [(0.5,)], "what an old run cost is unknown, so it counts in full"


def test_a_journal_that_cannot_be_copied_is_not_migrated(home: Path) -> None:
    old_journal(Home(home).database)
    (home / "claude_trader.duckdb.schema-1").mkdir()
    with pytest.raises(Retryable, match="could not be copied"):
        Database(Home(home).database).write(lambda _: None)
    with duckdb.connect(Home(home).database, read_only=True) as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchone() == (1,)
