"""What get_news answers as of a moment: what it answered then, whatever came in since, and whoever wrote it."""

import json
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from mcp_server.app import build_server, make_kit, tool_files
from mcp_server.domain.news.item import Told
from mcp_server.domain.timeframes import from_ms, iso, naive, parse_moment, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.strict_tool import StrictTool
from mcp_server.toolkit import AS_OF_HEADER
from tests.acceptance.hostile_texts import TEXTS, hidden
from tests.domain.test_report_text import HOSTILE
from tests.news.random_days import random_days
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk, told
from tests.tools.conftest import answer_of

SEEDS = [(1, 1), *(pytest.param(seed, 3, marks=pytest.mark.long) for seed in range(1, 10))]

ASKED: list[dict[str, Any]] = [
    {"symbol": "BTC/USDT", "detail": "full", "limit": 200},
    {"hours": 72},
    {"topic": "rates", "source": "okx", "hours": 720},
]


def desk_of(home: Path) -> NewsDesk:
    at = Home(home)
    return NewsDesk(Database(at.database, prepare=at.prepare))


async def answers(home: Path, now_ms: int, asked: Sequence[Mapping[str, Any]]) -> list[CallToolResult]:
    async with Client(build_server(ServerSettings(home=home), clock=lambda: from_ms(now_ms))) as client:
        return [await client.call_tool("get_news", dict(arguments)) for arguments in asked]


def cut_at(home: Path, target: Path, until: datetime) -> Path:
    """Return a copy of a home from which everything is gone that was seen after a moment."""
    shutil.copytree(home, target)
    database = Database(Home(target).database)
    database.write(lambda c: c.execute("DELETE FROM news WHERE first_seen_at > ?", [naive(until)]) and None)
    database.write(lambda c: c.execute("DELETE FROM news_fetches WHERE fetched_at > ?", [naive(until)]) and None)
    return target


@pytest.mark.parametrize(("seed", "count"), SEEDS)
async def test_an_answer_as_of_a_moment_is_byte_for_byte_that_of_a_home_that_ends_there(
    home: Path, tmp_path: Path, seed: int, count: int
) -> None:
    chance, desk = random.Random(seed), desk_of(home)  # noqa: S311 - a test
    moments = random_days(desk, chance, 40)
    now_ms, told_rows = desk.now_ms + HOUR, 0
    for place, moment in enumerate(chance.sample(moments[len(moments) // 4 :], count)):
        until_ms = moment // 1000 * 1000 + 1000
        as_of = iso(until_ms)
        whole = await answers(home, now_ms, [{**asked, "as_of": as_of} for asked in ASKED])
        ends_there = cut_at(home, tmp_path / str(place), from_ms(until_ms))
        for asked, later, then in zip(ASKED, whole, await answers(ends_there, until_ms, ASKED), strict=True):
            assert later.model_dump_json() == then.model_dump_json(), (as_of, asked)
            if later.is_error:
                continue
            facts = later.structured_content or {}
            seen = [to_ms(parse_moment(row[facts["columns"].index("first_seen_at")])) for row in facts["rows"]]
            assert all(at <= until_ms for at in seen), "whatever its publisher says"
            assert seen == sorted(seen, reverse=True)
            told_rows += len(seen)
    assert told_rows > 5


async def test_what_the_page_of_a_publisher_says_of_its_time_shows_nothing_earlier(home: Path) -> None:
    desk = desk_of(home)
    desk.enter(told("a", "Bitcoin early", NOON))
    desk.now_ms += HOUR
    desk.enter(told("b", "Bitcoin late", NOON - DAY))
    (answer,) = await answers(home, desk.now_ms + HOUR, [{"as_of": iso(NOON + MINUTE)}])
    assert [row[4] for row in answer_of(answer)["rows"]] == ["Bitcoin early"]


@pytest.mark.parametrize("held", ["by the setting", "by the header of a run"])
async def test_a_server_or_a_run_that_is_held_at_a_moment_sees_nothing_later(home: Path, held: str) -> None:
    desk = desk_of(home)
    desk.enter(told("a", "Bitcoin early", NOON))
    desk.now_ms += HOUR
    desk.enter(told("b", "Bitcoin late", NOON))
    as_of = from_ms(NOON + MINUTE)
    settings = ServerSettings(home=home, as_of=as_of if held == "by the setting" else None)
    kit = make_kit(settings, tool_files(), clock=lambda: from_ms(desk.now_ms + HOUR))
    header = {} if held == "by the setting" else {AS_OF_HEADER: as_of.isoformat()}
    for asked in ({}, {"as_of": iso(desk.now_ms + HOUR)}, {"as_of": "now", "symbol": "BTC/USD"}):
        answer = (await StrictTool.of(tool_files()["get_news"], kit).answer(asked, header, 20)).structured()
        assert (answer["as_of"], [row[4] for row in answer["rows"]]) == (iso(NOON + MINUTE), ["Bitcoin early"])
    await kit.close()


async def test_hostile_headlines_are_one_line_of_text_in_the_column_that_is_named_untrusted(home: Path) -> None:
    desk = desk_of(home)
    hostile = list(dict.fromkeys([*TEXTS, *HOSTILE]))
    assert len(hostile) >= 50
    storable = [text.encode("utf-8", "replace").decode().replace("\0", "") for text in hostile]
    desk.enter(*(told(str(n), f"{n} {text}", desk.now_ms) for n, text in enumerate(storable)), kind="press")
    index = Told("\u202e2026\n", None, "Fear & Greed Index 5: \x1b[2J" + storable[5], desk.now_ms, 5.0)
    desk.enter(index, source="fear_greed", kind="index")
    for detail in ("brief", "full"):
        (result,) = await answers(home, desk.now_ms + HOUR, [{"limit": 200, "detail": detail}])
        facts = answer_of(result)
        assert facts["untrusted"] == "headline"
        column = facts["columns"].index("headline")
        headlines = [row[column] for row in facts["rows"]]
        assert len(headlines) >= 50
        for text in [*headlines, *facts["fear_greed"].values()]:
            assert not hidden(str(text))
            assert len(str(text)) <= 140
        others = [[cell for place, cell in enumerate(row) if place != column] for row in facts["rows"]]
        assert not [cell for row in others for cell in row if isinstance(cell, str) and hidden(cell)]
        text = "".join(block.text for block in result.content if isinstance(block, TextContent))
        assert not hidden(text)
        beside = {name: value for name, value in facts.items() if name not in ("rows", "fear_greed")}
        assert not [text for text in hostile if len(text) > 12 and text[:12] in json.dumps(beside)]


async def test_a_link_that_is_no_https_address_is_not_shown(home: Path) -> None:
    desk = desk_of(home)
    links = ["https://example.com/a", "http://example.com/b", "javascript:alert(1)", "https:evil", None]
    desk.enter(*(told(str(n), f"Bitcoin {n}", desk.now_ms, url) for n, url in enumerate(links)), kind="press")
    (result,) = await answers(home, desk.now_ms + HOUR, [{"detail": "full"}])
    facts = answer_of(result)
    shown = {row[4]: row[7] for row in facts["rows"]}
    assert shown == {"Bitcoin 0": links[0], **{f"Bitcoin {n}": None for n in range(1, 5)}}


@pytest.mark.parametrize("own_process", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_a_server_reads_a_home_into_which_others_collect_meanwhile(home: Path, own_process: bool) -> None:
    desk, given = desk_of(home), list[tuple[str, dict[str, Any]]]()
    command = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "mcp_server"], env={"TRADER_HOME": str(home)}
    )
    async with Client(command if own_process else build_server(ServerSettings(home=home))) as client:

        async def ask(**arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool("get_news", arguments))

        for number in range(4):
            desk.now_ms = time.time_ns() // 1_000_000 - (0 if number else 5000)  # the first was there when it is asked
            desk.enter(told(str(number), f"Bitcoin {number}", desk.now_ms), kind="press")
            rows = 0
            with anyio.fail_after(60):
                while rows <= number:
                    answer = await ask()
                    given.append((answer["as_of"], answer))
                    rows = len(answer["rows"])
                    await anyio.sleep(0.1)  # as-of moments are whole seconds
        for as_of, answer in given:
            assert await ask(as_of=as_of) == answer
    assert [row[4] for row in given[-1][1]["rows"]] == [f"Bitcoin {number}" for number in (3, 2, 1, 0)]
