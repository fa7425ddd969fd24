"""The tool get_ohlcv."""

from typing import Annotated

from pydantic import Field

from mcp_server.domain.timeframes import iso
from mcp_server.toolkit import AsOf, Call, CandleTimeframe, ExchangeId, HistoryAnswer, Symbol, Table, about, tool


class Ohlcv(HistoryAnswer, Table):
    """Closed candles, oldest first. Times are open times; prices in quote, volume in base."""

    rows: list[tuple[str, float, float, float, float, float]]


@tool(title="Candles")
async def get_ohlcv(
    call: Call,
    symbol: Symbol,
    timeframe: CandleTimeframe = "1h",
    limit: Annotated[int, Field(ge=1, le=10_000, description="Candles wanted")] = 50,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Ohlcv:
    """Get a market's last closed candles (open, high, low, close, volume). The forming candle is never among them.

    For an indicator's value use the calculate_ tools: they fetch the candles themselves.
    """
    moment = call.moment(as_of)
    history = await call.kit.market.candles(call.exchange(exchange), symbol, timeframe, limit, moment)
    candles = history.candles
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    times = [iso(int(at)) for at in candles.open_time_ms]
    return Ohlcv(
        **about(history),
        columns=["open_time", "open", "high", "low", "close", "volume"],
        rows=list(zip(times, *(column.tolist() for column in columns), strict=True)),
    )
