"""What records are compared with: the candles of their markets, what rules said, and how sub-agents leaned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import numpy as np

from mcp_server.domain.rules.series import BUY, HOLD, SELL, UNDECIDED
from mcp_server.domain.scoring.base_rate import LEAST_MOMENTS
from mcp_server.domain.scoring.held_fundings import held_fundings
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import from_ms, timeframe_ms
from mcp_server.errors import TraderError
from mcp_server.scoring.series import series_for
from mcp_server.storage.candles.ranges import joined
from mcp_server.storage.candles.store import Series
from mcp_server.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_server.domain.candles import Candles, Floats
    from mcp_server.domain.exchange import Funding
    from mcp_server.domain.rules.series import Codes
    from mcp_server.domain.scoring.score import Record
    from mcp_server.domain.scoring.signals import JudgedSignals
    from mcp_server.market.market import Market
    from mcp_server.scoring.series import Allowance
    from mcp_server.storage.candles.ranges import Range

HORIZONS = 400
"""What is known of a market before the first entry covers so many horizons: moments that overlap say the same twice,
and from fewer the base rate is too uncertain for skill to show."""

MOST_BEFORE = 20_000
"""No more candles than this are looked at before the first entry."""

CODES = {"BUY": BUY, "SELL": SELL, "HOLD": HOLD}


@dataclass(frozen=True, slots=True, eq=False)
class MarketControl:
    """The candles of a record's market and, by horizon, what a long position paid for fundings; None on spot.

    Without candles, `why` says why they are not known.
    """

    candles: Candles | None
    fundings: Mapping[int, Floats] | None = None
    why: str | None = None


def span(record: Record) -> Range | None:
    """Return the open times that a record is compared with; None for one that has nothing judged."""
    signals = record.judged.pick(record.judged.directed)
    if not len(signals):
        return None
    length = timeframe_ms(record.terms.timeframe)
    horizon = int((signals.exit_ms - signals.entry_ms).max()) // length
    before = min(max(LEAST_MOMENTS, HORIZONS * horizon), MOST_BEFORE) + horizon
    return max(int(signals.entry_ms.min()) - before * length, 0), int(signals.exit_ms.max())


async def market_controls(
    market: Market, records: Sequence[Record], as_of_ms: int, allowance: Allowance
) -> list[MarketControl]:
    """Return for each record what is known of its market; each series is gathered once."""
    spans = [span(record) for record in records]
    wanted: dict[Series, list[Range]] = {}
    for record, part in zip(records, spans, strict=True):
        if part is not None:
            series = series_of(record)
            wanted[series] = list(joined(wanted.get(series, ()), part))
    work = [partial(_gathered, market, series, ranges, as_of_ms, allowance) for series, ranges in wanted.items()]
    gathered = dict(zip(wanted, await together(*work), strict=True))
    return [
        MarketControl(None) if part is None else gathered[series_of(record)].of(record, part)
        for record, part in zip(records, spans, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _SeriesControl:
    """What is known of one series; `fundings` None where none are paid."""

    candles: Candles
    ranges: Sequence[Range]
    why: str | None
    fundings: Sequence[Funding] | None

    def of(self, record: Record, part: Range) -> MarketControl:
        """Return what one record is compared with, if all of its own time is known."""
        first = int(record.judged.entry_ms[record.judged.directed].min())
        known = next((start for start, end in self.ranges if start <= first and part[1] <= end), None)
        if known is None:
            return MarketControl(None, why=self.why or "the exchange has not sent its candles yet")
        candles = self.candles.between(max(part[0], known), part[1])
        if self.fundings is None:
            return MarketControl(candles)
        return MarketControl(candles, _paid(candles, record, self.fundings))


def _paid(candles: Candles, record: Record, fundings: Sequence[Funding]) -> dict[int, Floats]:
    """Return by horizon what a long position paid that was entered at each candle."""
    judged, times = record.judged, candles.open_time_ms
    horizons = set((judged.exit_ms - judged.entry_ms)[judged.directed].tolist())
    return {h: held_fundings(candles, record.terms.timeframe, fundings, times, times + h) for h in horizons}


def series_of(record: Record) -> Series:
    """Return the candles by which a record is judged."""
    return Series(record.terms.exchange, record.terms.symbol, record.terms.timeframe)


async def _gathered(
    market: Market, series: Series, ranges: list[Range], as_of_ms: int, allowance: Allowance
) -> _SeriesControl:
    gathered = await series_for(market, series, ranges, as_of_ms, allowance)
    why = None if gathered.problem is None else cleaned(gathered.problem.problem, 200).rstrip(".")
    if gathered.cut:
        why = "there was no time for its candles yet, and the next call goes on from here"
    if not pays_fundings(gathered.symbol) or not len(gathered.candles):
        return _SeriesControl(gathered.candles, gathered.ranges, why, None)
    first, last = int(gathered.candles.open_time_ms[0]), ranges[-1][1]
    try:
        with anyio.fail_after(max(allowance.left_s, 0)):
            history = await market.fundings(series.exchange, gathered.symbol, first, last, from_ms(as_of_ms))
    except TraderError as error:
        return _SeriesControl(gathered.candles, (), cleaned(error.problem, 200).rstrip("."), None)
    except TimeoutError:
        return _SeriesControl(gathered.candles, (), "there was no time for its fundings yet", None)
    return _SeriesControl(gathered.candles, gathered.ranges, why, history.fundings)


def codes_at(judged: JudgedSignals, stated: Mapping[int, str]) -> Codes:
    """Return the code of what was stated beside each judged signal; UNDECIDED where nothing was."""
    codes = [CODES.get(stated.get(execution_id, ""), UNDECIDED) for execution_id in judged.execution_id.tolist()]
    return np.array(codes, dtype=np.int8)
