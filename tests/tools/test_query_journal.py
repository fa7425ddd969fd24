import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from tests.storage.queries.conftest import LONG_PROMPT, NOW, record
from tests.tools.conftest import Told, answer_of


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a journal of two strategies over ten days."""
    home = tmp_path_factory.mktemp("recorded")
    record(home)
    return home


async def query(home: Path, *, as_of: Any = None, **arguments: Any) -> dict[str, Any]:
    async with Client(build_server(ServerSettings(home=home, as_of=as_of), clock=lambda: NOW)) as client:
        result = await client.call_tool("query_journal", arguments)
    return answer_of(result)


async def test_a_query_is_answered_as_a_table(recorded: Path) -> None:
    said = await query(recorded, sql="SELECT signal, count(*) AS n FROM analysis_results GROUP BY signal ORDER BY n")
    assert said == {"columns": ["signal", "n"], "rows": [["SELL", 10], ["BUY", 17]]}


@pytest.mark.usefixtures("queries_in_this_process")
async def test_the_one_clock_holds_for_sql_too(recorded: Path) -> None:
    said = await query(recorded, sql="SELECT count(*), now() FROM executions", as_of=NOW - timedelta(days=9))
    assert said["rows"] == [[3, "2026-05-02T00:00:00Z"]]


@pytest.mark.usefixtures("queries_in_this_process")
async def test_a_run_that_had_not_answered_by_the_moment_says_nothing_of_its_end(recorded: Path) -> None:
    """It began five seconds after its slot, and took seven."""
    last = (
        "SELECT e.id, status, signal, trace IS NULL, cost_usd, completed_at IS NULL FROM executions e "
        "LEFT JOIN analysis_results a ON a.execution_id = e.id ORDER BY e.id DESC LIMIT 1"
    )
    slot = NOW - timedelta(days=9)
    told = [(await query(recorded, sql=last, as_of=slot + timedelta(seconds=s)))["rows"][0] for s in (4, 11, 12)]
    assert told[0][:2] == [3, "success"]
    assert told[1] == [4, "running", None, True, None, True]
    assert told[2] == [4, "success", "BUY", False, 0.05, False]


@pytest.mark.usefixtures("queries_in_this_process")
@pytest.mark.parametrize("detail", ["short", "full"])
async def test_an_answer_is_bounded_in_bytes_and_says_what_is_missing(recorded: Path, detail: str) -> None:
    arguments = {
        "sql": "SELECT e.*, journal_columns.* FROM executions e, journal_columns",
        "limit": 500,
        "detail": detail,
    }
    async with Client(build_server(ServerSettings(home=recorded), clock=lambda: NOW)) as client:
        result = await client.call_tool("query_journal", arguments)
    said = answer_of(result)
    size = len(
        json.dumps(result.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False).encode()
    )
    assert size < (8_000 if detail == "short" else 70_000)
    assert f"Only the first {len(said['rows'])} of more than 500 rows fit" in said["note"]


@pytest.mark.usefixtures("queries_in_this_process")
async def test_one_very_wide_row_is_shown_with_its_texts_cut(recorded: Path) -> None:
    wide = ", ".join(f"lpad('', 9000, 'ü')::VARCHAR AS c{i}" for i in range(40))
    said = await query(recorded, sql=f"SELECT {wide}")
    (row,) = said["rows"]
    assert len(row[0]) in (20, 50, 100)
    assert "Long cells are cut" in said["note"]


@pytest.mark.usefixtures("queries_in_this_process")
async def test_more_rows_than_the_limit_are_told(recorded: Path) -> None:
    said = await query(recorded, sql="SELECT id FROM executions ORDER BY id", limit=2)
    assert (said["rows"], said["note"]) == (
        [[1], [2]],
        "There are more rows than these 2: aggregate, or raise limit (up to 500).",
    )
    empty = await query(recorded, sql="SELECT id FROM executions WHERE false")
    assert (empty["rows"], empty["note"]) == ([], "No row fits the query, or none is recorded by then.")


WRONG = {
    "SELECT cost FROM executions": r"Unknown column 'cost'. Did you mean 'cost_usd'\?",
    "SELECT e.statuss FROM executions e": r"Unknown column 'statuss'. Did you mean 'status'\?",
    "SELECT * FROM execution": r"Unknown table 'execution'. Did you mean 'executions'\?[^§]*analysis_results\(id,",
    "SELEC 1": "cannot be parsed: syntax error",
    "DELETE FROM executions": "Only SELECT is answered",
    "SELECT coun(*) FROM executions": "Did you mean 'count'",
    "SELECT 'a'::INT": "cannot be answered: Conversion Error",
    "SELECT * FROM executions GROUP BY id": "cannot be answered: column",
    "SELECT sum(status) FROM executions": "cannot be answered: No function matches",
}


@pytest.mark.usefixtures("queries_in_this_process")
@pytest.mark.parametrize(("sql", "said"), WRONG.items(), ids=WRONG.keys())
async def test_a_wrong_query_says_how_to_mend_it(recorded: Path, sql: str, said: str) -> None:
    with pytest.raises(Told, match=said):
        await query(recorded, sql=sql)


async def test_a_home_without_a_journal_has_empty_tables(home: Path) -> None:
    assert (await query(home, sql="SELECT count(*) FROM executions"))["rows"] == [[0]]


@pytest.mark.usefixtures("queries_in_this_process")
async def test_both_forms_carry_the_same_facts(recorded: Path) -> None:
    async with Client(build_server(ServerSettings(home=recorded), clock=lambda: NOW)) as client:
        result = await client.call_tool("query_journal", {"sql": "SELECT agents FROM strategies ORDER BY id DESC"})
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert LONG_PROMPT in block.text
    assert LONG_PROMPT in json.dumps(result.structured_content)
