"""What the documentation says is so: queries run, examples compile, and every key, table and setting is there."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import anyio
import pytest

from mcp_server.domain.news.feed import Feed, NewsKind
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.tree import FUNCTIONS
from mcp_server.domain.strategy.format import Config, Rules
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.news.store import NewsStore
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from runner.notify.events import FIELDS
from runner.settings import RunnerSettings
from tests.rigs.sampled import sampled
from tests.structure.answers import PAGES, TOOL_PAGES, tools_shown, with_answers

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
FORMAT = (ROOT / "strategies" / "README.md").read_text()
NOTIFICATIONS = (ROOT / "docs" / "guides" / "notifications.md").read_text()
JOURNAL = (ROOT / "docs" / "reference" / "journal.md").read_text()

LATER = datetime(2026, 1, 1, tzinfo=UTC)


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def database(home: Path) -> Database:
    database = Database(Home(home).database, prepare=Home(home).prepare)
    journal = Journal(database, Home(home))
    config = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}
    now = LATER
    claimed = journal.claim(Run(parse_strategy("s", config, None), "manual", now, "claude", now))
    trace = {"sub_agents": [{"name": "a", "calls": [{"tool": "get_price"}, {"tool": "get_ohlcv"}]}]}
    journal.finish(claimed, Outcome(Status.SUCCESS, Signal("BUY", Decimal(70), "why"), trace=trace), now)
    news = NewsStore(database, lambda: to_ms(LATER) - 60_000)
    for source, kind, headline in [
        ("coindesk", "press", "Bitcoin falls"),
        ("coindesk", "press", "Why bitcoin fell"),
        ("decrypt", "press", "Bitcoin falls"),
        ("fear_greed", "index", "Fear & Greed Index 25: Fear"),
    ]:
        feed = Feed(source, "https://a.example/feed", cast(NewsKind, kind))
        number = 25.0 if kind == "index" else None
        news.enter(NewsFetch(source, 0, "ok", 1), feed, [Told("1", None, headline, None, number)])
    return database


QUERIES = [query for query in "".join(_blocks(JOURNAL, "sql")).split(";") if query.strip()]


def test_every_query_of_the_journals_page_runs(home: Path, database: Database) -> None:
    found = [answer(Question(home, query, LATER, 500, 200, 5)) for query in QUERIES]
    assert [len(said["rows"]) for said in found] == [1, 0, 2, 1, 1, 0, 1, 1, 1, 3, 1]
    for query in QUERIES:
        columns = database.read(lambda c, query=query: c.execute(query).description)  # type: ignore[misc]
        assert columns


def test_the_journals_page_names_every_table_and_column(database: Database) -> None:
    columns = database.read(
        lambda c: c.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    )
    rows = {row.split("|")[1].strip(): row for row in JOURNAL.splitlines() if row.startswith("| `")}
    for table, column in columns:
        (row,) = [row for names, row in rows.items() if f"`{table}`" in names]
        if table not in ("series", "coverage"):
            assert f"`{column}`" in row, f"{table}.{column}"


def test_the_page_of_notifications_names_every_event_and_each_of_its_parts() -> None:
    rows = [row.split("|") for row in NOTIFICATIONS.splitlines() if row.startswith("| `")]
    told = {row[1].strip().strip("`"): tuple(re.findall(r"`\$(\w+)`", row[3])) for row in rows if len(row) == 5}
    assert told == FIELDS
    (template,) = _blocks(NOTIFICATIONS, "text")
    assert set(re.findall(r"\$(\w+)", template)) <= set(FIELDS["signal"])


def test_the_formats_page_names_every_key_and_function() -> None:
    for key in Config.model_fields:
        assert f"`{key}`" in FORMAT, key
    for function in FUNCTIONS:
        assert function in FORMAT, function


def test_the_formats_examples_are_valid() -> None:
    rules, agents = (json.loads(block) for block in _blocks(FORMAT, "json"))
    compile_rules(Rules(**rules), "1h")
    parse_strategy("s", {"trading_pair": "BTC/USD", "interval": "1h"}, agents)


def test_the_columns_that_the_formats_page_names_are_the_indicators_own() -> None:
    wanted: list[tuple[str, str]] = [
        ("rsi(14)", "rsi_14"),
        ("bbands(20,2.5,2.5)", "bbands_20_2p5_2p5_upper"),
        ("macd(12,26,9)", "macd_12_26_9_hist"),
        ("ema(50) of volume", "ema_50_of_volume"),
    ]
    for spec, column in wanted:
        compile_rules(Rules(indicators=(spec,), buy=f"{column} > 0"), "1h")


def test_the_page_of_settings_names_each_once_and_no_other() -> None:
    fields = {name for settings in (ServerSettings, RunnerSettings) for name in settings.model_fields}
    credentials = {**ServerSettings.credential_names(), **RunnerSettings.credential_names()}
    rows = [row.split("|")[1] for row in SETTINGS.splitlines() if row.startswith("| `")]
    named = sorted(name for row in rows for name in re.findall(r"`([A-Z_]+)`", row))
    assert named == sorted([*(credentials.get(field, f"TRADER_{field.upper()}") for field in fields), "TRADER_PACKAGE"])


@pytest.mark.parametrize("page", sampled(PAGES, len(PAGES)), ids=lambda page: page.stem)
def test_every_answer_on_a_page_is_what_the_tool_says(page: Path) -> None:
    """`make answers` writes them anew."""
    text = page.read_text("utf-8")
    assert anyio.run(with_answers, page, text) == text


@pytest.mark.parametrize("page", TOOL_PAGES, ids=lambda page: page.stem)
def test_a_page_of_tools_shows_an_answer_of_each(page: Path) -> None:
    assert set(tools_shown(page.read_text("utf-8"))) == {
        file.stem for file in (ROOT / "mcp_server" / "tools" / page.stem).glob("[a-z]*.py")
    }
