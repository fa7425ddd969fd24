import base64
import io
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent
from PIL import Image

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import parse_moment
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.tools.conftest import NOW, Ask, Told, answer_of


async def _result(client: Client, **arguments: Any) -> CallToolResult:
    result = await client.call_tool("draw_chart", {"symbol": "BTC/USDT", **arguments})
    assert isinstance(result, CallToolResult)
    return result


async def _png(client: Client, **arguments: Any) -> bytes:
    result = await _result(client, **arguments)
    assert not result.is_error, result.content
    text, image = result.content
    assert isinstance(text, TextContent)
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/png"
    return base64.b64decode(image.data)


async def test_the_answer_is_an_image_and_the_facts_that_it_shows(client: Client) -> None:
    result = await _result(client)
    said = answer_of(result)
    image = Image.open(io.BytesIO(await _png(client)))
    assert (image.format, image.size) == ("PNG", (1200, 800))
    assert {name: said[name] for name in ("symbol", "exchange", "timeframe", "as_of", "simulated")} == {
        "symbol": "BTC/USDT",
        "exchange": "simulated",
        "timeframe": "1h",
        "as_of": "2026-05-20T12:17:33Z",
        "simulated": True,
    }
    assert (said["candles"], said["open_time"], said["age_s"]) == (120, "2026-05-20T11:00Z", 1053.0)
    assert set(said["values"]) == {"ema_50", "rsi_14"}
    assert "png" not in said
    assert "2026-05-15T12:00Z to 2026-05-20T11:00Z" in said["drawn"]


async def test_nothing_stands_beside_picture_and_caption_where_hosts_would_drop_the_picture(client: Client) -> None:
    (listed,) = [tool for tool in (await client.list_tools()).tools if tool.name == "draw_chart"]
    assert listed.output_schema is None
    result = await _result(client)
    assert result.structured_content is None
    assert [type(block) for block in result.content] == [TextContent, ImageContent]


async def test_values_are_those_that_the_other_tools_give(client: Client, ask: Ask) -> None:
    said = answer_of(await _result(client, limit=20, indicators=["rsi(14)", "macd(12,26,9)"]))
    rsi, macd = await ask("calculate_rsi", symbol="BTC/USDT"), await ask("calculate_macd", symbol="BTC/USDT")
    assert said["values"]["rsi_14"] == pytest.approx(rsi["rsi"], rel=1e-9)
    assert said["values"]["macd_12_26_9_hist"] == pytest.approx(macd["histogram"], rel=1e-7)
    assert said["close"] == rsi["close"]


async def test_the_text_names_all_that_is_drawn(client: Client) -> None:
    said = answer_of(await _result(client, indicators=["bbands(20)", "ema(20) of volume", "cdldoji", "macd"]))
    drawn = said["drawn"]
    assert all(f"{column} " in drawn for column in said["values"])
    assert drawn.index("On the price: bbands_20_upper") < drawn.index("Panels: volume with ema_20_of_volume")


async def test_without_indicators_there_are_candles_and_volume(client: Client) -> None:
    said = answer_of(await _result(client, indicators=[]))
    assert (said["values"], said["drawn"].endswith("Panels: volume.")) == ({}, True)


async def test_a_chart_of_the_past_is_the_one_that_was_drawn_then(client: Client, settings: ServerSettings) -> None:
    then = "2026-03-01T00:30:00Z"
    now = await _png(client, as_of=then)
    clamped = settings.model_copy(update={"as_of": NOW - timedelta(days=40)})
    async with Client(build_server(clamped, clock=lambda: NOW)) as earlier:
        assert await _png(earlier, as_of=then) == now
        assert answer_of(await _result(earlier))["as_of"] == "2026-04-10T12:17:33Z"


async def test_themes_and_timeframes_make_other_pictures(client: Client) -> None:
    pictures = [await _png(client, **chosen) for chosen in ({}, {"theme": "light"}, {"timeframe": "1d"}, {"limit": 50})]
    assert len(set(pictures)) == 4
    assert max(map(len, pictures)) < 150_000


async def test_a_large_chart_stays_below_200_kb(client: Client) -> None:
    indicators = ["bbands(20)", "ema(200)", "rsi(14)", "macd"]
    assert len(await _png(client, limit=500, indicators=indicators)) < 200_000


async def test_a_running_total_on_the_price_is_said_to_begin_somewhere(client: Client) -> None:
    said = answer_of(await _result(client, limit=20, indicators=["obv", "sma(3) of obv"]))
    assert "so only their changes count: obv, sma(3) of obv." in said["note"]


async def test_divergences_of_an_output_that_is_drawn_already_add_no_second_panel(ask: Ask) -> None:
    said = await ask("draw_chart", symbol="BTC/USDT", indicators=["macd"], divergence_of="macd.hist")
    assert set(said["values"]) == {"macd", "macd_signal", "macd_hist"}
    assert "Confirmed divergences of macd_hist: " in said["drawn"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 19}, "limit: .*Input should be greater than or equal to 20"),
        ({"limit": 501}, "limit: .*Input should be less than or equal to 500"),
        ({"indicators": ["rsi(14)"] * 11}, "indicators: .*at most 10"),
        ({"indicators": ["rsj(14)"]}, "Unknown indicator 'rsj'"),
        ({"indicators": ["rsi", "macd", "atr", "obv", "adx", "cci"]}, "6 panels below the price are too many"),
        ({"theme": "pink"}, "theme: .*Input should be 'dark' or 'light'"),
        ({"as_of": "2016-05-01"}, "There is nothing to draw: simulated has no 1h candle of 'BTC/USDT' from 2016-"),
        ({"strategy_name": "rsi-revesion"}, r"Unknown strategy 'rsi-revesion'\. Did you mean 'rsi-reversion'"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_with_the_reason(
    client: Client, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(Told, match=message):
        answer_of(await _result(client, **arguments))


async def test_a_market_that_began_lately_is_drawn_from_its_first_candle(client: Client) -> None:
    said = answer_of(await _result(client, timeframe="1d", as_of="2017-01-05T00:00Z", indicators=["ema(50)"]))
    assert (said["candles"], said["values"]) == (4, {"ema_50": None})
    assert "ema_50 undefined" in said["drawn"]
    assert said["note"].startswith("4 of ")


@pytest.fixture
def journal(home: Path) -> Journal:
    return Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))


def _record(journal: Journal, name: str, hours_ago: float, side: Any, pair: str = "BTC/USDT") -> None:
    strategy = parse_strategy(name, {"trading_pair": pair, "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    as_of = NOW - timedelta(hours=hours_ago)
    claimed = journal.claim(Run(strategy, "manual", as_of, "rules", NOW))
    outcome = Outcome(Status.SUCCESS, Signal(side, Decimal(60), "why", 1.0))
    journal.finish(claimed, outcome, NOW)


async def test_a_strategys_signals_are_marked_up_to_the_as_of(client: Client, home: Path, journal: Journal) -> None:
    for hours_ago, side in [(400, "BUY"), (60, "BUY"), (50, "SELL"), (40, "HOLD"), (5, "BUY")]:
        _record(journal, "mine", hours_ago, side)
    _record(journal, "other", 30, "SELL")
    StrategyFolders(Home(home), home).write(parse_strategy("mine", _config("BTC-USDT"), None))
    said = answer_of(await _result(client, strategy_name="mine"))
    assert said["signals"] == {"BUY": 2, "SELL": 1, "HOLD": 1}
    assert said["drawn"].endswith("Signals of 'mine' marked: 2 BUY, 1 SELL (1 HOLD not drawn).")
    assert await _png(client, strategy_name="mine") != await _png(client)
    earlier = answer_of(await _result(client, strategy_name="mine", as_of=(NOW - timedelta(hours=45)).isoformat()))
    assert earlier["signals"] == {"BUY": 1, "SELL": 1, "HOLD": 0}


def _config(pair: str) -> dict[str, Any]:
    return {"trading_pair": pair, "interval": "1h", "rules": {"buy": "close > 1"}}


async def test_signals_outlive_the_folder_of_their_strategy(client: Client, journal: Journal) -> None:
    _record(journal, "gone", 5, "SELL")
    assert answer_of(await _result(client, strategy_name="gone"))["signals"] == {"BUY": 0, "SELL": 1, "HOLD": 0}


async def test_a_strategy_without_signals_is_drawn_without_arrows(client: Client) -> None:
    said = answer_of(await _result(client, strategy_name="rsi-reversion"))
    assert said["signals"] == {"BUY": 0, "SELL": 0, "HOLD": 0}


async def test_signals_about_another_market_are_refused(client: Client, home: Path, journal: Journal) -> None:
    _record(journal, "mine", 5, "BUY", "ETH/USDT")
    StrategyFolders(Home(home), home).write(parse_strategy("mine", _config("ETH/USDT"), None))
    with pytest.raises(
        Told, match=r"Strategy 'mine' trades 'ETH/USDT': .* Draw 'ETH/USDT', or leave strategy_name out"
    ):
        answer_of(await _result(client, strategy_name="mine"))


@pytest.mark.parametrize("before", [timedelta(0), timedelta(seconds=1)], ids=["when confirmed", "a second before"])
async def test_the_divergences_drawn_are_those_that_are_confirmed_by_then(ask: Ask, before: timedelta) -> None:
    confirmed = parse_moment((await ask("detect_divergence", symbol="ETH/USDT", lookback=100))["confirmed_at"])
    asked = {"symbol": "ETH/USDT", "as_of": (confirmed - before).isoformat()}
    rows = (await ask("detect_divergence", **asked, lookback=100))["rows"]
    shown = await ask("draw_chart", **asked, limit=100, indicators=[], divergence_of="rsi(14)")

    directions = [row[0] for row in rows]
    counted = f"{directions.count('bullish')} bullish, {directions.count('bearish')} bearish"
    assert f"Confirmed divergences of rsi_14: {counted}" in shown["drawn"]
    assert set(shown["values"]) == {"rsi_14"}
    assert any(parse_moment(row[8]) == confirmed for row in rows) is not bool(before)


async def test_divergences_of_nothing_known_are_refused(ask: Ask) -> None:
    for spec, says in (("tos_stdevall", "not in the catalogue"), ("rsj(14)", "Did you mean 'rsi'")):
        with pytest.raises(Told, match=says):
            await ask("draw_chart", symbol="ETH/USDT", divergence_of=spec)
