from typing import Annotated, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import HistoryAnswer, about, last_value
from mcp_server.domain.timeframes import Timeframe, iso
from mcp_server.errors import BadInput
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

Period = Annotated[int, Field(ge=2, le=400)]


class Macd(HistoryAnswer):
    """In quote; null during warm-up."""

    macd: float | None
    signal: float | None
    histogram: float | None
    position: Literal["above", "below", "equal"] | None = Field(description="macd against signal")
    crossover: Literal["bullish", "bearish", "none"] = Field(description="At the last closed candle")
    last_crossover: Literal["bullish", "bearish"] | None = None
    last_crossover_time: str | None = None
    candles_since_crossover: int | None = None
    open_time: str | None
    close: float | None
    candles_used: int


@tool(title="MACD", example={"symbol": "BTC/USDT"})
async def calculate_macd(
    call: Call,
    symbol: Symbol,
    fast: Period = 12,
    slow: Period = 26,
    signal: Annotated[int, Field(ge=1, le=400)] = 9,
    timeframe: Timeframe = "1h",
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Macd:
    """Calculate the MACD of a market's last closed candle, and when it crossed its signal line.

    Periods are in candles.
    """
    from mcp_server.domain.indicators.compute import compute
    from mcp_server.domain.indicators.crossover import last_crossover
    from mcp_server.domain.indicators.parse import parse_spec

    if fast >= slow:
        raise BadInput(f"fast ({fast}) must be smaller than slow ({slow}).", "Use values like 12 and 26.")
    spec = await anyio.to_thread.run_sync(parse_spec, f"macd({fast},{slow},{signal})")
    moment = call.moment(as_of)
    history = await call.kit.market.candles(call.exchange(exchange), symbol, timeframe, spec.history, moment)
    candles = history.candles
    columns = await anyio.to_thread.run_sync(compute, [spec], candles)
    macd, line, histogram = (columns[name] for name in spec.columns)
    crossing = last_crossover(macd, line)
    since = None if crossing is None else len(candles) - 1 - crossing.position
    now, line_now = last_value(macd), last_value(line)
    above = None if now is None or line_now is None else now - line_now
    return Macd(
        **about(history),
        macd=now,
        signal=line_now,
        histogram=last_value(histogram),
        position=None if above is None else "above" if above > 0 else "below" if above < 0 else "equal",
        crossover=crossing.direction if crossing and since == 0 else "none",
        last_crossover=crossing.direction if crossing else None,
        last_crossover_time=iso(int(candles.open_time_ms[crossing.position])) if crossing else None,
        candles_since_crossover=since,
        open_time=iso(int(candles.open_time_ms[-1])) if len(candles) else None,
        close=last_value(candles.close),
        candles_used=len(candles),
    )
