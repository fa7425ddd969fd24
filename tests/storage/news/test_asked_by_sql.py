"""News in the journal: asked by SQL; and in a home's file copied, and rewritten without what has gone."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import BadInput
from mcp_server.storage.database import Database
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from tests.rigs.journal_databases import ON_A_FILE, journal_url
from tests.storage.news.conftest import HOUR, NOON, NewsDesk, told

pytestmark = pytest.mark.usefixtures("kept_in")


def rows(home: Path, sql: str, at_ms: int, *, in_a_run: bool = False) -> list[list[Any]]:
    moment: datetime = from_ms(at_ms)
    question = Question(home, sql, moment, 100, 200, 5.0, in_a_run=in_a_run, journal_url=journal_url(home))
    found: list[list[Any]] = answer(question)["rows"]
    return found


@pytest.mark.parametrize("in_a_run", [False, True])
def test_a_query_sees_what_was_first_seen_by_its_moment_whatever_was_published(
    home: Path, desk: NewsDesk, in_a_run: bool
) -> None:
    desk.enter(told("a", "Bitcoin rises", NOON + HOUR))
    desk.now_ms += HOUR
    desk.enter(told("b", "Ether falls", NOON - HOUR), status="ok")
    counts = "SELECT (SELECT count(*) FROM news), (SELECT count(*) FROM news_fetches)"
    for at_ms, count in [(NOON, 0), (NOON + 1, 1), (NOON + HOUR, 1), (NOON + HOUR + 1, 2)]:
        assert rows(home, counts, at_ms, in_a_run=in_a_run) == [[count, count]]
    headline = "SELECT headline FROM news WHERE published_at > now()"
    assert rows(home, headline, NOON + 1, in_a_run=in_a_run) == [["Bitcoin rises"]]


def test_a_query_knows_no_column_that_only_finds_repetitions(home: Path, desk: NewsDesk) -> None:
    desk.enter(told("a"))
    with pytest.raises(BadInput):
        rows(home, "SELECT hash FROM news", NOON)


@ON_A_FILE
def test_a_file_that_was_rewritten_or_copied_goes_on_with_the_same_stories(desk: NewsDesk, tmp_path: Path) -> None:
    desk.enter(told("a", "Bitcoin rises"), told("b", "Ether falls"))
    desk.database.rewrite({})
    before = desk.everything()
    desk.database.copy(tmp_path / "copy.duckdb")
    desk.now_ms += HOUR
    copied = NewsDesk(Database(tmp_path / "copy.duckdb"), desk.now_ms)
    for of in (desk, copied):
        assert of.everything() == before
        assert of.enter(told("a", "Bitcoin rises"), told("c", "Bitcoin rises", NOON), told("d", "Gold slips")) == 2
        assert of.stories() == [["Bitcoin rises", "Bitcoin rises"], ["Ether falls"], ["Gold slips"]]
        assert len({item.id for item in of.everything()}) == 4
