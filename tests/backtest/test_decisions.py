"""The slots of a backtest: when they are due, what each decides on, where its order fills, and that live does alike."""

from datetime import datetime
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mcp_server.adapters.simulated import path
from mcp_server.domain.backtest.decisions import candles_of_range, decide_slots
from mcp_server.domain.candles import Candles
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.series import BUY, HOLD, SELL, SIGNALS, UNDECIDED
from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import (
    first_open_ms,
    from_ms,
    iso,
    last_closed_open_ms,
    parse_moment,
    timeframe_ms,
    to_ms,
)
from tests.rigs.sampled import sampled
from tests.tools.conftest import Ask, ask, client, settings

__all__ = ["ask", "client", "settings"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def at(text: str) -> int:
    return to_ms(parse_moment(text))


def config(**schedule: str) -> Config:
    return Config.model_validate({"trading_pair": "BTC/USDT", **schedule})


def grid(timeframe: str, first_ms: int, length: int, missing: tuple[int, ...] = ()) -> Candles:
    times = first_open_ms(first_ms, timeframe) + np.arange(length) * timeframe_ms(timeframe)
    times = np.delete(times, missing)
    ones = np.ones(len(times))
    return Candles(times, ones, ones, ones, ones, ones)


SCHEDULES = [
    {"interval": "1m"},
    {"interval": "1h"},
    {"interval": "4h"},
    {"interval": "1d"},
    {"cron": "17 */5 * * *"},
    {"cron": "30 2 * * *", "timezone": "America/New_York"},
    {"cron": "*/20 1-3 * * 0", "timezone": "Europe/Berlin"},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d", "3d", "1w"])
def test_each_slot_decides_on_its_last_closed_candle_and_fills_in_the_next_open(
    schedule: dict[str, str], timeframe: str
) -> None:
    random = np.random.default_rng(len(timeframe) + len(str(schedule)))
    length = 20 if "1m" in schedule.values() else 90
    length = length if timeframe_ms(timeframe) <= DAY_MS else 12
    candles = grid(timeframe, at("2026-03-01"), length, tuple(random.choice(length, 3, replace=False)))
    signals = random.choice([BUY, SELL, HOLD, UNDECIDED], len(candles)).astype(np.int8)
    start = int(candles.open_time_ms[2]) + 17 * 60_000
    end = min(int(candles.open_time_ms[-2]) + 5, start + (30 * DAY_MS if "1m" not in schedule.values() else DAY_MS))

    decisions = decide_slots(config(**schedule), timeframe, candles, signals, start, end)

    signal_of = dict(zip(candles.open_time_ms.tolist(), signals.tolist(), strict=True))
    traded = candles_of_range(candles, timeframe, start, end)
    position = {opened: i for i, opened in enumerate(traded.open_time_ms.tolist())}
    due = [
        to_ms(slot) for slot in takewhile(lambda slot: to_ms(slot) <= end, slots(config(**schedule), from_ms(start)))
    ]
    assert decisions.slot_ms.tolist() == due
    wanted = [signal_of.get(last_closed_open_ms(slot, timeframe), UNDECIDED) for slot in due]
    assert decisions.signal.tolist() == wanted
    assert decisions.fill.tolist() == [position.get(first_open_ms(slot, timeframe), -1) for slot in due]


def test_a_slot_at_the_end_belongs_to_a_range_and_one_at_its_start_does_not() -> None:
    candles = grid("1h", at("2026-03-01"), 5)
    start, end = (int(candles.open_time_ms[i]) for i in (1, 4))
    decisions = decide_slots(config(interval="1h"), "1h", candles, np.zeros(5, dtype=np.int8), start, end)

    assert decisions.slot_ms.tolist() == candles.open_time_ms[2:].tolist()
    assert decisions.fill.tolist() == [1, 2, -1]  # positions among the three candles of the range
    assert len(candles_of_range(candles, "1h", start, end)) == 3


def test_candles_before_the_range_are_decided_on_and_not_traded_in() -> None:
    candles = grid("4h", at("2026-03-01"), 3)
    signals = np.array([BUY, SELL, HOLD], dtype=np.int8)
    start = at("2026-03-01T04:30")
    decisions = decide_slots(config(interval="1h"), "4h", candles, signals, start, at("2026-03-01T09:00"))

    assert decisions.signal.tolist() == [BUY, BUY, BUY, SELL, SELL]
    assert decisions.fill.tolist() == [-1] * 5  # the candle of 08:00 is not closed by the end


def test_candles_off_the_grid_are_never_decided_on() -> None:
    ones = np.ones(3)
    candles = Candles(np.array([0, HOUR_MS + 1, 2 * HOUR_MS]) + 400_000 * HOUR_MS, ones, ones, ones, ones, ones)
    start = 400_000 * HOUR_MS
    signals = np.full(3, BUY, dtype=np.int8)
    decisions = decide_slots(config(interval="1h"), "1h", candles, signals, start - 1, start + 3 * HOUR_MS)

    assert decisions.signal.tolist() == [UNDECIDED, BUY, UNDECIDED, BUY]
    assert decisions.fill.tolist() == [0, -1, 2, -1]


def test_a_range_without_candles_has_slots_that_decide_nothing() -> None:
    decisions = decide_slots(config(interval="1h"), "1h", Candles.empty(), np.empty(0, dtype=np.int8), 0, 2 * HOUR_MS)

    assert decisions.signal.tolist() == [UNDECIDED] * 2
    assert decisions.fill.tolist() == [-1] * 2


def test_a_cron_keeps_to_its_wall_clock_when_the_clocks_change() -> None:
    candles = grid("1h", at("2026-03-26"), 24 * 6)
    decisions = decide_slots(
        config(cron="30 2 * * *", timezone="Europe/Berlin"),
        "1h",
        candles,
        np.zeros(len(candles), dtype=np.int8),
        at("2026-03-27"),
        at("2026-04-01"),
    )

    local = [datetime.fromtimestamp(slot / 1000, ZoneInfo("Europe/Berlin")) for slot in decisions.slot_ms.tolist()]
    assert [f"{slot:%d %H:%M}" for slot in local] == ["27 02:30", "28 02:30", "29 03:00", "30 02:30", "31 02:30"]


RULES: dict[str, Any] = {
    "indicators": ["ema(5)", "ema(13)", "rsi(14)"],
    "buy": "crosses_above(ema_5, ema_13) OR rsi_14 < 35",
    "sell": "rsi_14 > 60",
}
LONG_RULES: dict[str, Any] = {"buy": "close > prev(close, 1)", "sell": "prev(close, 1) > close AND high > 0"}
"""Without an indicator, as it takes the simulated market long to make hundreds of weeks."""

LIVE = {
    "hourly": ({"interval": "1h"}, "1h", "2026-05-14T00:00Z", "2026-05-16T00:00Z"),
    "hourly on candles of four hours": ({"interval": "1h"}, "4h", "2026-05-13T00:00Z", "2026-05-14T18:00Z"),
    "daily on hourly candles": ({"interval": "1d"}, "1h", "2026-03-20T00:00Z", "2026-05-01T00:00Z"),
    "cron through the change of clocks": (
        {"cron": "40 */6 * * *", "timezone": "America/New_York"},
        "1h",
        "2026-03-05T00:00Z",
        "2026-03-12T00:00Z",
    ),
    "on weeks": ({"cron": "0 0 * * 1,4"}, "1w", "2026-03-01T00:00Z", "2026-05-07T00:00Z"),
    "on three days": ({"cron": "30 7 1-28/2 * *"}, "3d", "2026-03-01T00:00Z", "2026-05-01T00:00Z"),
}


@pytest.mark.parametrize("name", sampled([*LIVE], 3))
async def test_each_slot_decides_as_the_same_strategy_does_live(
    ask: Ask, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, timeframe, start, end = LIVE[name]
    rules = LONG_RULES if timeframe_ms(timeframe) > DAY_MS else RULES
    whole = path.candles

    def with_gaps(*arguments: Any) -> Candles:
        candles = whole(*arguments)
        there = np.flatnonzero(candles.open_time_ms // timeframe_ms(timeframe) % 7 != 3)
        return _of(candles, there)

    monkeypatch.setattr(path, "candles", with_gaps)
    strategy = {
        "exchange": "simulated",
        "trading_pair": "BTC/USDT",
        **schedule,
        "rules": {**rules, "timeframe": timeframe},
    }
    await ask("write_strategy", strategy_name="alike", config=strategy)
    compiled = compile_rules(Config.model_validate(strategy).rules, timeframe)
    first = at(start) - (compiled.history * 2) * timeframe_ms(timeframe)
    market = path.market_of("BTC/USDT", 0)
    candles = with_gaps(market, timeframe, max(first, path.GENESIS_MS), at(end), at(end)).closed_by(at(end), timeframe)

    signals = compiled.series(candles).signals()
    decisions = decide_slots(Config.model_validate(strategy), timeframe, candles, signals, at(start), at(end))
    live = [
        (await ask("evaluate_strategy", strategy_name="alike", as_of=iso(int(slot))))["signal"]
        for slot in decisions.slot_ms
    ]

    assert len(live) > 17
    assert [SIGNALS[int(code)] for code in decisions.signal] == live
    assert {"BUY", "SELL", "HOLD", None} >= set(live)
    assert None in live


def _of(candles: Candles, kept: Any) -> Candles:
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Candles(candles.open_time_ms[kept], *(column[kept] for column in columns))
