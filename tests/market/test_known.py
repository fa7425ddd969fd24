"""Which candles can be had without asking the exchange, and how many requests the others take."""

from datetime import timedelta

from mcp_server.domain.timeframes import TIMEFRAMES, to_ms
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.storage.candles.store import CandleStore, Series
from tests.market.scripted_exchange import NOON, ScriptedExchange

HOUR = TIMEFRAMES["1h"]
NOON_MS = to_ms(NOON)


async def known(market: Market, timeframe: str = "1h") -> list[tuple[int, int]]:
    return list((await market.known("scripted", "BTC/USD", timeframe)).ranges)


async def test_what_was_fetched_is_known_and_asks_nobody_again(market: Market, exchange: ScriptedExchange) -> None:
    exchange.now = NOON + timedelta(minutes=17)
    assert await known(market) == []
    await market.candles("scripted", "BTC/USD", "1h", 5, exchange.now)
    exchange.reachable = False
    assert await known(market) == [(NOON_MS - 5 * HOUR, NOON_MS)]


async def test_longer_candles_are_known_where_shorter_ones_build_them(
    market: Market, exchange: ScriptedExchange, store: CandleStore, candle_cache: CandleCache
) -> None:
    exchange.now = NOON + timedelta(minutes=17)
    await market.candles("scripted", "BTC/USD", "1h", 6, exchange.now)
    await candle_cache.flush()
    assert await known(market, "4h") == [(NOON_MS - 4 * HOUR, NOON_MS)], "the exchange has no 4h itself: of whole ones"
    assert await known(market, "1d") == [], "it has 1d itself"
    made = (await market.candles("scripted", "BTC/USD", "1h", 30, exchange.now)).candles
    await candle_cache.flush()
    store.save(Series("scripted", "BTC/USD", "1h"), made, (int(made.open_time_ms[0]), NOON_MS), begins=True)
    assert await known(market) == [(0, NOON_MS)], "an imported series begins with its file"
    assert await known(market, "1d") == [(0, NOON_MS - 12 * HOUR)]


async def test_requests_are_counted_as_the_exchange_pages_them(market: Market, exchange: ScriptedExchange) -> None:
    missing = [(0, 1_500 * HOUR), (9_000 * HOUR, 9_001 * HOUR)]
    assert await market.requests("scripted", "BTC/USD", "1h", missing) == 3
    assert await market.requests("scripted", "BTC/USD", "4h", missing) == 3, "4h candles are built from 1h ones"
    exchange.reachable = False
    assert await market.requests("scripted", "BTC/USD", "1h", []) == 0
