"""`claude-trader journal prune`: what goes, what stays, and that the file gets smaller, whatever happens meanwhile."""

import os
import random
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.home import Home
from mcp_server.storage.journal.prune import prune
from mcp_server.storage.journal.rows import Run
from tests.rigs.forked_script import ForkedScript
from tests.runner.conftest import Command
from tests.storage.outcome_homes import FAILED, OutcomeHome, signalled

OLD, NEW, BEFORE = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "2025-06-01"
RULES = parse_strategy("mine", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 0"}}, None)


def trace(number: int) -> dict[str, Any]:
    return {"number": number, "noise": random.Random(number).randbytes(100_000).hex()}  # noqa: S311


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with old and new runs, one under way, one of a replay, and what its owner has added to the journal."""
    home = tmp_path_factory.mktemp("template")
    stored = OutcomeHome(home)
    for number in range(8):
        outcome = FAILED if number % 4 == 3 else signalled("BUY")
        stored.run(RULES, OLD + timedelta(hours=number), replace(outcome, trace=trace(number)))
    stored.run(RULES, NEW, replace(signalled("SELL"), trace=trace(8)))
    stored.run(RULES, OLD, replace(signalled("HOLD"), trace=trace(9)), "replay")
    stored.journal.claim(Run(RULES, "manual", OLD, "rules", OLD, "kraken"))
    stored.database.write(
        lambda c: c.execute(
            "CREATE TABLE notes AS SELECT 'kept' AS note; CREATE VIEW signals AS SELECT signal FROM analysis_results; "
            'CREATE SCHEMA own; CREATE TABLE own."a b" AS SELECT 1 AS id'
        )
    )
    return home


@pytest.fixture
def stored(home: Path, template: Path) -> OutcomeHome:
    """A home of this test alone with that journal."""
    shutil.copytree(template, home, dirs_exist_ok=True)
    return OutcomeHome(home)


def rows_of(stored: OutcomeHome) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, in its order, without traces."""
    tables = stored.rows(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'file' ORDER BY ALL"
    )
    found = {}
    for schema, table in tables:
        without = " EXCLUDE (trace)" if table == "executions" else ""
        found[f"{schema}.{table}"] = stored.rows(f'SELECT *{without} FROM "{schema}"."{table}"')
    return found


def with_traces(stored: OutcomeHome) -> list[object]:
    return [id_ for (id_,) in stored.rows("SELECT id FROM executions WHERE trace IS NOT NULL ORDER BY id")]


def test_old_traces_go_every_row_stays_and_the_file_gets_smaller(trader: Command, stored: OutcomeHome) -> None:
    before, size = rows_of(stored), stored.database.path.stat().st_size
    done = trader("journal", "prune", "--before", BEFORE, "--yes", "--json")
    assert done.code == 0
    assert "8 traces of runs (1.6 MB)" in done.err
    assert (done.json["traces"], done.json["bytes_before"]) == (8, size)
    assert done.json["bytes_after"] == stored.database.path.stat().st_size < size - 1_500_000
    assert rows_of(stored) == before
    assert stored.rows("SELECT count(*) FROM signals") == [(8,)]
    assert with_traces(stored) == [9, 10], "a new run, and one of a replay"
    assert stored.run(RULES, NEW + timedelta(hours=1), signalled("BUY")) == 12, "no id is given twice"
    again = trader("journal", "prune", "--before", BEFORE, "--yes")
    assert "Nothing is to be removed" in again.out


def test_reports_of_that_time_go_and_no_other_file(trader: Command, home: Path, stored: OutcomeHome) -> None:
    analysis = Home(home).analysis
    (analysis / "mine").mkdir(parents=True)
    (home / "elsewhere").mkdir()
    (analysis / "link").symlink_to(home / "elsewhere")
    for name in ("mine/old.md", "mine/old.png", "mine/new.md", "mine/notes.txt", "link/theirs.md"):
        file = analysis / name
        file.write_text("12345")
        moment = NEW if "new" in name else OLD
        os.utime(file, (moment.timestamp(),) * 2)
    done = trader("journal", "prune", "--before", BEFORE, "--yes", "--json")
    assert (done.json["reports"], done.json["report_bytes"]) == (2, 10)
    left = sorted(
        str(file.relative_to(analysis)) for folder in ("mine", "link") for file in (analysis / folder).iterdir()
    )
    assert left == ["link/theirs.md", "mine/new.md", "mine/notes.txt"]


def test_nothing_goes_before_somebody_has_confirmed_it(trader: Command, stored: OutcomeHome) -> None:
    refused = trader("journal", "prune", "--before", BEFORE)
    assert (refused.code, "Confirm with --yes" in refused.err) == (2, True)
    assert "8 traces of runs (1.6 MB)" in refused.err
    assert len(with_traces(stored)) == 10


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["prune", "--before", "3026-01-01", "--yes"], "is in the future"),
        (["prune", "--before", "soon", "--yes"], "--before"),
        (["prune"], "--before"),
    ],
)
def test_wrong_use_is_refused(trader: Command, arguments: list[str], problem: str) -> None:
    done = trader("journal", *arguments)
    assert (done.code, problem in done.err) == (2, True)


def test_a_home_without_a_journal_has_nothing_to_prune(trader: Command, home: Path) -> None:
    assert "Nothing is to be removed" in trader("journal", "prune", "--before", BEFORE).out
    assert not Home(home).database.exists()


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from mcp_server.storage import rewritten
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.prune import prune
real = getattr(rewritten, sys.argv[2])
def killed(*arguments):
    if sys.argv[3] == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(rewritten, sys.argv[2], killed)
home = Home(Path(sys.argv[1]))
prune(Database(home.database, prepare=home.prepare), home, datetime.fromisoformat("2025-06-01T00:00:00+00:00"))
"""


@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("_fill", "after"),
        *(pytest.param(*rest, marks=pytest.mark.long) for rest in (("_fill", "before"), ("_sync", "after"))),
    ],
)
def test_killed_at_any_moment_it_has_lost_nothing_and_can_be_done_again(
    home: Path, stored: OutcomeHome, place: str, when: str
) -> None:
    before = rows_of(stored)
    with ForkedScript(KILLED, str(home), place, when) as killed:
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
    assert list(home.glob("*.rewriting*"))
    assert len(with_traces(stored)) == 10
    assert rows_of(stored) == before
    prune(stored.database, Home(home), datetime(2025, 6, 1, tzinfo=UTC))
    assert with_traces(stored) == [9, 10]
    assert rows_of(stored) == before
    assert not list(home.glob("*.rewriting*"))


def test_other_programs_go_on_with_the_fresh_file(trader: Command, stored: OutcomeHome) -> None:
    """They had it open before, and had a run under way."""
    claimed = stored.journal.claim(Run(RULES, "manual", OLD, "rules", OLD, "kraken"))
    trader("journal", "prune", "--before", BEFORE, "--yes")
    stored.journal.finish(claimed, signalled("HOLD"), NEW)
    listed = trader("signals", "--json").json["signals"]
    assert (listed[0]["execution_id"], listed[0]["signal"]) == (claimed.execution_id, "HOLD")


def test_the_fresh_file_is_as_private_as_the_old_one(trader: Command, stored: OutcomeHome) -> None:
    stored.database.path.chmod(0o600)
    trader("journal", "prune", "--before", BEFORE, "--yes")
    assert stored.database.path.stat().st_mode & 0o777 == 0o600


def test_copies_from_before_an_upgrade_and_notices_long_ended_go_too(trader: Command, home: Path) -> None:
    at = Home(home)
    at.prepare()
    lately = datetime.now(UTC) - timedelta(days=80)
    for folder, name, moment in (
        (home, f"{at.database.name}.schema-3", OLD),
        (home, f"{at.database.name}.schema-4.copying", OLD),
        (home, f"{at.database.name}.schema-12", NEW),
        (home, f"{at.database.name}.schema-mine", OLD),
        (at.notices / "sent", "long-ago.json", lately - timedelta(days=20)),
        (at.notices / "lost", "long-ago.json", lately - timedelta(days=20)),
        (at.notices / "sent", "lately.json", lately),
        (at.notices, "waiting.json", lately - timedelta(days=20)),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("12345")
        os.utime(folder / name, (moment.timestamp(),) * 2)
    done = trader("journal", "prune", "--before", BEFORE, "--yes", "--json")
    assert (done.json["copies"], done.json["copy_bytes"], done.json["notices"], done.json["left"]) == (2, 10, 2, [])
    assert "2 files from before an upgrade (0.0 MB), 2 notifications that ended more than 90 days ago" in done.err
    left = {path.name for folder in (home, *at.notices.rglob("")) for path in folder.iterdir() if path.is_file()}
    assert left == {f"{at.database.name}.schema-12", f"{at.database.name}.schema-mine", "lately.json", "waiting.json"}
