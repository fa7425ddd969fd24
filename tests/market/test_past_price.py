"""A price of the past is the last close by then, and never the close of a candle that others may have followed."""

from datetime import timedelta

import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms, to_ms
from mcp_server.errors import NotSupported, UpstreamRejected
from mcp_server.market.market import Market
from mcp_server.storage.candles.store import CandleStore, Series
from tests.market.scripted_exchange import NOON, ScriptedExchange

MOMENT = NOON - timedelta(days=2, minutes=-30)
HOUR = TIMEFRAMES["1h"]
STALE = 5.0


def keep(store: CandleStore, timeframe: str, hours_before: int, known_hours_before: int | None = None) -> None:
    """Store a day of candles, the last of which closed so many hours before the hour of MOMENT began."""
    length = TIMEFRAMES[timeframe]
    end = to_ms(MOMENT) // length * length - hours_before * HOUR
    begin = end - 24 * HOUR // length * length
    rows = [(at, STALE, STALE, STALE, STALE, 1.0) for at in range(begin, end, length)]
    known = end if known_hours_before is None else end + (hours_before - known_hours_before) * HOUR
    store.save(Series("scripted", "BTC/USD", timeframe), Candles.from_rows(rows), (begin, known))


@pytest.mark.parametrize("hours", [1, 2, 12, 50])
async def test_a_stored_close_that_others_may_have_followed_is_no_price(
    market: Market, exchange: ScriptedExchange, store: CandleStore, hours: int
) -> None:
    keep(store, "1h", hours)
    exchange.refuses = True
    with pytest.raises(UpstreamRejected, match="refuses"):
        await market.price("scripted", "BTC/USD", MOMENT)


async def test_it_is_the_exchange_that_tells_what_followed(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    keep(store, "1h", 3)
    price = await market.price("scripted", "BTC/USD", MOMENT)
    assert price.price != STALE
    assert from_ms(price.price_time_ms) == MOMENT.replace(minute=0)


async def test_a_stored_close_that_is_known_to_be_the_last_is_the_price(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    """Nothing was traded after it, as the store knows."""
    keep(store, "1h", 3, known_hours_before=0)
    exchange.refuses = True
    price = await market.price("scripted", "BTC/USD", MOMENT)
    assert (price.price, price.basis) == (STALE, "close of the last 1h candle")
    assert from_ms(price.price_time_ms) == MOMENT.replace(minute=0) - timedelta(hours=3)


async def test_of_two_stored_closes_the_later_is_the_price_and_a_stale_one_counts_not(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    keep(store, "1d", 0)
    keep(store, "1h", 2)
    exchange.refuses = True
    price = await market.price("scripted", "BTC/USD", MOMENT)
    assert (price.basis, from_ms(price.price_time_ms)) == (
        "close of the last 1d candle",
        MOMENT.replace(hour=0, minute=0),
    )


async def test_a_close_from_long_before_is_no_price(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    keep(store, "1h", 70, known_hours_before=0)
    exchange.served = ["1h"]
    exchange.first = to_ms(NOON)
    with pytest.raises(NotSupported, match="There is no price of"):
        await market.price("scripted", "BTC/USD", MOMENT)
