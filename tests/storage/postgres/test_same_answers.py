"""The same record in a file and in Postgres: every tool of the journal and the commands answer the same."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pydantic import SecretStr

import mcp_server.tools.journal
from mcp_server.app import build_server
from mcp_server.http.health import Health
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import examples_folder
from mcp_server.storage.journal.copying import tables_of
from mcp_server.storage.news.standing import news_counts
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url
from tests.rigs.sample_home import SampleHome, sample_home
from tests.runner.conftest import trader_in

pytestmark = IN_POSTGRES
NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
THEN = NOW - timedelta(days=9)


@dataclass
class Record:
    """One record: in the file of a home, and the same in Postgres for a home that has the same files."""

    file: SampleHome
    other: SampleHome
    url: str

    def settings(self, as_of: datetime | None, *, postgres: bool) -> ServerSettings:
        home, url = (self.other, SecretStr(self.url)) if postgres else (self.file, None)
        return ServerSettings(home=home.root, exchange="simulated", database_url=url, as_of=as_of)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    file, other = (sample_home(tmp_path_factory.mktemp(name) / "home", NOW) for name in ("file", "other"))
    url = postgres_url()
    database = PostgresDatabase(PostgresAddress.of(url))
    for table in file.database.read(tables_of):
        query = f"SELECT {', '.join(table.columns)} FROM {table.name}"
        if rows := file.database.read(lambda c, query=query: c.execute(query).fetchall()):  # type: ignore[misc]
            table.insert(database, rows)
    database.close()
    other.database.write(lambda c: [c.execute(f"DELETE FROM {name}") for name in ("executions", "analysis_results")])
    yield Record(file, other, url)
    for home in (file, other):
        home.close()


QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("list_signals", {}),
    ("list_signals", {"outcomes": "all", "limit": 40}),
    ("get_costs", {}),
    ("get_performance", {}),
    ("list_strategies", {}),
    ("query_journal", {"sql": "SELECT * FROM executions ORDER BY id"}),
]
MORE: list[tuple[str, dict[str, Any]]] = [
    ("get_performance", {"runs": "all"}),
    (
        "query_journal",
        {"sql": "SELECT signal, count(*), avg(confidence) FROM analysis_results GROUP BY ALL ORDER BY 1"},
    ),
    ("query_journal", {"sql": "SELECT * FROM strategies"}),
    ("query_journal", {"sql": "SELECT * FROM outcomes"}),
    ("query_journal", {"sql": "SELECT id, family, figures FROM backtests"}),
]


async def answers(record: Record, as_of: datetime | None, *, postgres: bool, whole: bool) -> list[str]:
    found = []
    async with Client(build_server(record.settings(as_of, postgres=postgres), clock=lambda: NOW)) as client:
        names = [row[0] for row in (await client.call_tool("list_strategies", {})).structured_content["rows"]]
        own = [("read_strategy", {"strategy_name": name}) for name in names[: 3 if whole else 1]]
        for tool, arguments in [*QUESTIONS, *(MORE if whole else []), *own]:
            result = await client.call_tool(tool, arguments)
            assert result.is_error is False, (tool, arguments, result.content)
            texts = [block.text for block in result.content if block.type == "text"]
            found.append(json.dumps([tool, arguments, result.structured_content, texts]))
    return found


@pytest.mark.parametrize(
    ("as_of", "whole"), [(None, False), *(pytest.param(at, True, marks=pytest.mark.long) for at in (None, THEN))]
)
async def test_every_question_about_the_journal_is_answered_the_same(
    record: Record, as_of: datetime | None, whole: bool
) -> None:
    mine, theirs = [await answers(record, as_of, postgres=postgres, whole=whole) for postgres in (False, True)]
    for one, other in zip(mine, theirs, strict=True):
        assert one.replace(str(record.file.root), "HOME") == other.replace(str(record.other.root), "HOME")
    folder = Path(str(mcp_server.tools.journal.__file__)).parent
    assert {json.loads(one)[0] for one in mine} >= {file.stem for file in folder.glob("[a-z]*.py")}


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--json"),
        pytest.param(("signals", "--all", "--json"), marks=pytest.mark.long),
        pytest.param(("score", "--json"), marks=pytest.mark.long),
    ],
    ids=lambda words: words[0],
)
def test_a_command_says_the_same(record: Record, words: tuple[str, ...]) -> None:
    told = []
    for home, url in ((record.file, ""), (record.other, record.url)):
        done = trader_in(home.root)(*words, TRADER_DATABASE_URL=url, TRADER_EXCHANGE="simulated", TRADER_NEWS="on")
        said: dict[str, Any] = json.loads(done.out.replace(str(home.root), "HOME"))
        told.append({key: value for key, value in said.items() if key not in ("now", "as_of", "started_at", "pid")})
    assert _without_dues(told[0]) == _without_dues(told[1])


def _without_dues(told: dict[str, Any]) -> dict[str, Any]:
    """Leave out when what is asked a moment later comes due."""
    return json.loads(json.dumps(told), object_hook=lambda d: {k: v for k, v in d.items() if k != "due"})  # type: ignore[no-any-return]


async def test_health_and_the_figures_of_news_say_the_same(record: Record) -> None:
    database = PostgresDatabase(PostgresAddress.of(record.url))
    reports = [
        await Health(home.home, examples_folder(), kept, lambda: NOW).report()
        for home, kept in ((record.file, record.file.database), (record.other, database))
    ]
    assert reports[0] == reports[1]
    assert reports[0]["checks"]["database"] == {"ok": True}
    assert news_counts(record.file.database) == news_counts(database)
    database.close()
