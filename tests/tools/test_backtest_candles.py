"""The candles of backtest_strategy: fetched once, in few requests, refused before they take too long, or imported."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.backtest import material as gathering
from mcp_server.backtest.material import Wanted, gather
from mcp_server.backtest.redo import again
from mcp_server.domain.timeframes import from_ms, to_ms
from mcp_server.errors import NotSupported
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.news.news import News
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.backtests import BacktestRow, Family
from tests.market.scripted_exchange import ScriptedExchange, market_on
from tests.rigs.hourly_candles import RECORDED, ROWS, candle_file
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import Told, answer_of

NOW_MS = to_ms(datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC))
HOUR_MS = 3_600_000
CONFIG = {
    "trading_pair": "BTC/USD",
    "exchange": "coinbase",
    "interval": "1h",
    "rules": {"indicators": ["rsi(14)"], "buy": "crosses_above(rsi_14, 30)", "sell": "crosses_above(rsi_14, 70)"},
}
WARM_UP = 251
"""Candles that these rules need before the first decision."""


@pytest.fixture
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = NOW_MS
        yield rig


@pytest.fixture
async def client(rig: StandInExchange, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(gathering, "REQUEST_S", 0.1)  # on a busy machine, too, all of them are asked for
    settings = ServerSettings(home=home, exchange="coinbase", exchange_urls={"coinbase": rig.url})
    async with Client(build_server(settings, clock=lambda: from_ms(rig.now_ms))) as client:
        yield client


def candles_asked(rig: StandInExchange) -> int:
    return sum(count for path, count in rig.requests.items() if path.endswith("/candles"))


async def backtest(client: Client, **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool("backtest_strategy", {"config": CONFIG, **arguments}))


@pytest.mark.usefixtures("in_this_process")
async def test_the_latest_candles_are_fetched_once_in_few_requests_and_then_need_no_network(
    rig: StandInExchange, client: Client
) -> None:
    answer = await backtest(client)
    assert (answer["candles"], answer["end"], answer["missing"]) == (5_000, "2026-01-15T10:00Z", 0)
    assert answer.get("note") is None
    assert answer["signals"]["undecided"] == 0
    assert candles_asked(rig) <= 19, "5,251 candles, 300 at a time"
    requests = rig.requests.total()
    again = await backtest(client, side="both")
    assert (again["candles"], again["start"]) == (5_000, answer["start"])
    part = await backtest(client, start="2025-12-01", end="2026-01-01")
    assert part["candles"] == 31 * 24
    assert rig.requests.total() == requests


@pytest.mark.usefixtures("in_this_process")
async def test_what_would_take_too_long_is_refused_before_it_begins_with_the_command(
    rig: StandInExchange, client: Client
) -> None:
    with pytest.raises(Told) as refused:
        await backtest(client, start="2018-01-01T00:00Z", side="both", fee_bps=20.1234567)
    assert "70,962 of its candles are not stored, which takes 237 requests" in str(refused.value)
    command = "claude-trader backtest NAME --from 2018-01-01T00:00Z --side both --fee-bps 20.1234567"
    assert f"`{command}` (after write_strategy)" in str(refused.value)
    assert candles_asked(rig) == 0


@pytest.mark.usefixtures("in_this_process")
async def test_candles_that_are_missing_are_counted_and_the_range_begins_where_the_series_does(
    rig: StandInExchange, client: Client
) -> None:
    rig.listed_ms = NOW_MS // HOUR_MS * HOUR_MS - 600 * HOUR_MS
    rig.missing = {rig.listed_ms + 400 * HOUR_MS, rig.listed_ms + 401 * HOUR_MS}
    answer = await backtest(client, start="2025-10-01")
    assert (answer["candles"], answer["missing"]) == (598, 2)
    assert answer["start"] == from_ms(rig.listed_ms).strftime("%Y-%m-%dT%H:%MZ")
    assert answer["signals"]["undecided"] >= 14, "nothing is before them"


@pytest.fixture
async def market(home: Path) -> AsyncIterator[tuple[Market, ScriptedExchange]]:
    exchange = ScriptedExchange(datetime(2026, 5, 20, 12, 17, tzinfo=UTC))
    exchange.first = to_ms(datetime(2020, 1, 1, tzinfo=UTC))
    candle_cache = CandleCache(CandleStore(Database(home / "claude_trader.duckdb", patience_s=0.2)))
    yield market_on(exchange, candle_cache), exchange
    await candle_cache.close()


def wanted(exchange: ScriptedExchange, start_ms: int | None = None) -> Wanted:
    at = (start_ms, None, to_ms(exchange.now))
    return Wanted("scripted", "BTC/USD", "1h", WARM_UP, *at, "`claude-trader backtest x`")


async def test_in_little_time_fewer_of_the_latest_candles_are_taken(
    market: tuple[Market, ScriptedExchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "REQUEST_S", 5.0)
    found = await gather(market[0], wanted(market[1]), 18.0)
    assert (found.end_ms - found.start_ms) // HOUR_MS == 2_500, "in 3 requests of 1,000 candles, each 5 s"
    assert len(found.history.candles) == 2_500 + WARM_UP


async def test_an_exchange_that_is_slower_than_thought_is_cut_off_and_what_it_sent_is_kept(
    market: tuple[Market, ScriptedExchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "REQUEST_S", 0.0)
    exchange = market[1]
    start_ms = to_ms(exchange.now) - 8_000 * HOUR_MS
    exchange.hold_after = 3
    with pytest.raises(NotSupported, match=r"did not send everything in time.*`claude-trader backtest x`"):
        await gather(market[0], wanted(exchange, start_ms), 1.5)
    exchange.hold_after, exchange.held = None, None
    asked = len(exchange.requests)
    found = await gather(market[0], wanted(exchange, start_ms), 20)
    assert len(found.history.candles.between(start_ms, found.end_ms)) == 7_999
    assert sum(count for what, count in exchange.requests[asked:] if what == "candles 1h") < 8_000 - 3_000


async def test_a_backtest_of_a_swap_is_drawn_where_the_exchange_has_no_history_of_fundings(
    market: tuple[Market, ScriptedExchange], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: Any) -> Any:
        raise NotSupported("It has no history of fundings.", "Ask another exchange.")

    monkeypatch.setattr(market[1], "fundings_between", none)
    end = datetime(2026, 5, 20, tzinfo=UTC)
    row = BacktestRow(
        family=Family("scripted", "BTC/USD:USD", "mine"), decision_version="0", config=CONFIG,
        start=end - timedelta(days=5), end=end, side="long", fee_bps=10.0, slippage_bps=5.0, stake_pct=None,
        sharpe_per_period=None, figures={}, created_at=end,
    )  # fmt: skip
    database = Database(tmp_path / "none.duckdb")
    news = News(database, tmp_path, lambda: datetime.now(UTC))
    assert len((await again(market[0], news, row)).simulated().candles) == 5 * 24


@pytest.mark.usefixtures("in_this_process")
async def test_without_a_time_imported_candles_are_backtested_whole_and_without_a_network(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = Series("coinbase", "BTC/USD", "1h")
    store = CandleStore(Database(Home(home).database, prepare=Home(home).prepare))
    import_candle_file(store, candle_file(tmp_path), series, datetime.now(UTC))
    rules = {**CONFIG["rules"], "sell": "crosses_below(rsi_14, 70)"}  # type: ignore[dict-item]
    settings = ServerSettings(home=home, exchange="simulated")
    async with Client(build_server(settings, clock=lambda: from_ms(NOW_MS))) as client:
        answer = await backtest(client, config={**CONFIG, "rules": rules}, fee_bps=20, slippage_bps=0)
        daily = {**CONFIG, "interval": "1d", "rules": {"timeframe": "1d", "buy": "close > 0"}}
        assert (await backtest(client, config=daily))["candles"] == 733, "days are built from the imported hours"
        monkeypatch.setattr(gathering, "MOST_CANDLES", 600)
        cut = await backtest(client, config=daily)
        assert (cut["candles"], cut["end"]) == (600, "2019-07-04T00:00Z")
        assert re.search("latest 600 candles.*; of all: `claude-trader backtest NAME`", cut["note"])
    assert (answer["candles"], answer["start"], answer["end"]) == (ROWS, "2017-07-01T11:00Z", "2019-07-04T02:00Z")
    assert answer.get("note") is None
    if RECORDED.is_file():
        assert answer["trades"] == 61
        assert re.search(r"61 trades and won 69 %", " ".join(answer["summary"]))
