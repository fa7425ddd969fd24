"""Fetches what a backtest needs and the store lacks, over MCP: the tool server keeps what it fetches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from mcp_server.domain.timeframes import iso, timeframe_ms
from mcp_server.errors import Retryable, root
from runner.backtest.stored import load

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import CandleStore, Series, Stored
    from runner.tool_server.client import Tools

PAGE = 3_000
"""Candles a call: what the server fetches and keeps at a time."""

ROWS = 800
"""Candles a call where they arrive as rows: so many fit into an answer."""

AT_A_TIME = 4
TRIES = 3
"""How often a page is asked for that could not be had in time; what has arrived of it is kept meanwhile."""

PAUSE_S, MOST_PAUSES = 2.0, 60
"""How long it waits where a server refuses more calls, and how often."""

LOOK_EVERY_S, LOOKS = 0.1, 50
"""How often, and how many times, the store is looked at until the server has written what it fetched."""

Tell = Callable[[int, int], None]
"""Called with the number of candles that are there, and that there will be."""

T = TypeVar("T")
U = TypeVar("U")


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
        await _each(others, partial(_asked, tools, series, detail="summary"), arrived)
    stored = await _written(partial(load, store, series, wanted, built_from), 0 if simulated else LOOKS)
    parts = await _each(pages(stored.missing, ROWS, series.timeframe), partial(_rows, tools, series), arrived)
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


async def _each(parts: Sequence[T], ask: Callable[[T], Awaitable[U]], arrived: Callable[[T], None]) -> list[U]:
    """Ask for each part, several at a time; the first error ends all.

    A server may refuse a call because so many are running, or were begun in a minute: then fewer are asked for at a
    time, at last one after a pause.
    """
    from mcp.shared.exceptions import MCPError

    answers: dict[int, U] = {}
    waiting = list(enumerate(parts))
    asking, pauses = 0, 0

    async def work() -> None:
        nonlocal asking, pauses
        asking += 1
        while waiting:
            position, part = waiting.pop(0)
            try:
                answers[position] = await ask(part)
            except MCPError:
                waiting.insert(0, (position, part))
                if asking > 1:
                    break
                pauses += 1
                if pauses > MOST_PAUSES:
                    raise
                await anyio.sleep(PAUSE_S)
            else:
                arrived(part)
        asking -= 1

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(AT_A_TIME, len(waiting))):
                tasks.start_soon(work)
    except BaseExceptionGroup as group:
        raise root(group) from None
    return [answers[position] for position in range(len(parts))]
