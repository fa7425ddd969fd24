"""A small query of the journal over stdio, beside DuckDB that opens the same file and answers the same SQL."""

import statistics
import time
from pathlib import Path

import duckdb
import pytest

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.benchmarks.programs import OURS, environment, host_of, say, told
from tests.benchmarks.touches import report
from tests.storage.queries.conftest import record

SQL = "SELECT id, status, as_of, cost_usd FROM executions ORDER BY as_of DESC LIMIT 10"
COPIES = 33
"""Of thirty runs: 1,020 in all."""

TURNS = 12
READY_S = 1.5
"""A person or a model asks the next question later than this: by then the next process waits."""

MOST = 3.0
"""Times what DuckDB takes alone."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("recorded")
    record(home)

    def more(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "INSERT INTO executions SELECT * EXCLUDE (n) "
            "REPLACE (30 * n + id + 99 AS id, as_of - to_days(n::INT) AS as_of) "
            f"FROM executions, range(1, {COPIES + 1}) copies(n)"
        )

    Database(Home(home).database).write(more)
    return home


def test_a_small_query_takes_little_longer_than_duckdb_alone(recorded: Path) -> None:
    ours, floor, at_once = [], [], []
    with host_of(OURS, environment(recorded)) as host:

        def ask() -> float:
            began = time.perf_counter()
            answer = told(host, "query_journal", {"sql": SQL})
            took = (time.perf_counter() - began) * 1000
            assert len(answer["structuredContent"]["rows"]) == 10
            return took

        first = ask()
        for _ in range(TURNS):
            time.sleep(READY_S)
            ours.append(ask())
            at_once.append(ask())
            began = time.perf_counter()
            with duckdb.connect(str(Home(recorded).database), read_only=True) as connection:
                assert len(connection.execute(SQL).fetchall()) == 10
            floor.append((time.perf_counter() - began) * 1000)
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    say(
        f"query_journal: first of a sitting {first:.0f} ms, then {statistics.median(ours):.0f} ms, DuckDB alone "
        f"{statistics.median(floor):.0f} ms, ratio {ratio:.2f} (at most {MOST}); at once after another "
        f"{statistics.median(at_once):.0f} ms"
    )
    assert ratio <= MOST
    report("query_journal", ours)
