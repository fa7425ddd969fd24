"""The order of rows is that of the journal, whatever is recorded later than the moment asked for."""

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from tests.rigs.sampled import sampled
from tests.storage.queries.conftest import NOW

LATER = (
    "INSERT INTO strategies SELECT s.* REPLACE (1000 + n AS id, 'later' || n AS name) "
    "FROM strategies s, range(3000) r(n) WHERE id = 1",
    "INSERT INTO executions SELECT e.* REPLACE (1000 + n AS id, 'later' || n AS run_key, "
    "as_of + INTERVAL 100 DAY AS as_of) FROM executions e, range(3000) r(n) WHERE id = 1",
)


@pytest.fixture(scope="module")
def gone_on(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home, after thousands of runs more."""
    home = tmp_path_factory.mktemp("gone_on")
    shutil.copy(Home(recorded).database, Home(home).database)
    with duckdb.connect(str(Home(home).database)) as connection:
        for insert in LATER:
            connection.execute(insert)
    return home


@pytest.mark.parametrize("table", sampled(["outcomes", "strategies", "analysis_results"], 3))
def test_what_is_recorded_later_turns_no_rows_around(recorded: Path, gone_on: Path, table: str) -> None:
    """Else a `LIMIT` without an order leaves other rows, and a rerun sends what is not on its cassette."""
    for in_a_run in (False, True):
        question = Question(recorded, f"SELECT * FROM {table}", NOW, 100, 200, 5.0, in_a_run=in_a_run)
        then = answer(question)["rows"]
        assert then == answer(replace(question, home=gone_on))["rows"]
        assert then == sorted(then, key=lambda row: row[0])
