"""What it takes to move a journal of 200,000 runs into Postgres and back: rows a second, and how much memory."""

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, process_time

import psutil
import pytest

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.move import JournalMove
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import IN_POSTGRES, kept_in, postgres_url

__all__ = ["kept_in"]
pytestmark = IN_POSTGRES
RUNS = 200_000
MOST_MB = 200
"""A journal of this size has 330 MB of values; a batch of it has 8."""

FILL = f"""
INSERT INTO strategies (name, description, status, interval, config, agents, version, created_at, updated_at)
VALUES ('s', 'd', 'active', '1m', '{{}}', '{{}}', 'v', '2026-01-01', '2026-01-01');
INSERT INTO executions (strategy_id, strategy_version, "trigger", scheduled_at, scheduled_until, as_of, engine,
    started_at, completed_at, status, tokens_used, cost_usd, run_key, trace)
SELECT 1, 'v', 'schedule', m, m, m, 'rules', m + INTERVAL '1 second', m + INTERVAL '2 seconds', 'success', i, i / 1000,
    printf('%032x', i), '{{"words": "' || repeat('a trace ', 150) || i || '"}}'
FROM (SELECT i, TIMESTAMP '2020-01-01' + i * INTERVAL '1 minute' AS m FROM range({RUNS}) t(i));
INSERT INTO analysis_results (execution_id, strategy_id, timestamp, signal, confidence, reasoning, price, data,
    execution_time_ms)
SELECT id, 1, as_of, 'HOLD', id % 100, 'because of ' || id, 1 / (id + 1), '{{"evidence": "' || repeat('x', 300)
    || '"}}', 5
FROM executions;
"""


def test_a_journal_of_200_000_runs_is_moved_there_and_back_in_bounded_memory(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Home(home)
    file = Database(place.database, prepare=place.prepare)
    file.write(lambda _: None)
    fill = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
    subprocess.run([sys.executable, "-c", fill, str(file.path), FILL], check=True)  # its memory is not the move's
    postgres = PostgresDatabase(PostgresAddress.of(postgres_url()))
    this, most, figures = psutil.Process(os.getpid()), 0.0, []
    before_mb = this.memory_info().rss / 1e6

    def tell(table: str, done: int, of: int) -> None:
        nonlocal most
        most = max(most, this.memory_info().rss / 1e6 - before_mb)

    sums = []
    for move in (
        JournalMove.of(place, file, postgres, "postgres"),
        JournalMove.of(place, file, postgres, "file"),
    ):
        size, begun, begun_s = sum(table.bytes for table in move.sizes().values()), monotonic(), process_time()
        sums.append(move.move(tell))
        rows = sum(table.rows for table in sums[-1].values())
        taken_s, own_s = monotonic() - begun, process_time() - begun_s
        figures.append(
            f"to {move.target.kind}: {rows:,} rows and {size / 1e6:.0f} MB in {taken_s:.0f} s, and {own_s:.0f} s of "
            f"this program's processor time: {rows / own_s:,.0f} rows a second of it"
        )
    postgres.close()
    with capsys.disabled():
        print("", *figures, f"memory grew by {most:.0f} MB", sep="\n")  # noqa: T201
    assert sums[0] == sums[1]
    assert most < MOST_MB
