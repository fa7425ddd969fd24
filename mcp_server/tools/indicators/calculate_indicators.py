from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from mcp_server.answers import NUMBERS, ROWS, Answer, Table, caveats
from mcp_server.domain.chart_lines import ChartLine, chart_lines
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import Timeframe, iso, to_ms
from mcp_server.errors import BadInput
from mcp_server.together import together
from mcp_server.toolkit import AsOf, Call, ExchangeId, check_patience, tool

if TYPE_CHECKING:
    from mcp_server.domain.indicators.spec import Spec
    from mcp_server.market.history import History
    from mcp_server.news.news import News

MOST_VALUES = 20_000
MOST_CANDLES = 10_000

Name = Annotated[str, Field(min_length=1, max_length=60)]
Names = Annotated[list[Name], Field(min_length=1, max_length=10)]


def _split(value: Any) -> Any:
    """Read several symbols in one text: hosts have no plain schema for a text or a list."""
    names = [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else []
    return names if len(names) > 1 else value


Cell = str | float | None
A_LIST = {"type": "array", "items": {"minLength": 0}}
LINES = WithJsonSchema({"type": "array", "items": {"type": "object"}})


class IndicatorTable(Table):
    """Oldest first; null is undefined."""

    symbol: Annotated[str | list[str], WithJsonSchema({"anyOf": [{"type": "string"}, A_LIST]})]
    exchange: str
    timeframe: str
    as_of: str
    age_s: float | None = Field(description="Of the oldest symbol")
    warm_up: Annotated[list[int], NUMBERS] = Field(description="Leading candles without a value")
    candles_used: Annotated[int | list[int], WithJsonSchema({"anyOf": [{"type": "integer"}, A_LIST]})]
    candles_wanted: int = Field(description="For a stable last value")
    note: str | None = None
    simulated: bool | None = None
    layout: Annotated[list[ChartLine], LINES] | None = None
    rows: Annotated[list[list[Cell]], ROWS]

    large: ClassVar[bool] = True
    less: ClassVar[str] = "Lower last, or ask twice."

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Raise an error: to leave out rows would leave out whole symbols."""
        return Answer.shortened(self, values, size)


@tool(title="Indicators", example={"symbol": "BTC/USDT", "indicators": ["rsi(14)", "ema(200)", "bbands(20,2)"]})
async def calculate_indicators(
    call: Call,
    symbol: Annotated[
        Name | Names,
        BeforeValidator(_split),
        WithJsonSchema({"type": "string"}),
        Field(description="Like BTC/USD, or several: BTC/USD,ETH/USD"),
    ],
    indicators: Annotated[
        list[Annotated[str, Field(max_length=200)]],
        Field(min_length=1, max_length=30, description="Specs: rsi(14), ema(50) of volume, macd(12,26,9).hist"),
    ],
    timeframe: Timeframe = "1h",
    last: Annotated[int, Field(ge=1, le=1000, description="Candles")] = 1,
    layout: Annotated[bool, Field(description="Add how to draw them")] = False,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> IndicatorTable:
    """Calculate any indicators at the last closed candles of one or several markets, in one table.

    Ask for all you need at once. find_indicators has names and parameters.
    """
    symbols = [symbol] if isinstance(symbol, str) else symbol
    specs = await call.bounded(_specs, indicators)
    lines = await call.bounded(chart_lines, specs) if layout else None
    columns = ["open_time", "close", *(column for spec in specs for column in spec.columns)]
    if (values := len(symbols) * last * len(columns)) > MOST_VALUES:
        raise BadInput(f"That is {values} values; one answer holds at most {MOST_VALUES}.", "Lower last, or ask twice.")
    moment, exchange_id = call.moment(as_of), call.exchange(exchange)
    wanted = max(spec.candles_wanted(timeframe) for spec in specs)
    count = min(wanted + last - 1, MOST_CANDLES)
    candles = call.kit.market.candles
    histories = await together(*(partial(candles, exchange_id, name, timeframe, count, moment) for name in symbols))
    rows, lacking = await call.bounded(_rows, call.kit.news, specs, histories, last)
    return IndicatorTable(
        symbol=histories[0].symbol if isinstance(symbol, str) else [history.symbol for history in histories],
        exchange=exchange_id,
        timeframe=timeframe,
        as_of=iso(to_ms(moment)),
        age_s=max((history.age_s for history in histories if history.age_s is not None), default=None),
        warm_up=[spec.warm_up for spec in specs],
        candles_used=len(histories[0].candles) if isinstance(symbol, str) else [len(h.candles) for h in histories],
        candles_wanted=count,
        note=_note(specs, histories, lacking),
        simulated=histories[0].simulated or None,
        layout=lines,
        columns=columns if isinstance(symbol, str) else ["symbol", *columns],
        rows=[row[1:] for row in rows] if isinstance(symbol, str) else rows,
    )


def _specs(texts: list[str]) -> tuple[Spec, ...]:
    from mcp_server.domain.indicators.parse import parse_specs

    return parse_specs(texts, check_patience)


def _rows(
    news: News, specs: Sequence[Spec], histories: Sequence[History], last: int
) -> tuple[list[list[Cell]], list[str]]:
    """Compute the table: of each symbol its last rows, which begin with symbol, open time and close.

    With it comes why news is undefined in these rows.
    """
    from mcp_server.domain.candles import iso_times
    from mcp_server.domain.indicators.compute import compute
    from mcp_server.domain.indicators.from_news import news_wanted
    from mcp_server.news.for_rules import with_news

    rows, lacking = list[list[Cell]](), list[str]()
    for history in histories:
        candles = with_news(news, history.candles, history.timeframe, history.symbol, news_wanted(specs))
        start = max(len(candles) - last, 0)
        values = [column[start:].tolist() for column in compute(specs, candles, check_patience).values()]
        shown = candles.slice(start, len(candles))
        lacking += [given.why for given in shown.given.values() if any(map(isnan, given.values))]
        for time, close, *row in zip(iso_times(shown), shown.close.tolist(), *values, strict=True):
            rows.append([history.symbol, time, close, *map(_ten_digits, row)])
    return rows, lacking


def _ten_digits(value: float) -> float | None:
    """Round to ten significant digits, more than an indicator is good for; NaN is undefined."""
    return None if isnan(value) else significant(value, 10)


def _note(specs: Sequence[Spec], histories: Sequence[History], lacking: Sequence[str]) -> str | None:
    """Join what a reader must know about the candles, the indicators, and the news that is undefined."""
    several = len(histories) > 1
    notes = [f"{h.symbol}: {h.note}" if several else h.note for h in histories if h.note]
    return " ".join([*notes, *caveats(specs), *dict.fromkeys(lacking)]) or None
