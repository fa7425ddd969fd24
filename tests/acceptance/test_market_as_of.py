"""Nothing later than the as-of is used: an exchange with all data answers as one whose data ends there."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms, iso, to_ms
from mcp_server.settings import ServerSettings
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import answer_of

NOW = datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MARKETS = {
    "binance": ["BTC/USDT", "ethusdt", "PEPE/USDT", "BTC/USDT:USDT"],
    "coinbase": ["BTC/USD", "doge-usd", "ETH/BTC"],
}

TOOLS = ["get_ohlcv", "get_ohlcv", "get_price", "get_price", "get_derivatives", "get_order_book", "find_markets"]


@pytest.fixture(scope="module")
def whole() -> Iterator[StandInExchange]:
    """Has all that there is up to the present, but for some candles that it lost."""
    with StandInExchange() as rig:
        rig.now_ms = to_ms(NOW)
        yield rig


@pytest.fixture(scope="module")
def cut() -> Iterator[StandInExchange]:
    """Has nothing after the moment that it is set to."""
    with StandInExchange() as rig:
        yield rig


@asynccontextmanager
async def asking(rig: StandInExchange, home: Path, as_of: datetime | None = None) -> AsyncIterator[Client]:
    urls = dict.fromkeys(("binance", "coinbase"), rig.url)
    made = ServerSettings(home=home, exchange="coinbase", exchange_urls=urls, as_of=as_of)
    async with Client(build_server(made, clock=lambda: NOW)) as client:
        yield client


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a tool and its arguments, but for the as-of."""
    exchange = draw(st.sampled_from(sorted(MARKETS)))
    arguments: dict[str, Any] = {"exchange": exchange, "symbol": draw(st.sampled_from(MARKETS[exchange]))}
    name = draw(st.sampled_from(TOOLS))
    if name == "get_ohlcv":
        arguments["timeframe"] = draw(st.sampled_from(sorted(TIMEFRAMES)))
        arguments["limit"] = draw(st.integers(1, 400))
        arguments["detail"] = draw(st.sampled_from(["rows", "summary"]))
    if name == "find_markets":
        arguments["query"] = arguments.pop("symbol")
    return name, arguments


async def said(client: Client, question: tuple[str, dict[str, Any]], as_of: datetime | None) -> str:
    """Give the whole answer, or the whole error, as text that can be compared."""
    name, arguments = question
    given_as_of = {} if as_of is None else {"as_of": iso(to_ms(as_of))}
    result = await client.call_tool(name, {**arguments, **given_as_of})
    return json.dumps([result.is_error, result.structured_content, [block.model_dump() for block in result.content]])


ANYTHING = given(
    question=questions(),
    before=st.lists(
        st.tuples(st.sampled_from(["1m", "1h", "4h", "1d"]), st.integers(1, 100), st.integers(-600, 600)), max_size=3
    ),
    minutes_ago=st.one_of(st.integers(16, 600), st.integers(16, 90 * 24 * 60)),
    milliseconds=st.sampled_from([0, 1, 30_000, 59_999]),
    lost=st.sets(st.integers(1, 300), max_size=20),
)


def examples(count: int) -> settings:
    phases, checks = [Phase.generate], list(HealthCheck)
    return settings(max_examples=count, deadline=None, phases=phases, suppress_health_check=checks, derandomize=True)


@examples(6)
@ANYTHING
async def test_the_past_is_the_same_from_all_data_and_from_data_that_ends_there(
    whole: StandInExchange, cut: StandInExchange, tmp_path_factory: pytest.TempPathFactory, **asked: Any
) -> None:
    await the_same(whole, cut, tmp_path_factory, **asked)


@pytest.mark.long
@examples(20)
@ANYTHING
async def test_more_of_the_past_is_the_same(
    whole: StandInExchange, cut: StandInExchange, tmp_path_factory: pytest.TempPathFactory, **asked: Any
) -> None:
    await the_same(whole, cut, tmp_path_factory, **asked)


async def the_same(
    whole: StandInExchange,
    cut: StandInExchange,
    tmp_path_factory: pytest.TempPathFactory,
    question: tuple[str, dict[str, Any]],
    before: list[tuple[str, int, int]],
    minutes_ago: int,
    milliseconds: int,
    lost: set[int],
) -> None:
    moment = NOW.replace(second=0) - timedelta(minutes=minutes_ago) + timedelta(milliseconds=milliseconds)
    hour = to_ms(moment) // HOUR_MS * HOUR_MS
    whole.missing = cut.missing = {hour - number * HOUR_MS for number in lost}
    cut.now_ms = to_ms(moment)
    async with asking(cut, tmp_path_factory.mktemp("cut")) as client:
        expected = await said(client, question, moment)
    async with asking(whole, tmp_path_factory.mktemp("cold")) as client:
        assert await said(client, question, moment) == expected, "from an empty store"
    home = tmp_path_factory.mktemp("warm")
    async with asking(whole, home) as client:
        market = {name: value for name, value in question[1].items() if name in ("exchange", "symbol")}
        for timeframe, limit, minutes in before:
            arguments = {"symbol": "BTC/USDT", **market, "timeframe": timeframe, "limit": limit}
            await said(client, ("get_ohlcv", arguments), moment + timedelta(minutes=minutes))
        assert await said(client, question, moment) == expected, "from a store that has other things"
        await said(client, question, None)
        assert await said(client, question, moment) == expected, "after later things were fetched"
    async with asking(whole, home, as_of=moment) as client:
        assert await said(client, question, NOW) == expected, "restarted, by the setting, earlier than the argument"


@pytest.mark.parametrize("ago", [(0, 61), pytest.param((0, 1, 5, 17, 61, 24 * 60 + 7), marks=pytest.mark.long)])
async def test_no_candle_or_funding_of_an_answer_ends_after_its_as_of(
    whole: StandInExchange, home: Path, ago: tuple[int, ...]
) -> None:
    whole.missing = set()
    async with asking(whole, home) as client:
        for minutes in ago:
            moment = NOW - timedelta(minutes=minutes)
            for timeframe, length in TIMEFRAMES.items():
                arguments = {"symbol": "BTC/USD", "timeframe": timeframe, "limit": 3, "as_of": moment.isoformat()}
                answer = answer_of(await client.call_tool("get_ohlcv", arguments))
                last = to_ms(datetime.fromisoformat(answer["rows"][-1][0]))
                assert last + length <= to_ms(moment) < last + 2 * length
            swap = {"symbol": "BTC/USDT", "exchange": "binance", "as_of": moment.isoformat()}
            paid = answer_of(await client.call_tool("get_derivatives", swap))["rows"]
            assert [datetime.fromisoformat(at) <= moment for at, _ in paid] == [True] * 8


async def test_a_price_of_the_past_is_that_of_its_minute_whatever_is_stored(whole: StandInExchange, home: Path) -> None:
    """Hours that happen to be stored must not make a price of the past older than it is without them."""
    moment = from_ms(to_ms(NOW) // HOUR_MS * HOUR_MS) - timedelta(hours=5)
    half_past = moment + timedelta(minutes=30, seconds=20)
    async with asking(whole, home) as client:

        async def price(as_of: datetime) -> tuple[float, str]:
            told = answer_of(await client.call_tool("get_price", {"symbol": "BTC/USD", "as_of": as_of.isoformat()}))
            return told["price"], told["price_time"]

        await client.call_tool("get_ohlcv", {"symbol": "BTC/USD", "timeframe": "1h", "limit": 50})
        whole.requests.clear()
        last_hour = whole.candle("BTC", "USD", to_ms(moment) - HOUR_MS, HOUR_MS)
        assert await price(moment) == (last_hour[4], iso(to_ms(moment)))
        assert not whole.requests, "an hour that closes in that very minute has the same close"
        minute = to_ms(half_past) // MINUTE_MS * MINUTE_MS
        assert await price(half_past) == (whole.candle("BTC", "USD", minute - MINUTE_MS, MINUTE_MS)[4], iso(minute))
