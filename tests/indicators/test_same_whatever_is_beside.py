"""An indicator's value at a candle depends on the candles before it, never on what else was asked for."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_spec
from mcp_server.domain.timeframes import DAY_MS
from tests.domain.test_indicator_catalog import BOUNDED
from tests.domain.test_indicator_values import made_candles
from tests.rigs.sampled import sampled
from tests.tools.conftest import Ask, Told, ask, client, settings

__all__ = ["ask", "client", "settings"]

HOUR_MS = 3_600_000
ROWS = 4_000
TEXTS = [BOUNDED.get(name, name) for name in catalog.names()]
CHAINS = ["sma(9) of rsi(14)", "rsi(14) of obv", "ema(20) of obv", "ema(20) of vwap", "ema(9) of nvi"]
CHAINS += ["cumsum of rsi(14)"]


@cache
def candles() -> Candles:
    return made_candles(ROWS, seed=5)


@pytest.mark.parametrize("text", [*sampled(TEXTS, 12), *CHAINS])
def test_a_value_is_the_same_whatever_history_was_fetched(text: str) -> None:
    """Of running totals the differences (of those that multiply, the ratios) are."""
    spec = parse_spec(text)
    wanted, end = spec.candles_wanted("1h"), ROWS - 5
    for more in (0, 7, 500):
        begin = max(end - wanted - 20 - more, 0)
        part = candles().slice(begin, end)
        for column, values in compute([spec], part).items():
            _check(text, column, values[-20:], compute([spec], candles())[column][end - 20 : end])


def _check(text: str, column: str, values: Floats, whole: Floats) -> None:
    kind = catalog.find(text.rsplit(" of ", maxsplit=1)[-1].partition("(")[0]).totals.get("")
    if column in ("aobv_fast", "aobv_slow", "cumsum_of_rsi_14") or (kind == "sum" and not column.startswith("rsi")):
        values, whole = np.diff(values), np.diff(whole)
    elif kind == "product":
        values, whole = values[1:] / values[:-1], whole[1:] / whole[:-1]
    size = float(np.nanmax(np.abs(whole))) if np.isfinite(whole).any() else 1.0
    np.testing.assert_allclose(values, whole, rtol=1e-8, atol=1e-8 * size, err_msg=column)


def test_a_total_goes_on_after_a_stretch_without_values() -> None:
    """If it began anew, its differences across the stretch would depend on where the candles begin."""
    moving, flat = candles().slice(0, 300), np.full(60, 50.0)
    parts = (moving.open, moving.high, moving.low, moving.close, np.full(300, 50.0))
    columns = [np.concatenate([part, flat, part]) for part in parts]
    whole = Candles(np.arange(660) * HOUR_MS, *columns)
    spec = parse_spec("cumsum of cmou(14)")
    (all_values,), (later,) = (compute([spec], part).values() for part in (whole, whole.slice(100)))

    apart = all_values[100:] - later
    assert np.isnan(apart[230:260]).all()
    assert np.ptp(apart[np.isfinite(apart)]) < 1e-6


def test_the_session_price_begins_anew_at_midnight() -> None:
    values = compute([parse_spec("vwap")], candles())["vwap"]
    day = candles().between(50 * DAY_MS, 51 * DAY_MS)
    typical = (day.high + day.low + day.close) / 3

    assert values[50 * 24] == pytest.approx(typical[0])
    assert values[50 * 24 + 23] == pytest.approx((typical * day.volume).sum() / day.volume.sum())


def test_a_day_whose_beginning_is_missing_has_no_session_price() -> None:
    values = compute([parse_spec("vwap")], candles().slice(5, 60))["vwap"]

    assert np.isnan(values[:19]).all()
    assert np.isfinite(values[19:]).all()


def test_a_day_without_volume_has_no_session_price_until_something_is_traded() -> None:
    rows = [(hour * HOUR_MS, 5.0, 5.0, 5.0, 5.0, 0.0 if 24 <= hour < 30 else 2.0) for hour in range(48)]
    values = compute([parse_spec("vwap")], Candles.from_rows(rows))["vwap"]

    assert np.isnan(values).tolist() == [24 <= hour < 30 for hour in range(48)]


async def value_of(ask: Ask, name: str, *beside: str, **arguments: Any) -> dict[str, Any]:
    """Return a column's values by open time."""
    answer = await ask("calculate_indicators", symbol="BTC/USDT", indicators=[name, *beside], **arguments)
    return {row[0]: row[2] for row in answer["rows"]}


@pytest.mark.parametrize("timeframe", sampled(["1m", "1h", "15m", "12h"], 4))
async def test_the_session_price_is_the_same_alone_beside_others_and_with_any_number_of_rows(
    ask: Ask, timeframe: str
) -> None:
    ohlcv = await ask("get_ohlcv", symbol="BTC/USDT", timeframe=timeframe, limit=1_500)
    today = [row for row in ohlcv["rows"] if row[0].startswith("2026-05-20")]
    paid = sum((row[2] + row[3] + row[4]) / 3 * row[5] for row in today)
    alone = await value_of(ask, "vwap", timeframe=timeframe)
    for beside, last in (["ema(200)"], 1), (["ema(900)", "rsi(14)"], 1), ([], 300):
        values = await value_of(ask, "vwap", *beside, timeframe=timeframe, last=last)
        ((time, value),) = alone.items()
        assert values[time] == value
    if today:  # volumes are shown with four digits
        assert value == pytest.approx(paid / sum(row[5] for row in today), rel=1e-5)


async def test_the_session_price_of_a_day_is_refused(ask: Ask) -> None:
    for tool, arguments in (
        ("calculate_indicators", {"indicators": ["vwap"]}),
        ("calculate_indicators", {"indicators": ["ema(20) of vwap"]}),
        ("draw_chart", {"indicators": ["vwap"]}),
        ("detect_divergence", {"oscillator": "vwap"}),
    ):
        with pytest.raises(Told, match="begins anew each day at 00:00 UTC, so 1d candles are too long for it"):
            await ask(tool, symbol="BTC/USDT", timeframe="1d", **arguments)
