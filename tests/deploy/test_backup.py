"""A backup is whole, made while others write, and without secrets; an older journal is copied before it is migrated."""

import os
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
from runner.restore import unpack
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
    (home / "oauth.json").write_text("{}")
    command = [sys.executable, "-m", "tests.deploy.writer"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            before = [int(writer.stdout.readline()) for _ in range(3)][-1]
            size = back_up(parts, tmp_path / "copy.tar.gz")
        finally:
            writer.kill()
        after = before + len(writer.stdout.read().splitlines()) + 1  # all that it has written, and one untold
    restored = tmp_path / "restored"
    with tarfile.open(tmp_path / "copy.tar.gz") as archive:
        names = archive.getnames()
    unpack(tmp_path / "copy.tar.gz", restored)
    assert size == (tmp_path / "copy.tar.gz").stat().st_size
    assert before <= rows(restored / "claude_trader.duckdb") <= after
    assert "strategies/mine/config.json" in names
    assert "oauth.json" not in names
    assert not [name for name in names if ".env" in name or name.startswith("running") or name.endswith(".lock")]
    assert [entry.name for entry in home.iterdir() if entry.name.startswith(".backup")] == []


def test_a_backup_in_the_home_holds_no_earlier_one(home: Path) -> None:
    Context().strategies.write(parse_strategy("mine", CONFIG, None))
    for name in ("one.tar.gz", "two.tar.gz"):
        back_up(Context(), home / name)
    with tarfile.open(home / "two.tar.gz") as archive:
        names = archive.getnames()
    assert "strategies/mine/config.json" in names
    assert not [name for name in names if name.endswith(".tar.gz")]


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


def packed(archive_file: Path) -> dict[str, bytes]:
    """Return the files of an archive, each of them once, with their contents."""
    with tarfile.open(archive_file) as archive:
        names = [entry.name for entry in archive.getmembers() if not entry.isdir()]
        assert sorted({*names}) == sorted(names), "nothing is packed twice"
        contents = {entry.name: archive.extractfile(entry) for entry in archive.getmembers() if entry.isreg()}
        assert sorted(contents) == sorted(names), "no link and no device is packed"
        return {name: stream.read() for name, stream in contents.items() if stream is not None}


def test_a_backup_has_each_file_once_and_no_link_lock_or_half_written_file(home: Path, tmp_path: Path) -> None:
    context = Context()
    context.strategies.write(parse_strategy("mine", CONFIG, None))
    context.database.write(lambda _: None)
    (tmp_path / "secret").write_text("not ours")
    mine = home / "strategies" / "mine"
    for link in (home / "link", mine / "link"):
        link.symlink_to(tmp_path / "secret")
    os.link(mine / "config.json", mine / "copy.json")
    os.mkfifo(mine / "pipe")
    for name in (".writing-x", ".replacing-y"):
        (home / "strategies" / name).mkdir()
        (home / "strategies" / name / "config.json").touch()
    for file in (home / "outbox" / ".a.json.1.new", home / "running" / ("0" * 32), home / ".env"):
        file.touch()
    (home / "claude_trader.duckdb.wal").touch()
    (home / "claude_trader.duckdb.schema-1").touch()
    back_up(context, tmp_path / "copy.tar.gz")
    contents = packed(tmp_path / "copy.tar.gz")
    config = (mine / "config.json").read_bytes()
    assert {*contents} == {
        "claude_trader.duckdb",
        "strategies/mine/config.json",
        "strategies/mine/copy.json",
    }
    assert contents["strategies/mine/config.json"] == contents["strategies/mine/copy.json"] == config


def test_a_backup_can_be_read_by_its_owner_alone(home: Path, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        (tmp_path / "copy.tar.gz.partial").write_text("of a backup that was killed")
        back_up(Context(), tmp_path / "copy.tar.gz")
    finally:
        os.umask(old)
    assert (tmp_path / "copy.tar.gz").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "copy.tar.gz.partial").exists()


def test_what_goes_while_a_backup_is_made_is_no_failure(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context()
    context.home.prepare()
    for name in ("a.json", "b.json"):
        (home / "outbox" / name).write_text("{}")
    look = tarfile.TarFile.gettarinfo

    def entered_meanwhile(self: tarfile.TarFile, name: Path, packed_as: str) -> tarfile.TarInfo:
        (home / "outbox" / "a.json").unlink(missing_ok=True)
        return look(self, name, packed_as)

    monkeypatch.setattr(tarfile.TarFile, "gettarinfo", entered_meanwhile)
    back_up(context, tmp_path / "copy.tar.gz")
    monkeypatch.undo()
    (home / "outbox" / "a.json").touch()
    assert "outbox/b.json" in packed(tmp_path / "copy.tar.gz")


LIVE = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET checkpoint_threshold = '1GB'")
connection.execute(sys.argv[2])
os._exit(0)
"""
"""Writes a journal and is killed: what it has written is in the log beside it alone."""


def leave_a_log(database: Path, statement: str) -> None:
    subprocess.run([sys.executable, "-c", LIVE, str(database), statement], check=True)
    assert database.with_name(f"{database.name}.wal").stat().st_size > 100


INSERT = (
    'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, run_key) '
    "SELECT 1, 'v', 'manual', '2026-01-01', 'claude', '2026-01-01', 'timeout', 'live-' || i FROM range(20) t(i)"
)


def test_a_backup_has_what_is_only_in_the_journals_log_yet(home: Path, tmp_path: Path) -> None:
    context = Context()
    context.database.write(lambda _: None)
    leave_a_log(context.database.path, INSERT)
    back_up(context, tmp_path / "copy.tar.gz")
    (tmp_path / "copy.duckdb").write_bytes(packed(tmp_path / "copy.tar.gz")["claude_trader.duckdb"])
    assert rows(tmp_path / "copy.duckdb") == 20


def test_the_copy_before_a_migration_has_what_is_only_in_the_journals_log_yet(home: Path) -> None:
    old_journal(Home(home).database)
    leave_a_log(Home(home).database, INSERT)
    Database(Home(home).database).write(lambda _: None)
    assert rows(home / "claude_trader.duckdb.schema-1") == rows(Home(home).database) == 21


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
