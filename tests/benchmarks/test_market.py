"""Market data: what our server adds to ccxt when an answer is new, and to MCP itself when it is known already."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.benchmarks.programs import (
    FLOOR,
    OURS,
    Arguments,
    Exchange,
    answer_of,
    bare_ccxt,
    client_of,
    environment,
    exchange_program,
    host_of,
    medians,
    ratio,
    ratios,
    say,
    timed,
    told,
)
from tests.benchmarks.test_start import LIST, Host
from tests.benchmarks.touches import report
from tests.rigs.hourly_candles import RECORDED

CANDLES = 500
HOUR_MS = 3_600_000
LATENCY_S = 0.05

MOST_BYTES = 32_000
MOST_MB = 600
MOST_GROWTH = 1.05

COLD = range(-4, 36)
PRICES = range(-4, 24)
WARM = range(-10, 100)
AT_ONCE = 20

SERIES = {"binance": 184, "kraken": 16}
"""Hot series, 200 in all. Of Kraken's candles ccxt's limiter lets 8 requests pass in 10 seconds."""


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with exchange_program(extra_markets=400, latency_s=LATENCY_S) as started:
        yield started


def extra(number: int) -> str:
    return f"X{number:04}/USDT"


def candles_of(symbol: str, exchange_id: str, **others: str) -> Arguments:
    return {"symbol": symbol, "exchange": exchange_id, "limit": CANDLES, **others}


def this_hour() -> str:
    """Give an as-of that no new candle overtakes while the benchmark runs."""
    now_ms = to_ms(datetime.now(UTC))
    return iso(now_ms - now_ms % HOUR_MS)


async def paged(client: Any, page: int, symbol: str) -> None:
    """Fetch the last closed candles as one does by hand who knows how many the exchange gives at once."""
    since = client.milliseconds() // HOUR_MS * HOUR_MS - CANDLES * HOUR_MS
    rows: list[Any] = []
    while len(rows) < CANDLES:
        rows += await client.fetch_ohlcv(symbol, "1h", since + len(rows) * HOUR_MS, min(page, CANDLES - len(rows)))
    assert len(rows) == CANDLES


@pytest.mark.parametrize(("exchange_id", "page", "requests"), [("binance", 1000, 1), ("coinbase", 300, 2)])
async def test_new_candles_take_little_longer_than_the_requests_for_them(
    exchange: Exchange, home: Path, exchange_id: str, page: int, requests: int
) -> None:
    """In bare lines of JSON: a client's own work is not the server's, and ccxt alone has no client."""
    with host_of(OURS, environment(home, exchange)) as host:
        report(f"new candles of {exchange_id}", await _new_candles(exchange, host, exchange_id, page, requests))


async def _new_candles(exchange: Exchange, host: Host, exchange_id: str, page: int, requests: int) -> list[float]:
    async with bare_ccxt(exchange_id, exchange.url) as bare:

        async def ours(turn: int) -> None:
            told(host, "get_ohlcv", candles_of(extra(turn + 100), exchange_id))

        async def ccxt(turn: int) -> None:
            await paged(bare, page, extra(turn + 100))

        took = await timed(COLD, ours=ours, ccxt=ccxt)
        exchange.requests()
        await ours(len(COLD))
        assert exchange.requests() == requests
    say(f"{CANDLES} new candles of {exchange_id}: {medians(took)}")
    return ratios(took, "ours", "ccxt")


async def test_the_same_candles_again_take_little_longer_than_sending_them(
    exchange: Exchange, home: Path, tmp_path: Path
) -> None:
    question = candles_of("BTC/USDT", "binance", as_of=this_hour())
    env = environment(home, exchange)
    async with client_of(OURS, env) as server:
        schema = next(tool.output_schema for tool in (await server.list_tools()).tools if tool.name == "get_ohlcv")
        text, structured = answer = await answer_of(server, "get_ohlcv", question)
        assert len(structured["rows"]) == CANDLES
        floors = {"bare": schema, "bare without a schema": None}
        commands = {}
        for name, declared in floors.items():
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps({"text": text, "structured": structured, "schema": declared}))
            commands[name] = [*FLOOR, str(file)]
        async with (
            client_of(commands["bare"]) as declaring,
            client_of(commands["bare without a schema"]) as silent,
        ):

            async def same(asked: Any, _: int) -> None:
                assert await answer_of(asked, "get_ohlcv", question) == answer

            clients = {"ours": server, "bare": declaring, "bare without a schema": silent}
            exchange.requests()
            took = await timed(WARM, **{name: partial(same, asked) for name, asked in clients.items()})
    say(f"the same {CANDLES} again, Python client: {medians(took)}, "
        f"without a schema {ratio(took, 'ours', 'bare without a schema'):.2f}")  # fmt: skip
    with host_of(OURS, env) as ours, host_of(commands["bare"]) as bare:
        first = told(ours, "get_ohlcv", question)

        async def line(host: Host, _: int) -> None:
            assert told(host, "get_ohlcv", question)["content"] == first["content"]

        raw = await timed(WARM, ours=partial(line, ours), bare=partial(line, bare))
    say(f"the same {CANDLES} again, raw lines: {medians(raw)}, ratio {ratio(raw, 'ours', 'bare'):.2f}")
    assert exchange.requests() == 0
    report("known candles", ratios(took, "ours", "bare"))


async def test_a_price_is_asked_for_once(exchange: Exchange, home: Path) -> None:
    async with client_of(OURS, environment(home, exchange)) as server, bare_ccxt("binance", exchange.url) as bare:

        async def ours(turn: int) -> None:
            await answer_of(server, "get_price", {"symbol": extra(turn + 100), "exchange": "binance"})

        async def ccxt(turn: int) -> None:
            await bare.fetch_ticker(extra(turn + 100))

        await ours(len(PRICES))  # its markets are loaded
        exchange.requests()
        new = await timed(PRICES, ours=ours, ccxt=ccxt)
        assert exchange.requests() == 2 * len(PRICES)
        await ours(PRICES.stop + 1)
        exchange.requests()
        again = await timed(range(AT_ONCE), again=lambda _: ours(PRICES.stop + 1))
        assert exchange.requests() == 0
    say(f"a price of binance: {medians(new)}, ratio of pairs {ratio(new, 'ours', 'ccxt'):.2f}; {medians(again)}")


async def test_those_who_ask_at_once_share_one_request(exchange: Exchange, home: Path) -> None:
    async with client_of(OURS, environment(home, exchange)) as server:
        await answer_of(server, "get_price", {"symbol": extra(1), "exchange": "binance"})  # its markets are loaded
        question, counts = candles_of(extra(2), "binance", as_of=this_hour()), []
        for _turn in ("new", "again"):
            exchange.requests()
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(answer_of, server, "get_ohlcv", question)
            counts.append(exchange.requests())
    say(f"upstream requests for {AT_ONCE} calls at once of one new series: {counts[0]} (1), again: {counts[1]} (0)")
    assert counts == [1, 0]


async def test_the_answer_is_short(exchange: Exchange, home: Path) -> None:
    questions = {
        "simulated": candles_of("BTC/USD", "simulated", as_of="2026-05-20T12:00Z"),
        "stand-in": candles_of("BTC/USDT", "binance"),
    }
    if RECORDED.exists():
        store = CandleStore(Database(Home(home).database, prepare=Home(home).prepare))
        import_candle_file(store, RECORDED, Series("coinbase", "BTC/USD", "1h"), datetime.now(UTC))
        questions["real"] = candles_of("BTC/USD", "coinbase", as_of="2019-07-01T00:00:00Z")
    sizes = {}
    async with client_of(OURS, environment(home, exchange)) as server:
        for name, question in questions.items():
            text, structured = await answer_of(server, "get_ohlcv", question)
            assert len(structured["rows"]) == CANDLES
            compact = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
            sizes[name] = [len(compact.encode()), len(text.encode())]
            bound = "no bound" if name == "stand-in" else f"each below {MOST_BYTES:,}"
            say(f"{CANDLES} candles, {name}: structured {sizes[name][0]:,} bytes, text {sizes[name][1]:,} ({bound})")
    assert max(size for name, pair in sizes.items() if name != "stand-in" for size in pair) < MOST_BYTES


def test_memory_is_bounded(exchange: Exchange, home: Path) -> None:
    exchange.set(latency_s=0)
    with host_of(OURS, environment(home, exchange)) as host:
        process = psutil.Process(host.process.pid)
        host.ask(LIST)
        figures = {"after tools/list": _mb(process)}
        for exchange_id, markets, symbol in [
            ("binance", 3500, "BTC/USDT"),
            ("kraken", 1200, "BTC/USD"),
            ("coinbase", 1200, "BTC/USD"),
        ]:
            exchange.set(extra_markets=markets)
            told(host, "get_price", {"symbol": symbol, "exchange": exchange_id})
            figures[f"with {exchange_id}'s markets"] = _mb(process)
        as_of = this_hour()
        for name in (hot := "with 200 hot series", again := "asked again"):
            for exchange_id, count in SERIES.items():
                for number in range(1, count + 1):
                    told(host, "get_ohlcv", candles_of(extra(number), exchange_id, as_of=as_of))
            figures[name] = _mb(process)
    say("memory: " + ", ".join(f"{name} {mb:.0f} MB" for name, mb in figures.items()))
    assert figures[again] <= figures[hot] * MOST_GROWTH
    assert max(figures.values()) < MOST_MB


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20
