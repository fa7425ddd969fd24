"""Indicators: ten in one call beside ten calls, new ones beside bare ccxt, and the catalogue beside its libraries."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import talib

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators import catalog
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.indicators.spec import Spec
from tests.benchmarks.programs import (
    OURS,
    Arguments,
    Exchange,
    bare_ccxt,
    environment,
    exchange_program,
    host_of,
    medians,
    ratios,
    say,
    timed,
    told,
)
from tests.benchmarks.test_market import LATENCY_S, this_hour
from tests.benchmarks.touches import report
from tests.domain.test_indicator_values import made_candles

TEN = [
    *("rsi(14)", "sma(50)", "macd(12,26,9)", "atr(14)", "adx(14)", "bbands(20,2)", "obv", "cci(20)", "mfi(14)"),
    "willr(14)",
]
CATALOGUE = 5_000
MOST_BYTES = 1_000


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with exchange_program(extra_markets=400, latency_s=LATENCY_S) as started:
        yield started


def asking(specs: list[str], symbol: str = "BTC/USDT") -> Arguments:
    return {"symbol": symbol, "exchange": "binance", "indicators": specs, "as_of": this_hour()}


async def test_ten_indicators_in_one_call_take_a_part_of_what_ten_calls_take(exchange: Exchange, home: Path) -> None:
    with host_of(OURS, environment(home, exchange)) as host:
        sent = told(host, "calculate_indicators", asking(TEN))["structuredContent"]
        exchange.requests()

        async def together(_: int) -> None:
            told(host, "calculate_indicators", asking(TEN))

        async def each(_: int) -> None:
            for spec in TEN:
                told(host, "calculate_indicators", asking([spec]))

        took = await timed(range(-5, 60), together=together, each=each)
        assert exchange.requests() == 0
    size = len(json.dumps(sent, separators=(",", ":")))
    say(f"ten indicators over {sent['candles_used']} known candles: {medians(took)}, {size} bytes "
        f"(at most {MOST_BYTES})")  # fmt: skip
    assert size <= MOST_BYTES
    report("ten indicators", ratios(took, "together", "each"))


async def test_ten_indicators_of_a_new_market_take_little_longer_than_its_candles(
    exchange: Exchange, home: Path
) -> None:
    with host_of(OURS, environment(home, exchange)) as host:
        async with bare_ccxt("binance", exchange.url) as bare:
            wanted = told(host, "calculate_indicators", asking(TEN))["structuredContent"]["candles_wanted"]
            assert wanted <= 1000  # Binance gives so many at once

            async def ours(turn: int) -> None:
                told(host, "calculate_indicators", asking(TEN, f"X{turn + 100:04}/USDT"))

            async def ccxt(turn: int) -> None:
                await bare.fetch_ohlcv(f"X{turn + 100:04}/USDT", "1h", None, wanted)

            took = await timed(range(-4, 30), ours=ours, ccxt=ccxt)
            exchange.requests()
            await ours(31)
            assert exchange.requests() == 1
    say(f"ten indicators of a new market, {wanted} candles: {medians(took)}")
    report("indicators of a new market", ratios(took, "ours", "ccxt"))


def _bare(spec: Spec, candles: Candles) -> None:
    inputs = [getattr(candles, column) for column in spec.inputs if isinstance(column, str)]
    getattr(talib, spec.function.upper())(*inputs, **spec.parameters)


async def test_the_whole_catalogue_over_5000_candles() -> None:
    candles = made_candles(CATALOGUE)
    ours = {"TA-Lib": list[Spec](), "pandas-ta-classic": list[Spec]()}
    # mavp takes periods of its own, vwap is computed day by day: neither is one call of TA-Lib.
    for spec in parse_specs([name for name in catalog.names() if name not in ("mavp", "vwap")]):
        ours[catalog.find(spec.function).library].append(spec)

    async def whole(_: int) -> None:
        compute(ours["TA-Lib"], candles)

    async def bare(_: int) -> None:
        with np.errstate(all="ignore"):
            for spec in ours["TA-Lib"]:
                _bare(spec, candles)

    async def others(_: int) -> None:
        compute(ours["pandas-ta-classic"], candles)

    took = await timed(range(-2, 12), ours=whole, bare=bare, others=others)
    counts = ", ".join(f"{len(specs)} of {library}" for library, specs in ours.items())
    say(f"the catalogue ({counts}) over {CATALOGUE} candles: {medians(took)}")
    report("catalogue", ratios(took, "ours", "bare"))
