"""Whatever tool a sub-agent may call as of a past moment, no time in the answer is later than that moment."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.app import build_server
from mcp_server.domain.timeframes import naive
from mcp_server.http.serve import mcp_app
from mcp_server.settings import ServerSettings
from tests.acceptance.test_http import calling
from tests.rigs import sample_strategies as strategies
from tests.rigs.forked_server import drawing_forked
from tests.rigs.loopback import served
from tests.rigs.sample_home import SampleHome, sample_home

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
BACK = (timedelta(days=2, hours=3, minutes=7), timedelta(days=33, minutes=1))
"""How long before the present of the home: among its last runs, and its first ones."""

HINDSIGHT = "Sell before the crash that everybody remembers."
OF_CHAINS = ("get_network_status", "get_wallet", "get_whale_activity")
"""They ask for blocks until the moment: tested beside the chains that these tests make."""

IDEAS, WRITTEN = (
    (strategies.TREND, strategies.ANALYSTS, strategies.NEW),
    (
        *strategies.trend_versions(),
        *strategies.analyst_versions(),
    ),
)
TABLES = ("executions", "strategies", "outcomes")
SQL = [*(f"SELECT * FROM {name}" for name in TABLES), "SELECT now(), current_date, current_timestamp, today()"]
OWN: dict[str, list[dict[str, Any]]] = {
    "calculate_indicators": [{"symbol": "BTC/USDT", "indicators": ["rsi(14)", "sma(20)"]}],
    "draw_chart": [{"symbol": "BTC/USDT", "strategy_name": strategies.TREND, "limit": 60}],
    "find_markets": [{"query": "BTC"}],
    "get_performance": [{"strategy_name": name} for name in IDEAS] + [{"runs": "all"}, {"runs": "replay"}],
    "list_signals": [
        *({"limit": 200, "outcomes": "all", "detail": "full"}, {"replayed": True}),
        *({"execution_id": number} for number in (1, 120, 240)),
    ],
    "query_journal": [{"sql": query, "limit": 500} for query in SQL],
    "read_strategy": [
        *({"strategy_name": name, "backtests": True} for name in IDEAS),
        *({"strategy_name": one.name, "version": one.version} for one in WRITTEN),
    ],
}
"""What to ask a tool, where its name and its arguments do not say it."""

PLANNED = {
    "list_strategies": r"\d{4}-\d\d-\d\dT\d\d:\d\d:05Z",  # when the next slot is due
    "list_signals": r'pending"?,(?: ?null,|,) ?"?[\d:TZ-]+|exit_time"?: ?"?[\d:TZ-]+',
}
"""Times that were known at the moment: of slots that were to come, and of horizons that were to end."""

_TIME = re.compile(r"20\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_DAYS = [datetime.now(UTC) + timedelta(days=number) for number in (-1, 0, 1)]
_WRITTEN = [
    day.strftime(written).replace("~", str(day.day))
    for day in _DAYS
    for written in ("%B ~, %Y", "~ %B %Y", "%b ~, %Y", "~ %b %Y", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d")
]
"""The days on which this test runs, in words."""

_EPOCH = re.compile(r"(?<![\d.])(?:1\d{9}|1\d{12})(?![\d.])")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which much happened after the moments: runs, outcomes, backtests, and a strategy that was edited."""
    root = tmp_path_factory.mktemp("home")
    made = sample_home(root, NOW)
    made.close()
    _edit(made)
    return root


def _edit(made: SampleHome) -> None:
    """Let each strategy have run with other words at the end."""
    edited = "UPDATE strategies SET description = ?, config = ?, updated_at = ?"
    words = [HINDSIGHT, json.dumps({"synthesis_logic": HINDSIGHT}), naive(NOW)]
    made.database.write(lambda connection: connection.execute(edited, words))


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    """Return the address of a server in this process, in which the tools are imported already."""
    with drawing_forked(), served(mcp_app(build_server(ServerSettings(home=home, exchange="simulated")))) as url:
        yield f"{url}/mcp"


CLAMPED = ("get_ohlcv", "get_performance")
"""In `make test` these are asked as of later moments: one place gives the moment to all tools."""


def _questions(name: str, properties: dict[str, Any], moment: datetime, *, whole: bool) -> list[dict[str, Any]]:
    """Return what to ask a tool, also as of the present and of a moment that is later than the run's."""
    start = f"{moment - timedelta(days=2):%Y-%m-%d}"
    usual = {"symbol": "BTC/USDT", "strategy_name": strategies.TREND, "start": start}
    asked = OWN.get(name, [{key: value for key, value in usual.items() if key in properties}])
    later = (
        [{"as_of": "now"}, {"as_of": NOW.isoformat()}] if "as_of" in properties and (whole or name in CLAMPED) else []
    )
    return [*asked, *({**asked[0], **moment} for moment in later)]


def _later(name: str, text: str, moment: datetime) -> list[str]:
    """Return the times in an answer that are later than a moment, however they are written."""
    told = re.sub(PLANNED.get(name, r"(?!)"), "", text.replace('\\"', '"').replace("\\n", "\n"))
    day = f"{moment:%Y-%m-%d}"
    times = [time for time in _TIME.findall(told) if _moment(time) > moment and time != day]
    seconds = [int(number[:10]) for number in _EPOCH.findall(told)]
    epochs = [str(at) for at in seconds if moment.timestamp() < at < datetime.now(UTC).timestamp() + 86_400]
    today = [day for day in _WRITTEN if day in told]
    return [*times, *epochs, *today]


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time.replace(" ", "T")).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("back", "whole"), [(BACK[0], False), *(pytest.param(back, True, marks=pytest.mark.long) for back in BACK)], ids=str
)
async def test_no_time_in_any_answer_is_later_than_the_moment(server: str, back: timedelta, *, whole: bool) -> None:
    moment, leaks, answered = NOW - back, list[Any](), set[str]()
    async with calling(server, X_Trader_As_Of=moment.isoformat(), X_Trader_Exchange="simulated") as client:
        for tool in (await client.list_tools()).tools:
            assert tool.annotations is not None
            if tool.name in OF_CHAINS or not tool.annotations.read_only_hint:
                continue
            for arguments in _questions(tool.name, tool.input_schema["properties"], moment, whole=whole):
                result = await client.call_tool(tool.name, arguments)
                text = json.dumps([[part.model_dump() for part in result.content], result.structured_content])
                assert "required" not in text, (tool.name, arguments)
                if not result.is_error:
                    answered.add(tool.name)
                if later := _later(tool.name, text, moment):
                    leaks.append((tool.name, arguments, later[:3]))
                if HINDSIGHT in text:
                    leaks.append((tool.name, arguments, HINDSIGHT))
    assert not leaks, "\n".join(map(str, leaks))
    assert len(answered) >= 15, answered


async def test_a_sub_agent_reads_each_version_of_a_strategy_from_when_it_was_written(server: str) -> None:
    versions = [strategy.version for strategy in strategies.trend_versions()]  # of 60, 55 and 50 days before
    readable: dict[int, list[bool]] = {}
    for days in (70, 58, 53, 45):
        moment = NOW - timedelta(days=days)
        async with calling(server, X_Trader_As_Of=moment.isoformat(), X_Trader_Exchange="simulated") as client:
            asked = [{}, *({"version": version} for version in versions)]
            answers = [
                await client.call_tool("read_strategy", {"strategy_name": strategies.TREND, **question})
                for question in asked
            ]
        readable[days] = [not answer.is_error for answer in answers]
    assert readable == {
        70: [False, False, False, False],
        58: [True, True, False, False],
        53: [True, True, True, False],
        45: [True, True, True, True],
    }
    async with calling(server, X_Trader_As_Of=(NOW - timedelta(days=70)).isoformat()) as client:
        anybody = await client.call_tool("read_strategy", {"strategy_name": strategies.TREND})
    assert not anybody.is_error, "who is no sub-agent is told, with a note"
