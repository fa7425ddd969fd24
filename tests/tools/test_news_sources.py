"""What get_news rests on: when the source that is asked was read, and none but those that tell headlines."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.news.item import Told
from mcp_server.domain.timeframes import from_ms, iso
from mcp_server.settings import ServerSettings
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk
from tests.tools.conftest import Ask, answer_of
from tests.tools.conftest import Told as Refused
from tests.tools.test_get_news import ask, collect, dated, desk

__all__ = ["ask", "desk"]


async def test_a_question_to_one_source_rests_on_when_that_one_was_read(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON - 30 * HOUR)
    since = desk.now_ms + 1
    desk.enter(source="sec")
    for _ in range(28):
        desk.now_ms += 30 * MINUTE
        desk.enter(source="sec")
    away = desk.now_ms + 1
    collect(desk, NOON)
    desk.enter(dated(desk, "a", "SEC sues"), source="sec")
    desk.now_ms += 1000
    everything, of_sec = await ask("get_news"), await ask("get_news", source="sec")
    assert (everything["per_hour"]["now"], of_sec["per_hour"]["now"]) == (pytest.approx(1 / 24, abs=1e-3), None)
    assert of_sec["collected_since"] == iso(-(-since // 1000) * 1000) > everything["collected_since"]
    assert of_sec["note"].startswith(f"Nothing was collected from {iso(away // MINUTE * MINUTE)} to ")
    assert "note" not in everything


async def test_the_number_of_an_index_is_no_reading_of_news(ask: Ask, desk: NewsDesk) -> None:
    async def every_half_hour(count: int) -> None:
        for _ in range(count):
            desk.now_ms += 30 * MINUTE
            index = Told("2026-05-28", None, "Fear & Greed Index 25: Fear", desk.now_ms, 25)
            desk.enter(index, source="mood", kind="index")
            desk.now_ms += 1000
            with suppress(Refused):
                await ask("get_news")

    await every_half_hour(3)
    with pytest.raises(Refused, match="No news had been collected by"):
        await ask("get_news")
    collect(desk, NOON - 4 * HOUR)
    since = (await ask("get_news"))["collected_since"]
    await every_half_hour(7)
    answer = await ask("get_news", hours=6)
    assert (answer["collected_since"], answer["sources"], answer["per_hour"]["now"]) == (since, 1, None)
    assert answer["note"].startswith("Nothing was collected from ")


async def test_an_answer_as_of_a_moment_stays_whatever_becomes_of_the_feeds(
    home: Path, ask: Ask, desk: NewsDesk
) -> None:
    desk.enter(dated(desk, "a", "Bitcoin rises"), kind="press")
    index = Told("2026-05-28", None, "Fear & Greed Index 25: Fear", desk.now_ms, 25)
    desk.enter(index, source="fear_greed", kind="index")
    desk.now_ms += MINUTE
    asked = {"as_of": iso(desk.now_ms), "detail": "full"}
    answer = await ask("get_news", **asked)
    assert (answer["sources"], answer["rows"][0][answer["columns"].index("language")]) == (["coindesk"], "en")
    changed = {"feeds": [{"source": "coindesk", "language": "de"}], "off": ["fear_greed"]}
    (home / "feeds.json").write_text(json.dumps(changed), encoding="utf-8")
    desk.now_ms += DAY
    assert await ask("get_news", **asked) == answer
    async with Client(build_server(ServerSettings(home=home), clock=lambda: from_ms(desk.now_ms))) as anew:
        assert answer_of(await anew.call_tool("get_news", asked)) == answer
