"""detect_divergence through a real client: over the invented market, over recorded candles, and asked wrongly."""

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from tests.rigs.hourly_candles import candle_file, hourly_candles
from tests.tools.conftest import NOW, Ask, Told, answer_of

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "divergence.md"
HOUR_MS = 3_600_000
BTC = {"symbol": "BTC/USDT"}


def table(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(said["columns"], row, strict=True)) for row in said.get("rows", [])]


def still_holds(said: dict[str, Any]) -> dict[str, Any] | None:
    return next((row for row in table(said) if row["invalidated_at"] is None), None)


async def test_the_newest_that_still_holds_is_the_answer_with_its_pivots_as_evidence(ask: Ask) -> None:
    said = await ask("detect_divergence", **BTC, lookback=300)
    newest = still_holds(said)

    assert newest is not None
    for key in ("divergence_type", "kind", "strength", "confidence", "sample", "confirmed_at"):
        assert said[key] == newest[key]
    assert said["divergence_type"] in ("bullish", "bearish")
    assert 0 < said["strength"] <= 100
    assert 0 < said["confidence"] < 100
    for which, (time, price, oscillator) in zip(("first", "second"), said["pivots"], strict=True):
        assert [time, price] == [newest[f"{which}_time"], newest[f"{which}_price"]]
        assert oscillator == pytest.approx(newest[f"{which}_oscillator"], rel=1e-5)
        assert repr(price) in said["description"]
    closed = to_ms(parse_moment(said["confirmed_at"]))
    assert closed - to_ms(parse_moment(said["pivots"][1][0])) == (3 + 1) * HOUR_MS
    last_close = to_ms(NOW) - to_ms(NOW) % HOUR_MS
    assert said["candles_since_confirmed"] == (last_close - closed) // HOUR_MS


async def test_pivots_are_swings_of_the_candles_and_values_of_ta_lib(ask: Ask) -> None:
    said = await ask("detect_divergence", **BTC, lookback=300)
    candles = await ask("get_ohlcv", **BTC, limit=5_000)
    times = [row[0] for row in candles["rows"]]
    values = np.array([row[1:] for row in candles["rows"]], dtype=np.float64)
    rsi = talib.RSI(np.ascontiguousarray(values[:, 3]), 14)

    assert table(said)
    for row in table(said):
        side = values[:, 2] if row["divergence_type"] == "bullish" else -values[:, 1]
        for which in ("first", "second"):
            at = times.index(row[f"{which}_time"])
            assert at >= len(times) - 300
            assert row[f"{which}_price"] == abs(side[at])
            assert row[f"{which}_oscillator"] == pytest.approx(rsi[at], rel=1e-5)
            assert side[at] < side[at - 3 : at].min()
            assert side[at] <= side[at + 1 : at + 4].min()


async def test_what_was_confirmed_is_said_ever_after_and_was_not_said_before(ask: Ask) -> None:
    now = {row["confirmed_at"]: row for row in table(await ask("detect_divergence", **BTC, lookback=200))}
    assert len(now) >= 3

    for confirmed_at, row in list(now.items())[:3]:
        then = table(await ask("detect_divergence", **BTC, lookback=200, as_of=confirmed_at))
        before_ms = to_ms(parse_moment(confirmed_at)) - 1
        before = table(await ask("detect_divergence", **BTC, lookback=200, as_of=iso(before_ms)))
        assert {**row, "invalidated_at": None, "came_true": None, "decided_at": None} in then
        assert confirmed_at not in {other["confirmed_at"] for other in before}


async def test_without_one_that_holds_the_type_is_none_and_figures_are_undefined(ask: Ask) -> None:
    said = await ask("detect_divergence", **BTC)

    assert still_holds(said) is None
    assert (said["divergence_type"], said["strength"], said["confidence"]) == ("none", None, None)
    assert "pivots" not in said
    assert "(swing lows: 8, swing highs: 9, divergences: 1, each invalidated" in said["description"]
    assert all(row["invalidated_at"] > row["confirmed_at"] for row in table(said))


async def test_too_few_candles_are_undefined_not_none(ask: Ask) -> None:
    said = await ask("detect_divergence", **BTC, timeframe="1d", as_of="2017-01-12T00:00Z")

    assert (said["divergence_type"], said["strength"], said["confidence"]) == (None, None, None)
    assert said["note"].startswith("11 of ")
    assert "Only 0 of 97 candles could be a swing" in said["note"]
    assert said["description"].startswith("Undefined: ")


async def test_an_indicator_of_several_outputs_is_its_first_or_the_one_named(ask: Ask) -> None:
    first = await ask("detect_divergence", **BTC, oscillator="macd(12,26,9)")
    named = await ask("detect_divergence", **BTC, oscillator="macd(12,26,9).hist")

    assert (first["oscillator"], named["oscillator"]) == ("macd_12_26_9", "macd_12_26_9_hist")
    assert "macd_12_26_9_signal, macd_12_26_9_hist: the first is used" in first["note"]
    assert "note" not in named


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"oscillator": "rsy(14)"}, "Did you mean 'rsi'"),
        ({"oscillator": "rsi(14"}, "is not an indicator spec"),
        ({"oscillator": "rsi(1)"}, "out of range. Give a whole number from 2"),
        ({"oscillator": "macd(12,26,9).histo"}, "no output 'histo'.*Did you mean 'hist'"),
        ({"oscillator": "tos_stdevall"}, "not in the catalogue.*linearreg"),
        ({"lookback": 19}, "lookback: .*greater than or equal to 20"),
        ({"pivot_candles": 51}, "pivot_candles: .*less than or equal to 50"),
        ({"oscilator": "rsi(14)"}, "Did you mean 'oscillator'"),
    ],
)
async def test_a_wrong_argument_is_told_with_what_to_do(ask: Ask, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(Told, match=told):
        await ask("detect_divergence", **BTC, **wrong)


@pytest.mark.parametrize("specs", [30, pytest.param(150, marks=pytest.mark.long)])
async def test_whatever_is_written_as_a_spec_is_answered_or_refused_with_words(ask: Ask, specs: int) -> None:
    chance = random.Random(7)  # noqa: S311 (it has to be the same each time)
    parts = [
        "rsi",
        "macd",
        "ema",
        "(",
        ")",
        "14",
        "12,26,9",
        ",",
        ".",
        "hist",
        " of ",
        "volume",
        "close",
        "-1",
        "=",
        "é",
    ]
    parts += ["bbands(20)", "obv", "cdldoji", "1e9", "'", "\n", "\x00", "timeperiod", "stoch", ";", "🙂", "a" * 250]
    for _ in range(specs):
        spec = "".join(chance.choices(parts, k=chance.randrange(0, 6)))
        try:
            said = await ask("detect_divergence", **BTC, oscillator=spec, lookback=40)
        except Told as refused:
            told = str(refused)
        else:
            told = said["description"]
        assert "failed unexpectedly" not in told, spec
        assert 20 < len(told) < 700, spec


async def test_answers_stay_small_in_both_forms_together(client: Client) -> None:
    for arguments in ({}, {"lookback": 1000, "oscillator": "macd(12,26,9)", "pivot_candles": 1}):
        result = await client.call_tool("detect_divergence", {**BTC, **arguments})
        sent = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert len(json.dumps(sent, separators=(",", ":"), ensure_ascii=False).encode()) < 8_000
    assert "found; the rows are the newest 8." in answer_of(result)["note"]


@pytest.fixture
async def recorded(home: Path, tmp_path: Path) -> AsyncIterator[Client]:
    """A server whose store holds two years of hourly candles, and which can ask nobody for more."""
    database = Database(Home(home).database, prepare=Home(home).prepare)
    file = candle_file(tmp_path)
    import_candle_file(CandleStore(database), file, Series("coinbase", "BTC/USD", "1h"), datetime.now(UTC))
    async with Client(build_server(ServerSettings(home=home, exchange="coinbase")), raise_exceptions=True) as client:
        yield client


@pytest.mark.long
async def test_on_recorded_candles_divergences_are_plausible_and_have_a_record(recorded: Client) -> None:
    candles = hourly_candles()
    kinds, held, samples = set(), 0, []
    moments = range(3_000, len(candles), 1_200)
    for end in moments:
        as_of = iso(int(candles.open_time_ms[end - 1]) + HOUR_MS)
        arguments = {"symbol": "BTC/USD", "as_of": as_of, "lookback": 150}
        said = answer_of(await recorded.call_tool("detect_divergence", arguments))
        rsi = talib.RSI(candles.close[:end], 14)
        assert len(table(said)) <= 8
        held += said["divergence_type"] != "none"
        for row in table(said):
            kinds.add((row["divergence_type"], row["kind"]))
            samples.append(row["sample"])
            side = candles.low if row["divergence_type"] == "bullish" else candles.high
            for which in ("first", "second"):
                at = int(np.searchsorted(candles.open_time_ms, to_ms(parse_moment(row[f"{which}_time"]))))
                assert row[f"{which}_price"] == side[at]
                assert row[f"{which}_oscillator"] == pytest.approx(rsi[at], rel=1e-5)
    assert kinds == {(direction, kind) for direction in ("bullish", "bearish") for kind in ("regular", "hidden")}
    assert len(moments) // 3 < held < len(moments)
    assert min(samples) > 0


async def test_what_came_of_it_is_told_once_it_is_decided(ask: Ask) -> None:
    rows = [row for row in table(await ask("detect_divergence", **BTC, lookback=200)) if row["decided_at"]]
    assert rows
    for row in rows:
        decided_ms = to_ms(parse_moment(row["decided_at"]))
        for as_of_ms, told in ((decided_ms, row["came_true"]), (decided_ms - 1, None)):
            then = table(await ask("detect_divergence", **BTC, lookback=200, as_of=iso(as_of_ms)))
            (same,) = [other for other in then if other["first_time"] == row["first_time"]
                       and other["second_time"] == row["second_time"]]  # fmt: skip
            assert same["came_true"] is told
