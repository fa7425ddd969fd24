from __future__ import annotations

from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from mcp_server.answers import MOST_BYTES, NUMBERS, ROW, ROWS, HistoryAnswer, Table, about
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import Timeframe, iso
from mcp_server.together import together
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.market.history import History
    from mcp_server.market.market import Forming

Row = tuple[str, float, float, float, float, float | int | None]

COLUMNS = ["open_time", "open", "high", "low", "close", "volume"]
MOST_GAPS = 50
LAST_CLOSES = 10

MOST_ROWS = MOST_BYTES // len('["2026-01-01T00:00Z",1.0,1.0,1.0,1.0,1],')
"""So many rows fill an answer, however short they are: to write 10,000 takes four times as long."""


class Summary(BaseModel):
    """Volatility: log returns, ddof 1, year of 365 days; drawdown of closes."""

    candles: int
    open_time: str
    last_open_time: str
    open: float
    high: float
    high_time: str
    low: float
    low_time: str
    close: float
    return_pct: float | None = Field(description="First open to last close")
    volatility_pct: float | None
    max_drawdown_pct: float | None
    volume: float | None
    last_closes: Annotated[list[float], NUMBERS]
    """Oldest first."""


class FormingCandle(BaseModel):
    """Still changing."""

    row: Annotated[Row, ROW]
    observed_at: str


class Ohlcv(HistoryAnswer, Table):
    """Oldest first. Prices in quote, volume in base to four digits."""

    rows: Annotated[list[Row], ROWS] | None = None
    summary: Summary | None = None
    gaps: Annotated[list[tuple[str, int]], ROWS] | None = Field(default=None, description="First missing, how many")
    missing: int | None = None
    """In all gaps."""
    built_from: str | None = None
    """The shorter timeframe."""
    forming: FormingCandle | None = None

    large: ClassVar[bool] = True
    keeps_last: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the candles before the first one that fits."""
        return f"Those before it: as_of={kept[0][0]!r}. Longer candles span more time."


@tool(title="Candles", example={"symbol": "BTC/USDT"})
async def get_ohlcv(
    call: Call,
    symbol: Symbol,
    timeframe: Timeframe = "1h",
    limit: Annotated[int, Field(ge=1, le=10_000, description="Candles")] = 50,
    detail: Annotated[
        Literal["rows", "summary"], Field(description="summary: range, return, volatility, volume")
    ] = "rows",
    include_forming: Annotated[bool, Field(description="Add the changing candle, apart")] = False,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Ohlcv:
    """Get a market's last closed candles (open, high, low, close, volume), never the forming one.

    Use detail="summary" when a few figures will do, and the calculate_ tools for indicators.
    """
    from mcp_server.domain.candles import gaps

    moment, exchange_id, market = call.moment(as_of), call.exchange(exchange), call.kit.market
    closed = partial(market.candles, exchange_id, symbol, timeframe, limit, moment)
    forming: Forming | None = None
    if include_forming:
        history, forming = await together(closed, partial(market.forming, exchange_id, symbol, timeframe, moment))
    else:
        history = await closed()
    missing = gaps(history.candles, timeframe)
    rows = rows_of(history.candles.slice(max(0, len(history.candles) - MOST_ROWS))) if detail == "rows" else None
    changing = rows_of(forming.candle) if forming else []
    facts = about(history)
    if include_forming and not changing:
        facts["note"] = " ".join(filter(None, [history.note, "Nothing was traded yet in the candle that is forming."]))
    return Ohlcv(
        **facts,
        rows=rows,
        columns=None if rows is None else COLUMNS,
        unwritten=0 if rows is None else len(history.candles) - len(rows),
        summary=_summary(history) if detail == "summary" else None,
        gaps=[(iso(at), count) for at, count in missing[:MOST_GAPS]] or None,
        missing=sum(count for _, count in missing) or None,
        built_from=history.built_from,
        forming=FormingCandle(row=changing[-1], observed_at=iso(forming.observed_at_ms))
        if forming and changing
        else None,
    )


def rows_of(candles: Candles) -> list[Row]:
    """Write candles as rows; prices as they are, volume to four significant digits, which is what a reader compares."""
    from mcp_server.domain.candles import iso_times

    prices = (column.tolist() for column in (candles.open, candles.high, candles.low, candles.close))
    volume = [_four_digits(value) for value in candles.volume.tolist()]
    return list(zip(iso_times(candles), *prices, volume, strict=True))


def _four_digits(value: float) -> float | int | None:
    """Round to four significant digits; a whole number needs no decimal point, and NaN is not known."""
    if isnan(value):
        return None
    short = significant(value, 4)
    return int(short) if short.is_integer() else short


def _summary(history: History) -> Summary | None:
    from mcp_server.domain.summary import summarise

    seen = summarise(history.candles, history.timeframe)
    if seen is None:
        return None
    return Summary(
        candles=len(history.candles),
        open_time=iso(seen.open_ms),
        last_open_time=iso(seen.last_ms),
        open=seen.open,
        high=seen.high,
        high_time=iso(seen.high_ms),
        low=seen.low,
        low_time=iso(seen.low_ms),
        close=seen.close,
        return_pct=_short(seen.return_pct),
        volatility_pct=_short(seen.volatility_pct),
        max_drawdown_pct=_short(seen.max_drawdown_pct),
        volume=None if seen.volume is None else significant(seen.volume),
        last_closes=history.candles.close[-LAST_CLOSES:].tolist(),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else significant(value)
