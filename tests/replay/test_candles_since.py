"""A recorded run by Claude on real candles: the project's tool server, and what became of its candles since then.

In `make test`, `tests/runner/test_drift.py` names such a difference, and `tests/acceptance/test_real_candles.py` has
answers that a warm store does not change.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import to_ms
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from runner.claude.cassette.cassettes import Cassette
from runner.claude.proxy.session import Mode
from runner.claude.recorder import ModelRecorder
from runner.claude.recording import recording_proxy
from runner.execute import Runner
from runner.tool_server.server import Address, local_server
from tests.rigs.replays import FIRST, MODEL, parts_of
from tests.rigs.scripted_messages_api import ScriptedMessagesApi, say, use
from tests.rigs.stand_in_exchange import StandInExchange
from tests.runner.claude_runs import KEY, PRICE, RSI, script, strategy

HOUR = timedelta(hours=1)
SERIES = Series("binance", "BTC/USDT", "1h")
CANDLES = {"symbol": "BTC/USDT", "timeframe": "1h", "limit": 4}


def two() -> Strategy:
    agents = {
        "price-monitor": {"description": "Reads candles.", "prompt": f"You watch. {PRICE}", "tools": ["get_ohlcv"]},
        "rsi-analyzer": {"description": "Reads the RSI.", "prompt": f"You read. {RSI}", "tools": ["calculate_rsi"]},
    }
    return strategy(agents, exchange="binance", model=MODEL)


async def run(home: Path, address: Address, mode: Mode, api_url: str = "") -> Outcome:
    """Let the strategy run once at the first moment, through a proxy that records or repeats."""
    credentials: dict[str, Any] = {"ANTHROPIC_BASE_URL": api_url, "ANTHROPIC_API_KEY": KEY} if mode == "record" else {}
    parts = parts_of(home, server_url=address.url, token=address.token, **credentials)
    cassette = Cassette(parts.home.cassettes, two().name, two().decision_version("binance", "claude"))

    @asynccontextmanager
    async def serving() -> AsyncIterator[Address]:
        yield address

    async with recording_proxy(credentials) as proxy:
        recorder = ModelRecorder(proxy, cassette, mode)
        runner = Runner(parts.settings, parts.journal, parts.database, serving, recorder=recorder)
        return (await runner.run(two(), as_of=FIRST)).outcome


def import_anew(home: Path, folder: Path) -> tuple[float, float]:
    """Import the last candle before the moment once more, with another close; return both closes."""
    store = CandleStore(Database(Home(home).database))
    opened = FIRST - HOUR
    candle = store.load(SERIES, (to_ms(opened), to_ms(FIRST))).candles
    before, after = float(candle.close[0]), float((candle.high[0] + candle.low[0]) / 2)
    assert before != after
    file = folder / "corrected.csv"
    row = (opened.isoformat(), candle.open[0], candle.high[0], candle.low[0], after, candle.volume[0])
    file.write_text("timestamp,open,high,low,close,volume\n" + ",".join(map(str, row)) + "\n")
    import_candle_file(store, file, SERIES, datetime.now(UTC))
    return before, after


@pytest.mark.long
async def test_a_store_that_is_warm_by_now_is_no_drift_and_a_candle_that_was_imported_anew_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = script(
        price=(use("mcp__trader__get_ohlcv", CANDLES), say("It moves.")),
        rsi=(use("mcp__trader__calculate_rsi", {"symbol": "BTC/USDT", "timeframe": "1h"}), say("It is high.")),
    )
    token = SecretStr("a-token-of-the-server")
    settings = parts_of(home).settings
    with ScriptedMessagesApi(steps) as api, StandInExchange() as exchange:
        monkeypatch.setenv("TRADER_EXCHANGE_URLS", json.dumps({"binance": exchange.url}))
        async with local_server(settings, "127.0.0.1", 0, token) as (address, _):
            recorded = await run(home, address, "record", api.url)
    assert recorded.status is Status.SUCCESS, recorded.error
    async with local_server(settings, "127.0.0.1", 0, token) as (address, _):
        warm = await run(home, address, "rerun")
        assert (warm.status, warm.signal) == (Status.SUCCESS, recorded.signal)
        assert warm.cost_usd == 0
        before, after = await anyio.to_thread.run_sync(import_anew, home, tmp_path)
        drifted = await run(home, address, "rerun")
    assert (drifted.status, drifted.blame) == (Status.DRIFT, None)
    assert drifted.error is not None
    assert "answered otherwise: " in drifted.error
    assert f"close {before} → {after}" in drifted.error, "whichever of the two has asked first"
