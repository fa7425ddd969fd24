"""The candles and fundings of a backtest: which range it covers, and whether they can be had in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from mcp_server.domain.backtest.period import period
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.timeframes import from_ms, iso, timeframe_ms
from mcp_server.errors import BadInput, NotSupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.exchange import Funding
    from mcp_server.market.history import History
    from mcp_server.market.market import Market
    from mcp_server.storage.candles.ranges import Range

DEFAULT_CANDLES = 5_000
"""So many of the latest candles are taken where fewer are stored: they come within seconds from any exchange."""

MOST_CANDLES = 300_000
"""More than these are not computed in time."""

REQUEST_S = 0.3
"""What one request for candles takes, with the exchange's limit on how many there may be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backtest asks for. Times are Unix ms; None leaves them to what is stored.

    `warm_up` is how many candles the rules need before the start. `command` computes the same without a time limit.
    """

    exchange: str
    symbol: str
    timeframe: str
    warm_up: int
    start_ms: int | None
    end_ms: int | None
    now_ms: int
    command: str


@dataclass(frozen=True, slots=True)
class BacktestMaterial:
    """Closed candles, those before the range as warm-up, and the range (Unix ms)."""

    history: History
    start_ms: int
    end_ms: int
    fundings: Sequence[Funding] = ()
    note: str | None = None
    """What a reader must know of the candles."""


async def gather(market: Market, wanted: Wanted, within_s: float) -> BacktestMaterial:
    """Return the candles of the range that is asked for, else of the one that `period` chooses.

    Of the latest candles, which it chooses where little is stored, it takes half as many until they come in time.

    Raises:
        BadInput: there is no such range, or it has no candle.
        NotSupported: it cannot be had within `within_s` seconds; the remedy is the command.
        TraderError: what the exchange answers.
    """
    _check(wanted)
    until = anyio.current_time() + within_s
    known = (await market.known(wanted.exchange, wanted.symbol, wanted.timeframe)).ranges
    count = DEFAULT_CANDLES
    while True:
        span = _period(wanted, known, count)
        missing = _missing(wanted, known, span)
        requests = await market.requests(wanted.exchange, wanted.symbol, wanted.timeframe, missing)
        left_s = until - anyio.current_time()
        if requests * REQUEST_S <= left_s:
            material = await _fetched(market, wanted, span, left_s)
            asked_for_all = wanted.start_ms is None and not missing  # that a series begins is no lack then
            notes = (built_from(material.history) if asked_for_all else material.note, _cut(wanted, material))
            return replace(material, note=" ".join(filter(None, notes)) or None)
        if wanted.start_ms is not None or count < wanted.warm_up:
            lacking = sum(end - start for start, end in missing) // timeframe_ms(wanted.timeframe)
            raise _too_long(wanted, f"{lacking:,} of its candles are not stored, which takes {requests:,} requests")
        count //= 2


def _check(wanted: Wanted) -> None:
    start, end, now = wanted.start_ms, wanted.end_ms, wanted.now_ms
    if start is not None and start >= now:
        raise BadInput(
            f"The start {iso(start)} is in the future: it is {iso(now)}.", "A backtest needs candles that have closed."
        )
    if start is not None and end is not None and end <= start:
        raise BadInput(f"The end {iso(end)} is not after the start {iso(start)}.", "Give a later end, or none.")


def _period(wanted: Wanted, known: Sequence[Range], latest: int) -> Range:
    times = (wanted.now_ms, wanted.timeframe, wanted.start_ms, wanted.end_ms)
    start, end = period(known, *times, warm_up=wanted.warm_up, latest=latest)
    length = timeframe_ms(wanted.timeframe)
    if end - start < 2 * length:
        raise BadInput(
            f"Between {iso(start)} and {iso(end)} there are fewer than two closed {wanted.timeframe} candles.",
            "Choose an earlier start, or a later end.",
        )
    return max(start, end - MOST_CANDLES * length) if wanted.start_ms is None else start, end


def _missing(wanted: Wanted, known: Sequence[Range], span: Range) -> list[Range]:
    from mcp_server.storage.candles.ranges import holes

    start = span[0] - wanted.warm_up * timeframe_ms(wanted.timeframe)
    return holes((max(start, 0), span[1]), known)


async def _fetched(market: Market, wanted: Wanted, span: Range, within_s: float) -> BacktestMaterial:
    start, end = span
    count = (end - start) // timeframe_ms(wanted.timeframe) + wanted.warm_up
    with anyio.move_on_after(within_s):
        history = await market.candles(wanted.exchange, wanted.symbol, wanted.timeframe, count, from_ms(end))
        traded = history.candles.between(start, end)
        if not len(traded):
            raise BadInput(
                f"{history.exchange} has no {wanted.timeframe} candle of {history.symbol} from {iso(start)} to "
                f"{iso(end)}.",
                "Choose another range, exchange or market.",
            )
        if len(traded) > MOST_CANDLES:
            raise _too_long(wanted, f"it has {len(traded):,} candles")
        first = max(start, int(traded.open_time_ms[0]))
        return BacktestMaterial(history, start, end, await settled_fundings(market, history, first, end), history.note)
    raise _too_long(wanted, f"{wanted.exchange} did not send everything in time, though what it sent is kept")


async def settled_fundings(market: Market, history: History, start_ms: int, end_ms: int) -> Sequence[Funding]:
    """Return the settled fundings of a perpetual swap; none where the exchange has no history of them."""
    if not pays_fundings(history.symbol):
        return ()
    try:
        known = await market.fundings(history.exchange, history.symbol, start_ms, end_ms, from_ms(end_ms))
    except NotSupported:
        return ()  # the answer counts those that are missing
    return known.fundings


def built_from(history: History) -> str | None:
    """Say of which shorter candles these are made; None where they are the exchange's own."""
    return f"Built from {history.built_from} candles." if history.built_from else None


def _cut(wanted: Wanted, material: BacktestMaterial) -> str | None:
    """Say that there are earlier candles, which nobody asked to leave out."""
    longest = material.end_ms - material.start_ms == MOST_CANDLES * timeframe_ms(wanted.timeframe)
    if wanted.start_ms is not None or not longest or material.history.candles.open_time_ms[0] >= material.start_ms:
        return None
    return f"Of the latest {MOST_CANDLES:,} candles, as more are not computed in time; of all: {wanted.command}."


def _too_long(wanted: Wanted, why: str) -> NotSupported:
    remedy = f"Run it in a terminal: {wanted.command}. Or choose a later start, or a longer timeframe."
    return NotSupported(f"This backtest takes longer than a call may: {why}.", remedy)
