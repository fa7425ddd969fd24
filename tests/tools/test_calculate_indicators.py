"""calculate_indicators and find_indicators: many indicators in one table, and how one finds them."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import talib
from mcp import Client

from mcp_server.domain.indicators import catalog
from tests.tools.conftest import Ask, Told

TEN = [
    *("rsi(14)", "ema(50)", "macd(12,26,9).hist", "atr(14)", "adx(14)", "bbands(20,2).upper", "obv", "cci(20)"),
    *("mfi(14)", "willr(14)"),
]


async def test_each_value_is_what_the_library_says_of_the_whole_history(ask: Ask) -> None:
    said = await ask("calculate_indicators", symbol="BTC/USDT", indicators=["rsi(14)", "ema(50) of volume", "chop(14)"])
    candles = (await ask("get_ohlcv", symbol="BTC/USDT", limit=5000))["rows"]
    high, low, close = (np.array([row[i] for row in candles]) for i in (2, 3, 4))
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    chop = 100 * np.log10(ranges[-14:].sum() / (high[-14:].max() - low[-14:].min())) / np.log10(14)

    (row,) = said["rows"]
    assert said["columns"] == ["open_time", "close", "rsi_14", "ema_50_of_volume", "chop_14"]
    assert row[:2] == ["2026-05-20T11:00Z", candles[-1][4]]
    assert row[2] == pytest.approx(talib.RSI(close, 14)[-1], rel=1e-9)
    assert row[4] == pytest.approx(chop, rel=1e-9)
    assert (said["symbol"], said["exchange"], said["timeframe"]) == ("BTC/USDT", "simulated", "1h")
    assert said["warm_up"] == [14, 49, 14]
    assert said["candles_used"] == said["candles_wanted"] >= 487


async def test_rows_are_the_last_closed_candles_oldest_first_and_each_as_it_was_then(ask: Ask) -> None:
    said = await ask("calculate_indicators", symbol="btcusdt", indicators=["rsi(14)", "supertrend(10,3)"], last=5)
    for age, row in enumerate(reversed(said["rows"])):
        as_of = datetime(2026, 5, 20, 12, tzinfo=UTC) - timedelta(hours=age)
        then = await ask(
            "calculate_indicators",
            symbol="BTC/USDT",
            indicators=["rsi(14)", "supertrend(10,3)"],
            as_of=as_of.isoformat(),
        )
        assert then["rows"][0][:2] == row[:2]
        assert then["rows"][0][2:] == pytest.approx(row[2:], rel=1e-9)


async def test_several_symbols_are_compared_in_one_table(ask: Ask) -> None:
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    said = await ask("calculate_indicators", symbol=symbols, indicators=["rsi(14)"], last=2)

    assert said["symbol"] == symbols
    assert said["columns"] == ["symbol", "open_time", "close", "rsi_14"]
    assert [row[0] for row in said["rows"]] == [symbol for symbol in symbols for _ in range(2)]
    for symbol in symbols:
        alone = await ask("calculate_indicators", symbol=symbol, indicators=["rsi(14)"], last=2)
        assert [row[1:] for row in said["rows"] if row[0] == symbol] == alone["rows"]


async def test_ten_indicators_cost_less_than_a_kilobyte(client: Client) -> None:
    result = await client.call_tool("calculate_indicators", {"symbol": "BTC/USDT", "indicators": TEN})

    assert len(json.dumps(result.structured_content, separators=(",", ":"))) < 1_000


async def test_undefined_is_null_and_the_shortfall_is_said(ask: Ask) -> None:
    said = await ask(
        "calculate_indicators",
        symbol="BTC/USDT",
        indicators=["sma(3)", "rsi(14)"],
        timeframe="1d",
        last=4,
        as_of="2017-01-05T00:00Z",
    )

    assert [row[3] for row in said["rows"]] == [None] * 4
    assert [row[2] is None for row in said["rows"]] == [True, True, False, False]
    assert (said["candles_used"], said["note"].startswith("4 of ")) == (4, True)


async def test_running_totals_are_told(ask: Ask) -> None:
    said = await ask("calculate_indicators", symbol="BTC/USDT", indicators=["obv", "adosc", "vwap", "nvi"])

    assert "only their changes count: obv, nvi." in said["note"]


async def test_every_bad_spec_is_told_at_once(ask: Ask) -> None:
    with pytest.raises(Told) as told:
        await ask("calculate_indicators", symbol="BTC/USDT", indicators=["rsi(14)", "rsj(14)", "ema(1000000)", "uo"])

    assert "Did you mean 'rsi'" in str(told.value)
    assert "from 1 to 1000" in str(told.value)
    assert "It is 'ultosc' here." in str(told.value)


async def test_more_values_than_one_answer_holds_are_refused_rather_than_cut(ask: Ask) -> None:
    with pytest.raises(Told, match="20000"):
        await ask("calculate_indicators", symbol=["BTC/USDT"] * 9, indicators=["rsi(14)"], last=1000)
    with pytest.raises(Told, match=r"indicators: .*List should have at least 1 item"):
        await ask("calculate_indicators", symbol="BTC/USDT", indicators=[])


async def test_one_unknown_symbol_of_several_is_named(ask: Ask) -> None:
    with pytest.raises(Told, match="'NOSUCH'"):
        await ask("calculate_indicators", symbol=["BTC/USDT", "NOSUCH"], indicators=["rsi(14)"])


async def test_indicators_are_found_by_meaning_with_all_one_needs_to_write_a_spec(ask: Ask) -> None:
    said = await ask("find_indicators", query="trend strength", limit=2)

    assert said["columns"] == ["name", "meaning", "parameters", "computed_of", "columns", "warm_up", "library"]
    name, meaning, *rest = said["rows"][0]
    assert (name, meaning) == ("adx", catalog.find("adx").meaning)
    assert rest == ["timeperiod=14 [2..1000]", "high low close", "adx", 27, "TA-Lib"]
    assert said["note"] == f"2 of {said['found']}: narrow the query or raise limit."


async def test_all_indicators_can_be_listed(ask: Ask) -> None:
    said = await ask("find_indicators", limit=300)

    assert said["found"] == len(said["rows"]) == 265
    assert "note" not in said


async def test_where_nothing_fits_it_says_so(ask: Ask) -> None:
    said = await ask("find_indicators", query="xyzzyplugh")

    assert (said["found"], said["rows"]) == (0, [])
    assert said["note"] == "Nothing fits. Use other words, or an empty query for all."


async def test_the_layout_says_how_a_page_draws_each_column(ask: Ask) -> None:
    specs = [
        *("ema(50)", "bbands(20,2)", "ema(20) of volume", "rsi(14)", "ema(9) of rsi(14)", "macd(12,26,9)"),
        *("sar", "supertrend(10,3)", "ichimoku", "cdlengulfing"),
    ]
    answer = await ask("calculate_indicators", symbol="BTC/USDT", indicators=specs, layout=True)
    lines = {line["columns"][0]: line for line in answer["layout"]}

    assert sorted(column for line in lines.values() for column in line["columns"]) == sorted(answer["columns"][2:])
    plain = {"columns": ["ema_50"], "pane": 0, "shape": "line", "color": 1, "dashed": False, "levels": []}
    assert lines["ema_50"] == {**plain, "total": None}
    upper, middle, lower = (lines[f"bbands_20_2_{name}"] for name in ("upper", "middle", "lower"))
    assert upper["color"] == middle["color"] == lower["color"] == 2
    assert [upper["dashed"], middle["dashed"], lower["dashed"]] == [False, True, False]
    assert lines["ema_20_of_volume"]["pane"] == "volume"
    rsi, averaged = lines["rsi_14"], lines["ema_9_of_rsi_14"]
    assert (rsi["pane"], rsi["levels"], averaged["pane"], averaged["color"]) == (1, [30, 70], 1, 2)
    hist = lines["macd_12_26_9_hist"]
    assert (hist["pane"], hist["shape"], lines["macd_12_26_9"]["levels"]) == (2, "bars", [0])
    assert (lines["sar"]["shape"], lines["cdlengulfing"]["shape"]) == ("dots", "events")
    turning = next(line for line in lines.values() if line["shape"] == "turning")
    assert (turning["pane"], len(turning["columns"])) == (0, 2)
    spans = [line["color"] for name, line in lines.items() if "span" in name]
    assert len(spans) == len(set(spans)) == 2
    assert "layout" not in await ask("calculate_indicators", symbol="BTC/USDT", indicators=specs)


async def test_the_layout_says_how_running_totals_of_two_answers_are_joined(ask: Ask) -> None:
    specs = ["obv", "ema(20) of obv", "roc(10) of obv", "mom(5) of obv", "rsi(14)"]
    answer = await ask("calculate_indicators", symbol="BTC/USDT", indicators=specs, layout=True)
    totals = {line["columns"][0]: line["total"] for line in answer["layout"]}
    joined = {"obv": "sum", "ema_20_of_obv": "sum", "roc_10_of_obv": "apart", "mom_5_of_obv": None, "rsi_14": None}
    assert totals == joined


async def test_a_layout_of_too_many_panels_is_refused(ask: Ask) -> None:
    many = ["rsi(14)", "cci(20)", "mfi(14)", "willr(14)", "adx(14)", "atr(14)"]
    with pytest.raises(Told, match="6 panels"):
        await ask("calculate_indicators", symbol="BTC/USDT", indicators=many, layout=True)
