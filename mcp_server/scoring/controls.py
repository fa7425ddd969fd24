"""What records are compared with: the candles of their markets, what rules said, and how sub-agents leaned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import numpy as np

from mcp_server.domain.candles import merge
from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED
from mcp_server.domain.scoring.base_rate import moments_before
from mcp_server.domain.scoring.held_fundings import held_fundings
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import from_ms, timeframe_ms
from mcp_server.errors import TraderError
from mcp_server.market.ranges import without
from mcp_server.scoring.series import series_for
from mcp_server.storage.candles.ranges import joined
from mcp_server.storage.candles.store import Series
from mcp_server.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_server.domain.candles import Candles, Floats
    from mcp_server.domain.exchange import Funding
    from mcp_server.domain.rules.series import Codes
    from mcp_server.domain.scoring.record import Record
    from mcp_server.domain.scoring.signals import JudgedSignals
    from mcp_server.market.market import Market
    from mcp_server.scoring.series import Allowance, Gathered
    from mcp_server.storage.candles.ranges import Range

CODES = {"BUY": BUY, "SELL": SELL, "HOLD": HOLD}


@dataclass(frozen=True, slots=True, eq=False)
class MarketControl:
    """The candles of a record's market and, by horizon, what a long position paid for fundings; None on spot.

    `why` says why the candles are not known or, where there are some, why earlier ones are missing.
    """

    candles: Candles | None
    fundings: Mapping[int, Floats] | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class RecordSpan:
    """The open times that a record is compared with: those it was held in, and those before its first entry."""

    begin: int
    first_entry: int
    end: int

    @classmethod
    def of(cls, record: Record) -> RecordSpan | None:
        """Return the span of a record; None for one that has nothing judged."""
        signals = record.judged.pick(record.judged.directed)
        if not len(signals):
            return None
        length = timeframe_ms(record.terms.timeframe)
        horizon = int((signals.exit_ms - signals.entry_ms).max()) // length
        before = moments_before(horizon) + horizon
        first = int(signals.entry_ms.min())
        return cls(max(first - before * length, 0), first, int(signals.exit_ms.max()))


async def market_controls(
    market: Market, records: Sequence[Record], as_of_ms: int, allowance: Allowance
) -> list[MarketControl]:
    """Return for each record what is known of its market; each series is gathered once."""
    spans = [RecordSpan.of(record) for record in records]
    of_series: dict[Series, list[RecordSpan]] = {}
    for record, span in zip(records, spans, strict=True):
        if span is not None:
            of_series.setdefault(series_of(record), []).append(span)
    work = [partial(_gathered, market, series, some, as_of_ms, allowance) for series, some in of_series.items()]
    gathered = dict(zip(of_series, await together(*work), strict=True))
    return [
        MarketControl(None) if span is None else gathered[series_of(record)].of(record, span)
        for record, span in zip(records, spans, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _SeriesControl:
    """What is known of one series; `fundings` None where none are paid."""

    candles: Candles
    ranges: Sequence[Range]
    why: str | None
    fundings: Sequence[Funding] | None

    def of(self, record: Record, span: RecordSpan) -> MarketControl:
        """Return what one record is compared with, if all of its own time is known."""
        known = next((start for start, end in self.ranges if start <= span.first_entry and span.end <= end), None)
        if known is None:
            return MarketControl(None, why=self.why or "the exchange has not sent its candles yet")
        candles = self.candles.between(max(span.begin, known), span.end)
        fundings = None if self.fundings is None else _paid(candles, record, self.fundings)
        return MarketControl(candles, fundings, self.why if known > span.begin else None)


def _paid(candles: Candles, record: Record, fundings: Sequence[Funding]) -> dict[int, Floats]:
    """Return by horizon what a long position paid that was entered at each candle."""
    judged, times = record.judged, candles.open_time_ms
    horizons = set((judged.exit_ms - judged.entry_ms)[judged.directed].tolist())
    return {h: held_fundings(candles, record.terms.timeframe, fundings, times, times + h) for h in horizons}


def series_of(record: Record) -> Series:
    """Return the candles by which a record is judged."""
    return Series(record.terms.exchange, record.terms.symbol, record.terms.timeframe)


async def _gathered(
    market: Market, series: Series, spans: Sequence[RecordSpan], as_of_ms: int, allowance: Allowance
) -> _SeriesControl:
    """Gather the time of the records first: without it there is no base rate, without what is before less evidence."""
    own: tuple[Range, ...] = ()
    for span in spans:
        own = joined(own, (span.first_entry, span.end))
    whole = own
    for span in spans:
        whole = joined(whole, (span.begin, span.end))
    held = await series_for(market, series, own, as_of_ms, allowance)
    before = [] if _why(held) else without(list(whole), list(own))
    earlier = await series_for(market, series, before, as_of_ms, allowance)
    candles = merge([held.candles, earlier.candles])
    ranges: tuple[Range, ...] = ()
    for part in (*held.ranges, *earlier.ranges):
        ranges = joined(ranges, part)
    why = _why(held) or _why(earlier)
    if not pays_fundings(held.symbol) or not len(candles):
        return _SeriesControl(candles, ranges, why, None)
    first, last = int(candles.open_time_ms[0]), whole[-1][1]
    try:
        with anyio.fail_after(allowance.left_s):
            history = await market.fundings(series.exchange, held.symbol, first, last, from_ms(as_of_ms))
    except TraderError as error:
        return _SeriesControl(candles, (), cleaned(error.problem, 200).rstrip("."), None)
    except TimeoutError:
        return _SeriesControl(candles, (), "there was no time for its fundings yet", None)
    return _SeriesControl(candles, ranges, why, history.fundings)


def _why(gathered: Gathered) -> str | None:
    """Say why some candles are not known; None where all are."""
    if gathered.problem is not None:
        return cleaned(gathered.problem.problem, 200).rstrip(".")
    return "there was no time for its candles yet, and the next call goes on from here" if gathered.cut else None


def codes_at(judged: JudgedSignals, stated: Mapping[int, str]) -> Codes:
    """Return the code of what was stated beside each judged signal; UNDECIDED where nothing was."""
    codes = [CODES.get(stated.get(execution_id, ""), UNDECIDED) for execution_id in judged.execution_id.tolist()]
    return np.array(codes, dtype=np.int8)
