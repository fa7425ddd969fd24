"""Crossings: from below is bullish, a touch is none; and calculate_macd's, against an answer that is not its own."""

from typing import Any

import numpy as np
import pytest

from mcp_server.domain.indicators.crossover import Crossover, last_crossover
from tests.tools.conftest import Ask, ask, client, settings

__all__ = ["ask", "client", "settings"]

NAN = float("nan")


@pytest.mark.parametrize(
    ("line", "other", "crossing"),
    [
        ([1, 3], [2, 2], Crossover("bullish", 1)),
        ([3, 1], [2, 2], Crossover("bearish", 1)),
        ([1, 3, 3, 1, 1], [2, 2, 2, 2, 2], Crossover("bearish", 3)),
        ([1, 2, 1], [2, 2, 2], None),
        ([3, 2, 3], [2, 2, 2], None),
        ([1, 2], [2, 2], None),
        ([2, 3], [2, 2], None),
        ([1, 2, 2, 3], [2, 2, 2, 2], Crossover("bullish", 3)),
        ([3, 2, 1, 1], [2, 2, 2, 2], Crossover("bearish", 2)),
        ([1, NAN, 3], [2, 2, 2], Crossover("bullish", 2)),
        ([NAN, 3, 3], [2, 2, 2], None),
        ([1, 3, 2, 3], [2, 2, 2, 2], Crossover("bullish", 1)),
        ([1, 1], [2, 3], None),
        ([], [], None),
    ],
)
def test_a_crossing_is_where_the_line_comes_to_lie_on_the_other_side(
    line: list[float], other: list[float], crossing: Crossover | None
) -> None:
    assert last_crossover(np.array(line, dtype=float), np.array(other, dtype=float)) == crossing


def averages(values: list[float], period: int) -> list[float]:
    """Return exponential averages by their definition, long after any beginning."""
    average, weight = values[0], 2 / (period + 1)
    every = []
    for value in values:
        average += weight * (value - average)
        every.append(average)
    return every


def macd_crossing(rows: list[list[Any]]) -> tuple[str, str]:
    """Find the direction and the open time of the last crossing of MACD(12, 26) and its signal line of 9."""
    closes = [row[4] for row in rows]
    line = [fast - slow for fast, slow in zip(averages(closes, 12), averages(closes, 26), strict=True)]
    above = [value > signal for value, signal in zip(line, averages(line, 9), strict=True)]
    last = max(at for at in range(1, len(above)) if above[at] != above[at - 1])
    return ("bullish" if above[last] else "bearish"), rows[last][0]


async def test_calculate_macd_tells_the_crossing_that_the_closes_make(ask: Ask) -> None:
    directions = set()
    for day in range(1, 20, 3):
        as_of = f"2026-05-{day:02}T12:00Z"
        rows = (await ask("get_ohlcv", symbol="BTC/USDT", limit=700, as_of=as_of))["rows"]
        direction, opened = macd_crossing(rows)
        answer = await ask("calculate_macd", symbol="BTC/USDT", as_of=as_of)
        assert (answer["last_crossover"], answer["last_crossover_time"]) == (direction, opened)
        assert answer["position"] == ("above" if direction == "bullish" else "below")
        directions.add(direction)
    assert directions == {"bullish", "bearish"}


async def test_calculate_macd_calls_it_a_crossover_at_its_own_candle_alone(ask: Ask) -> None:
    rows = (await ask("get_ohlcv", symbol="BTC/USDT", limit=700))["rows"]
    direction, opened = macd_crossing(rows)
    at = [row[0] for row in rows].index(opened)
    crossed = await ask("calculate_macd", symbol="BTC/USDT", as_of=rows[at + 1][0])
    assert (crossed["open_time"], crossed["crossover"], crossed["candles_since_crossover"]) == (opened, direction, 0)
    before = await ask("calculate_macd", symbol="BTC/USDT", as_of=opened)
    after = await ask("calculate_macd", symbol="BTC/USDT", as_of=rows[at + 2][0])
    assert (before["crossover"], after["crossover"]) == ("none", "none")
