"""get_news over a year of collection: the whole answer once it has been asked before, and as of a moment long ago."""

import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import DAY_MS, MINUTE_MS, from_ms, iso
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.benchmarks.news_year import DAYS, ITEMS, Writer, fill
from tests.benchmarks.programs import say
from tests.benchmarks.touches import TOUCHES, report
from tests.tools.conftest import answer_of

UNTIL = 1_790_000_000_000 // DAY_MS * DAY_MS
MOST_MS = TOUCHES["get_news"].wanted
"""Of the processor, for a whole answer that is not the first."""

MOST_PAST_TO_WARM = 25.0
"""So many times of that an answer as of a past moment takes, for which a month is read from the database."""

TURNS = 9
TOPIC = " ".join(Writer().words[40:42])
QUESTIONS: list[dict[str, Any]] = [{"symbol": "BTC/USDT"}, {}, {"topic": TOPIC}, {"hours": 720, "detail": "full"}]


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("year"))
    fill(Database(home.database, prepare=home.prepare), UNTIL)
    return home.root


@pytest.fixture
async def client(year: Path) -> AsyncIterator[Client]:
    """Ask a server whose clock is a minute further at each question, so that each has something new to read."""
    moments = (from_ms(UNTIL - 200 * MINUTE_MS) + n * timedelta(seconds=20) for n in range(10_000))
    async with Client(build_server(ServerSettings(home=year), clock=lambda: next(moments))) as client:
        yield client


async def cpu_ms(client: Client, **arguments: Any) -> float:
    began = time.process_time()
    answer = answer_of(await client.call_tool("get_news", arguments))
    assert answer["per_hour"]["usual"] is not None or arguments.get("topic")
    return (time.process_time() - began) * 1000


async def test_an_answer_over_a_year_takes_50_ms_once_it_was_asked_before(client: Client) -> None:
    say(f"get_news over {ITEMS:,} headlines of {DAYS} days, processor time")
    for question in QUESTIONS:
        first = await cpu_ms(client, **question)
        warm = [await cpu_ms(client, **question) for _ in range(TURNS)]
        say(f"{question}: {statistics.median(warm):.0f} ms, the first time {first:.0f} ms")
        assert statistics.median(warm) <= MOST_MS, question
        if question == QUESTIONS[0]:
            report("get_news", warm)


async def test_an_answer_of_the_past_reads_a_month_and_no_more(client: Client) -> None:
    await cpu_ms(client)
    warm = statistics.median([await cpu_ms(client) for _ in range(TURNS)])
    past = [await cpu_ms(client, as_of=iso(UNTIL - days * DAY_MS)) for days in (40, 100, 200, 300)]
    say(f"get_news as of months ago: {statistics.median(past):.0f} ms, now {warm:.0f} ms, processor time")
    assert statistics.median(past) <= MOST_PAST_TO_WARM * warm
