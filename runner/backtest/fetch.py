"""Fetches what a backtest needs and the store lacks, over MCP: the tool server keeps what it fetches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from mcp_server.domain.timeframes import iso, timeframe_ms
from mcp_server.errors import Retryable
from runner.backtest.stored import load
from runner.tool_server.several import for_each

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import CandleStore, Series, Stored
    from runner.tool_server.client import Tools

PAGE = 3_000
"""Candles a call: what the server fetches and keeps at a time."""

ROWS = 800
"""Candles a call where they arrive as rows: so many fit into an answer."""

TRIES = 3
"""How often a page is asked for that could not be had in time; what has arrived of it is kept meanwhile."""

LOOK_EVERY_S, LOOKS = 0.1, 50
"""How often, and how many times, the store is looked at until the server has written what it fetched."""

Tell = Callable[[int, int], None]
"""Called with the number of candles that are there, and that there will be."""


@dataclass(frozen=True, slots=True)
class FetchedCandles:
    """Candles of one series under the market's own name; `simulated`: the market is invented."""

    series: Series
    candles: Candles
    simulated: bool


async def fetch_candles(tools: Tools, store: CandleStore, series: Series, wanted: Range, tell: Tell) -> FetchedCandles:
    """Let the server fetch what the store lacks of a range, newest first; return all of the range.

    What it fetches is read from the store. What it does not keep there arrives as rows, with volumes of four digits:
    candles of the invented market, and all of them where the server's home is another one.

    Raises:
        TraderError: what the server says, of the exchange say; what was fetched stays.
    """
    from mcp_server.domain.candles import merge

    stored = load(store, series, wanted)
    if not (missing := stored.missing):
        return FetchedCandles(series, stored.candles, simulated=False)
    first, *others = pages(missing, PAGE, series.timeframe)
    answer = await _asked(tools, series, first, detail="summary")
    series = replace(series, symbol=str(answer["symbol"]))
    simulated, built_from = bool(answer.get("simulated")), answer.get("built_from")
    length = timeframe_ms(series.timeframe)
    total, done = sum(end - start for start, end in missing) // length, 0

    def arrived(part: Range) -> None:
        nonlocal done
        done += (part[1] - part[0]) // length
        tell(done, total)

    if not simulated:
        arrived(first)
        await for_each(others, partial(_asked, tools, series, detail="summary"), arrived)
    stored = await _written(partial(load, store, series, wanted, built_from), 0 if simulated else LOOKS)
    parts = await for_each(pages(stored.missing, ROWS, series.timeframe), partial(_rows, tools, series), arrived)
    return FetchedCandles(series, merge([stored.candles, *parts]), simulated)


def pages(missing: Sequence[Range], count: int, timeframe: str) -> list[Range]:
    """Cut ranges into parts of at most `count` candles, newest first."""
    step = count * timeframe_ms(timeframe)
    return [(max(start, last - step), last) for start, end in reversed(missing) for last in range(end, start, -step)]


async def _asked(tools: Tools, series: Series, part: Range, detail: str) -> dict[str, Any]:
    length = timeframe_ms(series.timeframe)
    arguments = {
        "symbol": series.symbol,
        "exchange": series.exchange,
        "timeframe": series.timeframe,
        "limit": -(-(part[1] - part[0]) // length),
        "detail": detail,
        "as_of": iso(part[1]),
    }
    for _ in range(TRIES - 1):
        with suppress(Retryable):
            return await tools.call("get_ohlcv", arguments)
    return await tools.call("get_ohlcv", arguments)


async def _written(load: Callable[[], Stored], looks: int) -> Stored:
    """Load the candles once the server, which writes in the background, has written them all; look so many times."""
    stored = load()
    for _ in range(looks if stored.missing else 0):
        await anyio.sleep(LOOK_EVERY_S)
        if not (stored := load()).missing:
            break
    return stored


async def _rows(tools: Tools, series: Series, part: Range) -> Candles:
    import numpy as np

    from mcp_server.domain.candles import Candles

    rows = (await _asked(tools, series, part, detail="rows"))["rows"]
    if not rows:
        return Candles.empty()
    times = np.array([row[0].removesuffix("Z") for row in rows], dtype="datetime64[ms]").astype(np.int64)
    values = np.array([row[1:] for row in rows], dtype=np.float64)  # an unknown volume, null, becomes NaN
    return Candles(times, *(np.ascontiguousarray(values[:, column]) for column in range(5))).between(*part)
