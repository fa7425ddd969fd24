import numpy as np
import pytest
import talib

from tests.tools.conftest import Ask, Told


async def _closes(ask: Ask, limit: int) -> np.ndarray:
    said = await ask("get_ohlcv", symbol="BTC/USDT", limit=limit)
    return np.array([row[4] for row in said["rows"]])


async def test_rsi_is_what_ta_lib_says_of_the_whole_history(ask: Ask) -> None:
    said = await ask("calculate_rsi", symbol="BTC/USDT")
    expected = talib.RSI(await _closes(ask, 5000), 14)[-1]
    assert said["rsi"] == pytest.approx(expected, rel=1e-9)
    assert said["trend"] == ("bullish" if expected > 50 else "bearish")
    assert (said["overbought"], said["oversold"]) == (expected > 70, expected < 30)
    assert (said["open_time"], said["period"]) == ("2026-05-20T11:00Z", 14)


async def test_macd_is_what_ta_lib_says_of_the_whole_history(ask: Ask) -> None:
    said = await ask("calculate_macd", symbol="BTC/USDT")
    line, signal, histogram = (values[-1] for values in talib.MACD(await _closes(ask, 5000)))
    assert [said["macd"], said["signal"], said["histogram"]] == pytest.approx([line, signal, histogram], rel=1e-7)
    assert said["position"] == ("above" if line > signal else "below")


async def test_without_enough_candles_a_value_is_null_and_the_shortfall_said(ask: Ask) -> None:
    said = await ask("calculate_rsi", symbol="BTC/USDT", timeframe="1d", as_of="2017-01-05T00:00Z")
    assert (said["rsi"], said["overbought"], said["trend"], said["candles_used"]) == (None, None, None, 4)
    assert said["note"].startswith("4 of ")


async def test_periods_that_make_no_sense_together_are_refused(ask: Ask) -> None:
    with pytest.raises(Told, match=r"fast \(26\) must be smaller than slow \(12\)"):
        await ask("calculate_macd", symbol="BTC/USDT", fast=26, slow=12)
    with pytest.raises(Told, match=r"period: .*Input should be less than or equal to 400"):
        await ask("calculate_rsi", symbol="BTC/USDT", period=1_000_000)
