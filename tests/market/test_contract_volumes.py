"""Volume is in base, or null: never a number of contracts, nor one of an unknown unit."""

import json
from collections.abc import AsyncIterator, Iterator
from math import isnan
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ccxt import exchanges
from mcp import Client

from mcp_server.adapters.ccxt.volumes import _SAME, VOLUMES, base_volume_of, base_volumes, has_known_unit
from mcp_server.app import build_server
from mcp_server.domain.timeframes import from_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.schema import migrations
from tests.acceptance.market_rig import NOW_MS
from tests.rigs.forked_server import drawing_forked
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import answer_of

HOUR_MS = 3_600_000
SWAP = {"symbol": "BTC/USDT:USDT"}
CONTRACTS = pytest.mark.parametrize("exchange", ["gate", "okx"])


@pytest.fixture(scope="module")
def rig() -> Iterator[StandInExchange]:
    with StandInExchange() as rig:
        rig.now_ms = NOW_MS
        yield rig


def serving(rig: StandInExchange, home: Path) -> Client:
    settings = ServerSettings(home=home, exchange="gate", exchange_urls=dict.fromkeys(("gate", "okx"), rig.url))
    return Client(build_server(settings, clock=lambda: from_ms(rig.now_ms)), raise_exceptions=True)


@pytest.fixture
async def client(rig: StandInExchange, home: Path) -> AsyncIterator[Client]:
    async with serving(rig, home) as client:
        yield client


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool(tool, {**SWAP, **arguments}))


@CONTRACTS
async def test_a_swaps_candles_have_their_volume_in_base(rig: StandInExchange, client: Client, exchange: str) -> None:
    answer = await ask(client, "get_ohlcv", exchange=exchange, limit=3)
    last_ms = NOW_MS // HOUR_MS * HOUR_MS - HOUR_MS
    assert answer["rows"][-1][5] == pytest.approx(rig.candle("BTC", "USDT", last_ms, HOUR_MS)[5], rel=1e-3)
    assert "note" not in answer


@CONTRACTS
async def test_a_swaps_ticker_has_its_volume_in_base(client: Client, exchange: str) -> None:
    answer = await ask(client, "get_price", exchange=exchange)
    assert (answer["volume_24h_base"], answer.get("note")) == (1234.5, None)


async def test_what_counts_in_an_unknown_unit_is_null_with_a_note_wherever_it_is_used(
    rig: StandInExchange, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(VOLUMES, "gate")
    folder = home / "strategies" / "volumes"
    folder.mkdir(parents=True)
    rules = {"indicators": ["sma(3) of volume"], "buy": "volume > 0", "sell": "sma_3_of_volume < 0"}
    config = {"trading_pair": "BTC/USDT:USDT", "exchange": "gate", "interval": "1h", "rules": rules}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "agents.json").write_text("{}")
    for stored in (False, True):
        async with serving(rig, home) as client:
            rows = await ask(client, "get_ohlcv", limit=3)
            assert [row[5] for row in rows["rows"]] == [None] * 3
            assert all(row[4] for row in rows["rows"])
            assert "Whether gate's volumes count contracts or base is not known" in rows["note"]
            summary = await ask(client, "get_ohlcv", limit=3, detail="summary")
            assert summary["summary"]["volume"] is None
            table = await ask(client, "calculate_indicators", indicators=["obv", "vwap", "mfi(14)", "rsi(14)"])
            assert [value is None for value in table["rows"][0][2:]] == [True, True, True, False]
            built = await ask(client, "get_ohlcv", timeframe="4h", limit=2)
            assert [row[5] for row in built["rows"]] == [None] * 2
            price = await ask(client, "get_price")
            assert "volume_24h_base" not in price
            assert "not known" in price["note"]
            if stored:
                with drawing_forked():
                    await client.call_tool("draw_chart", SWAP)
            decided = answer_of(await client.call_tool("evaluate_strategy", {"strategy_name": "volumes"}))
            assert decided["signal"] is None
            assert "volume, sma_3_of_volume are missing" in decided["reasoning"]
            sql = "SELECT volume FROM candles LIMIT 1"
            assert "nan" not in str(answer_of(await client.call_tool("query_journal", {"sql": sql}))).lower()


def volumes(exchange: str, **market: Any) -> tuple[float, float | None]:
    """Return what 200 of a candle, at a mean price of 50, and 300 of a ticker come to."""
    market = {"contract": True, "linear": True, "inverse": False, **market}
    ((*_, volume),) = base_volumes([[0, 40, 80, 20, 60, 200]], exchange, market)
    ticker = {"baseVolume": 300.0, "info": {"turnover24h": "6", "volCcy24h": "7"}}
    return volume, base_volume_of(ticker, exchange, market)


INVERSE = {"linear": False, "inverse": True}


def test_a_row_without_a_volume_is_passed_on_as_it_is() -> None:
    market = {"contract": True, "linear": True, "inverse": False, "contractSize": 0.0001}
    assert base_volumes([[0, 40, 80, 20, 60]], "gate", market) == [[0, 40, 80, 20, 60]]


@pytest.mark.parametrize(
    ("exchange", "market", "candle", "ticker"),
    [
        ("binance", {"contractSize": 1}, 200, 300),
        ("binancecoinm", {**INVERSE, "contractSize": 100}, 200, 300),
        ("gate", {"contractSize": 0.0001}, 0.02, 300),
        ("gateeu", {**INVERSE, "contractSize": 1}, 200 / 50, 300),
        ("okx", {"contractSize": 0.01}, 200, 7),
        ("myokx", {**INVERSE, "contractSize": 100}, 200, 7),
        ("bybit", {**INVERSE, "contractSize": 1}, 200, 6),
        ("mexc", {"contractSize": 0.5}, 100, 300),
        ("kucoinfutures", {"contractSize": 0.001}, 0.2, 300),
        ("krakenfutures", {**INVERSE, "contractSize": 1}, 200 / 50, None),
        ("blofin", {"contractSize": 0.1}, 200, 30),
        ("phemex", {**INVERSE, "contractSize": 1}, 200 / 50, None),
        ("xt", {"contractSize": 0.0001}, 0.02, 300),
        ("coinbase", {"contractSize": 0.01}, None, None),
        ("deepcoin", {"contractSize": 1}, 200, 300),
        ("deepcoin", {"contractSize": 0.01}, None, None),
        ("deepcoin", {**INVERSE, "contractSize": 1}, None, None),
        ("gate", {"contractSize": None}, None, 300),
        ("gate", {"contractSize": 0}, None, 300),
        ("blofin", {"contractSize": 0}, 200, None),
        ("okx", {"linear": False, "contractSize": 1}, None, 7),
        ("deepcoin", {"contract": False}, 200, 300),
    ],
)
def test_each_exchange_is_converted_by_what_it_counts(
    exchange: str, market: dict[str, Any], candle: float | None, ticker: float | None
) -> None:
    of_candle, of_ticker = volumes(exchange, **market)
    assert (None if isnan(of_candle) else of_candle) == (candle if candle is None else pytest.approx(candle))
    assert of_ticker == (ticker if ticker is None else pytest.approx(ticker))
    if of_ticker is None:
        assert not has_known_unit(exchange, {"contract": True, "linear": True, **market}), "a note says why"


def test_the_table_has_twenty_exchanges_of_ccxt_and_the_source_of_each() -> None:
    assert len(VOLUMES) >= 20
    assert {*VOLUMES, *_SAME} <= set(exchanges)
    assert set(_SAME.values()) <= set(VOLUMES)
    assert all(len(entry.source) > 10 for entry in VOLUMES.values())


def test_an_older_homes_volumes_that_may_be_contracts_are_unknown_from_now_on(home: Path) -> None:
    """Its spot candles, its imports and the swaps of exchanges that count base stay as they are."""
    file = home / "claude_trader.duckdb"
    kept = [("gate", "BTC/USDT", 0), ("binance", "BTC/USDT:USDT", 0), ("krakenfutures", "BTC/USD:USD", 0)]
    kept += [("gate", "ETH/USDT:USDT", 1)]
    lost = [("gate", "BTC/USDT:USDT", 0), ("krakenfutures", "BTC/USD:BTC", 0), ("kucoin", "BTC/USDT:USDT-261225", 0)]
    with duckdb.connect(file) as older:
        for version in (1, 2, 3):
            older.execute(migrations()[version])
            older.execute("INSERT INTO schema_migrations (version) VALUES (?)", [version])
        for number, (exchange, symbol, revision) in enumerate([*kept, *lost], 1):
            insert = "INSERT INTO series (exchange, symbol, timeframe, revision) VALUES (?, ?, '1h', ?)"
            older.execute(insert, [exchange, symbol, revision])
            older.execute("INSERT INTO candles VALUES (?, '1970-01-01 05:00', 100, 200, 50, 123.5, 7)", [number])
    store = CandleStore(Database(file))
    for exchange, symbol, _ in [*kept, *lost]:
        stored = store.load(Series(exchange, symbol, "1h"), (0, 9 * HOUR_MS)).candles
        assert stored.close.tolist() == [123.5]
        assert isnan(stored.volume[0]) is ((exchange, symbol, 0) in lost), (exchange, symbol)
