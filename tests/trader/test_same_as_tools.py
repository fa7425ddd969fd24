"""What `Trader` gives is what the tools answer to a client, to the last digit, on each kind of exchange."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client
from mcp_types import CallToolResult
from pandas import isna

from mcp_server.app import build_server
from mcp_server.domain.candles import Candles
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import from_ms, iso, to_ms
from mcp_server.errors import KIND, PROBLEM, REMEDY, TraderError
from mcp_server.scoring import performance
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.trader import Frame, Trader
from tests.rigs.hourly_candles import FIRST_MS, HOUR_MS, hourly_candles
from tests.rigs.stand_in_exchange import StandInExchange
from tests.scoring.journal import store_candles
from tests.storage.news.conftest import NewsDesk, told
from tests.tools.conftest import in_this_process  # noqa: F401 - a fixture
from tests.tools.made_past import NOW as PAST_NOW
from tests.tools.made_past import made_past

NOW = datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC)
SPECS = ["rsi(14)", "macd(12,26,9)", "bbands(20,2).upper", "ema(50) of volume", "cdldoji"]
CONFIG = {"interval": "1h", "rules": {"indicators": ["rsi(14)"], "buy": "rsi_14 < 40", "sell": "rsi_14 > 60"}}


@dataclass
class Place:
    """A home on one exchange, asked by `Trader` and by a client."""

    home: Path
    exchange: str
    symbol: str
    now: datetime
    trader: Trader
    client: Client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        return answer.structured_content or {}


@pytest.fixture
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = to_ms(NOW)
        rig.missing = {to_ms(NOW) // HOUR_MS * HOUR_MS - 30 * HOUR_MS}
        yield rig


@pytest.fixture(params=["simulated", "fetched", "imported"])
async def place(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    exchange, symbol, now = "simulated", "BTC/USDT", NOW
    if request.param == "fetched":
        rig: StandInExchange = request.getfixturevalue("rig")
        exchange, symbol = "coinbase", "BTC/USD"
        monkeypatch.setenv("TRADER_EXCHANGE_URLS", f'{{"coinbase": "{rig.url}"}}')
    if request.param == "imported":
        exchange, symbol, now = "coinbase", "BTC/USD", from_ms(FIRST_MS + 2_000 * HOUR_MS + 1)
        store_candles(home, _with_a_gap(hourly_candles().slice(0, 2_000)), symbol, exchange)
    monkeypatch.setenv("TRADER_EXCHANGE", exchange)
    server = build_server(ServerSettings.load(home), clock=lambda: now)
    with Trader(home, clock=lambda: now) as trader:
        async with Client(server) as client:
            yield Place(home, exchange, symbol, now, trader, client)


def _with_a_gap(candles: Candles) -> Candles:
    kept = np.arange(len(candles)) != len(candles) - 20
    return Candles(candles.open_time_ms[kept], *(getattr(candles, name)[kept] for name in FIVE))


FIVE = ("open", "high", "low", "close", "volume")


def cells(frame: Frame, digits: dict[str, int] | None = None) -> list[list[Any]]:
    """Return rows as tools write them: times as ISO 8601, undefined as None, numbers to the digits that they tell."""
    columns = []
    for name in frame:
        column = frame[name].tolist()
        if frame[name].dtype.kind == "M":
            column = [None if at is None else iso(to_ms(at.replace(tzinfo=UTC))) for at in column]
        if frame[name].dtype.kind == "f":
            told = (digits or {}).get(name)
            column = [None if isnan(value) else significant(value, told) if told else value for value in column]
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


async def test_candles_are_those_of_get_ohlcv(place: Place) -> None:
    at = iso(to_ms(place.now - timedelta(hours=7)))
    for arguments in ({"limit": 300}, {"limit": 20, "timeframe": "4h"}, {"limit": 40, "as_of": at}):
        told = await place.ask("get_ohlcv", symbol=place.symbol, **arguments)
        frame = place.trader.candles(place.symbol, **arguments)
        assert frame.columns == told["columns"]
        assert cells(frame, {"volume": 4}) == told["rows"]
        facts = {name: value for name, value in frame.about.items() if value not in (None, 0)}
        assert facts == {name: value for name, value in told.items() if name in frame.about and value not in (None, 0)}


async def test_candles_from_a_start_are_the_last_so_many(place: Place) -> None:
    start = place.now - timedelta(hours=25)
    some, all_ = place.trader.candles(place.symbol, start=start), place.trader.candles(place.symbol, limit=24)
    assert cells(some) == cells(all_)
    assert some["open_time"][0] >= np.datetime64(start.replace(tzinfo=None))


async def test_indicators_are_those_of_calculate_indicators(place: Place) -> None:
    at = iso(to_ms(place.now - timedelta(hours=7)))
    for arguments in ({}, {"as_of": at}, {"timeframe": "4h"}):
        told = await place.ask("calculate_indicators", symbol=place.symbol, indicators=SPECS, last=60, **arguments)
        frame = place.trader.indicators(place.symbol, SPECS, limit=60, **arguments)
        kept = Frame({name: ("time" if name == "open_time" else "number", frame[name]) for name in told["columns"]})
        digits = dict.fromkeys(told["columns"][2:], 10)
        assert cells(kept, digits) == told["rows"]
        assert (frame.about["note"], frame.about["as_of"]) == (told.get("note"), told["as_of"])


@pytest.mark.usefixtures("in_this_process")
async def test_a_backtest_is_that_of_backtest_strategy_and_counts_as_the_same_trial(place: Place) -> None:
    config = {**CONFIG, "trading_pair": place.symbol, "exchange": place.exchange}
    start, end = (iso(to_ms(place.now - timedelta(hours=hours))) for hours in (400, 5))
    asked: dict[str, Any] = {"config": config, "start": start, "end": end, "side": "both", "fee_bps": 7.0}
    report = place.trader.backtest(**asked)
    told = await place.ask("backtest_strategy", **asked, trades=500, months=True)
    told.pop("columns"), told.pop("backtest_id")  # the same variant once more has a row of its own
    assert cells(report.trades) == told.pop("rows")
    assert {name: value for name, value in report.figures.items() if name in told} == told
    assert report.figures["trials"] == 1
    again = await place.ask("backtest_strategy", backtest_id=report.figures["backtest_id"])
    curve = {row[0]: row for row in cells(report.equity, dict.fromkeys(report.equity.columns[1:], 6))}
    assert len(report.equity) == report.figures["candles"]
    assert [curve[row[0]] for row in again["curve"]] == again["curve"]


ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("candles", "get_ohlcv", {"symbol": "BTC/USDX"}),
    ("candles", "get_ohlcv", {"symbol": "BTC/USD", "exchange": "krakn"}),
    ("candles", "get_ohlcv", {"symbol": "BTC/USD", "as_of": "yesterday"}),
    ("indicators", "calculate_indicators", {"symbol": "BTC/USD", "indicators": ["rsj(14)"]}),
    ("indicators", "calculate_indicators", {"symbol": "BTC/USD", "indicators": ["rsi(0)", "macd(a)"]}),
    ("backtest", "backtest_strategy", {"strategy_name": "rsi-reversal"}),
    ("backtest", "backtest_strategy", {"config": {"interval": "1h"}}),
    ("backtest", "backtest_strategy", {"strategy_name": "rsi-reversion", "start": "soon"}),
    ("score", "get_performance", {"strategy_name": "rsi-reversal"}),
    ("score", "get_performance", {"strategy_name": "rsi-reversion", "since": "2999-01-01"}),
    ("score", "get_performance", {"replay": "r1", "runs": "live"}),
]


@pytest.mark.parametrize("place", ["fetched"], indirect=True)
async def test_errors_are_those_of_the_tools_problem_and_remedy_apart(place: Place) -> None:
    for method, tool, arguments in ERRORS:
        with pytest.raises(TraderError) as raised:
            getattr(place.trader, method)(**arguments)
        answer: CallToolResult = await place.client.call_tool(tool, arguments)
        parts = answer.meta or {}
        error = raised.value
        told = (parts.get(KIND), parts.get(PROBLEM), parts.get(REMEDY))
        assert (type(error).__name__, error.problem, error.remedy) == told, (method, arguments)


async def test_an_argument_that_does_not_fit_is_refused_as_the_tool_refuses_it(home: Path) -> None:
    with Trader(home, exchange="simulated", clock=lambda: NOW) as trader:
        for wrong in ({"fee_bps": -1}, {"side": "short"}, {"stake_pct": 101}):
            with pytest.raises(TraderError, match=next(iter(wrong))):
                trader.backtest("rsi-reversion", **wrong)


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.long)], ids=["one strategy", "all"])
async def test_records_are_those_of_list_signals_and_get_performance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    for name in ("SHORT_SETTLE_S", "SHORT_GATHER_S"):  # a busy machine must not lack the time
        monkeypatch.setattr(performance, name, 25)
    made = made_past(tmp_path, seed=3)
    settings = ServerSettings(home=tmp_path, exchange="simulated")
    with Trader(tmp_path, exchange="simulated", clock=lambda: PAST_NOW) as trader:
        signals, all_runs = trader.signals(), trader.signals(outcomes="all")
        outcomes, names = trader.outcomes(), sorted({strategy.name for _, strategy in made.versions})[:most]
        scores, alone = trader.scores(runs="all"), {name: trader.score(name).figures for name in names}
        curves = {name: trader.score_curve(name) for name in names}
        async with Client(build_server(settings, clock=lambda: PAST_NOW)) as client:

            async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
                return (await client.call_tool(tool, arguments)).structured_content or {}

            listed = await ask("list_signals", limit=500, detail="full")
            every = await ask("list_signals", limit=500, detail="full", outcomes="all")
            _compare(signals, listed)
            _compare(all_runs, every)
            _compare(outcomes, {**every, "rows": [row for row in every["rows"] if row[13 + 1]]})
            for name in names:
                assert alone[name] == await ask("get_performance", strategy_name=name)
                assert cells(curves[name]) == (await ask("get_performance", strategy_name=name, curve=True))["rows"]
            table = await ask("get_performance", runs="all")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    for row, record in zip(rows, scores.to_pandas().astype(object).to_dict("records"), strict=True):
        bounds = {name: row.pop(name) or [None, None] for name in ("hit_rate_ci95", "mean_net_ci95")}
        expected = row | {f"{name}_{end}": bounds[name][place] for name in bounds for place, end in enumerate(ENDS)}
        assert {name: None if isna(value) else value for name, value in record.items()} == expected


ENDS = ("low", "high")


def _compare(frame: Frame, told: dict[str, Any]) -> None:
    """Compare each column that both have, oldest first here, newest first there; times there are cut to the second."""
    assert len(frame) == len(told["rows"]) > 20
    both = [name for name in told["columns"] if name in frame.columns]
    assert len(both) >= 10
    for name in both:
        column = [row[told["columns"].index(name)] for row in told["rows"]][::-1]
        kind = {"M": "time", "f": "number", "i": "count"}.get(frame[name].dtype.kind, "text")
        ours = [row[0] for row in cells(Frame({name: (kind, frame[name])}), {"net_pct": 6})]  # type: ignore[dict-item]
        if kind == "time":
            ours = [at and iso(to_ms(datetime.fromisoformat(at)) // 1000 * 1000) for at in ours]
        assert ours == column, name


async def test_news_are_those_of_get_news_in_full_oldest_first(place: Place) -> None:
    now_ms = to_ms(place.now) - HOUR_MS
    desk = NewsDesk(Database(Home(place.home).database), now_ms)
    items = [told(str(n), f"Bitcoin {text}", at) for n, (text, at) in enumerate([("up", now_ms), ("down\u202e", None)])]
    desk.enter(*items, kind="press")
    desk.enter(told("x", "Bitcoin UP", now_ms), source="decrypt")
    desk.now_ms += 10_000
    desk.enter(told("y", "Bitcoin later", now_ms))
    for arguments in ({"symbol": "BTC/USD"}, {"topic": "bitcoin", "hours": 2, "as_of": iso(now_ms + 5_000)}):
        full = await place.ask("get_news", detail="full", **arguments)
        frame = place.trader.news(**arguments)
        sources = full["columns"].index("also_sources")
        rows = [[*row[:sources], ", ".join(row[sources]) or None, *row[sources + 1 :]] for row in full["rows"]]
        assert (frame.columns, cells(frame)) == (full["columns"], rows[::-1])
        assert {**frame.about, "columns": 0, "rows": 0} == {"note": None, **full, "columns": 0, "rows": 0}
    with pytest.raises(TraderError, match="News was first collected at"):
        place.trader.news(as_of=iso(now_ms - 1))
