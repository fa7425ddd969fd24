from typing import Annotated, Literal

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import HistoryAnswer, about, last_value
from mcp_server.domain.timeframes import Timeframe, iso
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool


class Rsi(HistoryAnswer):
    """Null during warm-up."""

    period: int
    rsi: float | None
    overbought: bool | None = Field(description="Above 70")
    oversold: bool | None = Field(description="Below 30")
    trend: Literal["bullish", "bearish", "neutral"] | None = Field(description="Above or below 50")
    open_time: str | None
    close: float | None
    candles_used: int


@tool(title="RSI", example={"symbol": "BTC/USDT"})
async def calculate_rsi(
    call: Call,
    symbol: Symbol,
    period: Annotated[int, Field(ge=2, le=400, description="Candles")] = 14,
    timeframe: Timeframe = "1h",
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Rsi:
    """Calculate the RSI (Wilder) of a market's last closed candle, with overbought, oversold and trend."""
    from mcp_server.domain.indicators.compute import compute
    from mcp_server.domain.indicators.parse import parse_spec

    spec = await anyio.to_thread.run_sync(parse_spec, f"rsi({period})")
    moment = call.moment(as_of)
    history = await call.kit.market.candles(call.exchange(exchange), symbol, timeframe, spec.history, moment)
    candles = history.candles
    rsi = last_value((await anyio.to_thread.run_sync(compute, [spec], candles))[spec.columns[0]])
    return Rsi(
        **about(history),
        period=period,
        rsi=rsi,
        overbought=None if rsi is None else rsi > 70,
        oversold=None if rsi is None else rsi < 30,
        trend=None if rsi is None else "bullish" if rsi > 50 else "bearish" if rsi < 50 else "neutral",
        open_time=iso(int(candles.open_time_ms[-1])) if len(candles) else None,
        close=last_value(candles.close),
        candles_used=len(candles),
    )
