"""After a move the journal's questions have the same answers, byte for byte, wherever it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.settings import ServerSettings
from mcp_server.storage.journal.move import JournalMove
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.postgres.database import PostgresDatabase
from runner.cli.context import Context
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url
from tests.rigs.sample_home import sample_home
from tests.rigs.sample_strategies import TREND
from tests.runner.conftest import trader_in
from tests.storage.postgres.test_chosen import QUESTIONS
from tests.storage.queries.conftest import NOW

pytestmark = IN_POSTGRES

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("list_signals", {"limit": 50, "outcomes": "all"}),
    ("list_signals", {"execution_id": 3}),
    ("get_performance", {}),
    ("get_performance", {"strategy_name": TREND}),
    ("get_costs", {"days": 30}),
    ("list_strategies", {}),
    ("read_strategy", {"strategy_name": TREND}),
    *(("query_journal", {"sql": sql}) for sql in QUESTIONS),
]
"""What a chat and the page ask of the journal."""


async def answers() -> list[str]:
    told = []
    async with Client(build_server(ServerSettings.load(), clock=lambda: NOW)) as client:
        for tool, arguments in ASKED:
            reply = await client.call_tool(tool, arguments)
            texts = [getattr(block, "text", "") for block in reply.content]
            told.append(json.dumps([tool, reply.is_error, texts, reply.structured_content]))
    return told


@pytest.mark.long
async def test_tools_and_commands_answer_as_before_in_postgres_and_back_in_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_EXCHANGE", "simulated")
    sample_home(home, NOW).close()
    Journal(Context().database, Context().home).settle(NOW)
    trader, file = trader_in(home), Context().database
    commands = [("signals", "--all", "--json"), ("signals", "--csv")]

    async def told(url: str) -> tuple[list[str], list[str]]:
        monkeypatch.setenv("TRADER_DATABASE_URL", url)
        return await answers(), [trader(*words, TRADER_DATABASE_URL=url).out for words in commands]

    before, url = await told(""), postgres_url()
    assert not [line for line in before[0] if json.loads(line)[1]], "each is answered"
    assert len(before[1][1].splitlines()) > 1
    monkeypatch.setenv("TRADER_DATABASE_URL", url)
    postgres = Context().journal_database
    assert isinstance(postgres, PostgresDatabase)
    JournalMove.of(Context().home, file, postgres, "postgres").move()
    assert await told(url) == before
    JournalMove.of(Context().home, file, postgres, "file").move()
    postgres.close()
    assert await told("") == before
