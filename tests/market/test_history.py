"""The market: from the store where it knows, else from the exchange, and never anything later than the as-of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms, to_ms
from mcp_server.errors import NotSupported, Retryable, UpstreamRejected
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.market import Market
from mcp_server.storage.candles.store import CandleStore, Series
from tests.market.scripted_exchange import NOON, ScriptedExchange, market_on
from tests.storage.test_database import held_by_a_shell

HOUR = TIMEFRAMES["1h"]
SERIES = Series("scripted", "BTC/USD", "1h")


async def closes(market: Market, count: int, as_of: datetime, timeframe: str = "1h") -> list[float]:
    history = await market.candles("scripted", "BTC/USD", timeframe, count, as_of)
    values: list[float] = history.candles.close.tolist()
    return values


async def test_candles_are_fetched_once_and_then_come_from_the_store(
    market: Market, exchange: ScriptedExchange
) -> None:
    first = await closes(market, 5, exchange.now)
    asked = list(exchange.requests)
    assert await closes(market, 5, exchange.now) == first == [464.0, 465.0, 466.0, 467.0, 468.0]
    assert exchange.requests == asked
    exchange.reachable = False
    assert await closes(market, 3, NOON - timedelta(hours=1)) == [465.0, 466.0, 467.0]


async def test_only_what_is_missing_is_asked_for(market: Market, exchange: ScriptedExchange) -> None:
    exchange.now = NOON + timedelta(minutes=17)
    await closes(market, 5, NOON)
    exchange.now += timedelta(hours=2)
    exchange.requests.clear()
    assert await closes(market, 10, exchange.now) == [float(number) for number in range(461, 471)]
    assert exchange.requests == [("candles 1h", 2), ("candles 1h", 3)], "the newest first"


async def test_the_forming_candle_is_neither_answered_nor_kept(
    market: Market, candle_cache: CandleCache, exchange: ScriptedExchange, store: CandleStore
) -> None:
    exchange.now = NOON + timedelta(minutes=17)
    history = await market.candles("scripted", "BTC/USD", "1h", 2, exchange.now)
    assert from_ms(int(history.candles.open_time_ms[-1])) == NOON - timedelta(hours=1)
    await candle_cache.flush()
    kept = store.load(SERIES, (0, to_ms(NOON) + 9 * HOUR))
    assert kept.candles.close.tolist() == [467.0, 468.0]
    assert kept.missing[-1][0] == to_ms(NOON)


async def test_a_candle_that_is_published_late_is_asked_for_again(market: Market, exchange: ScriptedExchange) -> None:
    exchange.unpublished = 2
    history = await market.candles("scripted", "BTC/USD", "1h", 3, exchange.now)
    assert history.candles.close.tolist() == [466.0, 467.0]
    assert history.note is not None
    assert history.note.startswith("2 of 3 candles")
    exchange.unpublished = 0
    assert await closes(market, 3, exchange.now) == [466.0, 467.0, 468.0]


async def test_a_candle_that_never_came_is_a_gap_for_good(market: Market, exchange: ScriptedExchange) -> None:
    exchange.missing = {to_ms(NOON) - 3 * HOUR}
    assert await closes(market, 4, NOON) == [465.0, 467.0, 468.0]
    asked = len(exchange.requests)
    assert await closes(market, 4, NOON) == [465.0, 467.0, 468.0]
    assert len(exchange.requests) == asked


async def test_history_that_begins_later_is_asked_for_once_and_said(market: Market, exchange: ScriptedExchange) -> None:
    early = datetime(2026, 5, 1, 3, tzinfo=UTC)
    for _ in range(2):
        history = await market.candles("scripted", "BTC/USD", "1h", 10, early)
        assert history.candles.close.tolist() == [1.0, 2.0, 3.0]
        assert history.note is not None
        assert history.note.startswith("3 of 10 candles: scripted gives none before 2026-05-01T00:00Z")
    assert [what for what, _ in exchange.requests] == ["symbol", "candles 1h"]


async def test_a_timeframe_that_the_exchange_lacks_is_built_from_closed_smaller_candles(
    market: Market, exchange: ScriptedExchange
) -> None:
    history = await market.candles("scripted", "BTC/USD", "4h", 2, exchange.now)
    assert history.candles.open.tolist() == [461.0, 465.0]
    assert history.candles.close.tolist() == [464.0, 468.0]
    assert history.note == "Built from closed 1h candles: scripted has no 4h."
    with pytest.raises(NotSupported, match=r"no 15m candles and none to build them from\. Use one of 1h, 1d"):
        await closes(market, 2, exchange.now, "15m")


@pytest.mark.parametrize("hours", [1, 5, 50, 200])
async def test_what_was_answered_as_of_a_moment_never_changes(
    market: Market, exchange: ScriptedExchange, hours: int
) -> None:
    moment = NOON - timedelta(hours=hours, minutes=20)
    before = await closes(market, 20, moment)
    exchange.now += timedelta(days=3)
    await closes(market, 300, exchange.now)
    assert await closes(market, 20, moment) == before


async def test_a_price_is_live_for_fifteen_minutes_and_then_the_last_close(
    market: Market, exchange: ScriptedExchange
) -> None:
    live = await market.price("scripted", "BTC/USD", exchange.now - timedelta(minutes=15))
    assert (live.price, live.basis, live.ticker is not None) == (777.0, "ticker", True)
    past = await market.price("scripted", "BTC/USD", exchange.now - timedelta(minutes=16))
    assert (past.price, past.basis, past.ticker) == (467.0, "close of the last 1h candle", None)
    assert from_ms(past.price_time_ms) == NOON - timedelta(hours=1)


async def test_imported_history_needs_no_exchange(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    exchange.reachable = False
    start = to_ms(datetime(2020, 1, 1, tzinfo=UTC))
    rows = [(start + number * HOUR, *[float(number + 1)] * 4, 1.0) for number in range(48)]
    store.save(SERIES, Candles.from_rows(rows), (start, start + 48 * HOUR), begins=True)
    noon = datetime(2020, 1, 2, 12, tzinfo=UTC)
    assert await closes(market, 3, noon) == [34.0, 35.0, 36.0]
    assert (await market.price("scripted", "BTC/USD", noon + timedelta(minutes=30))).price == 36.0
    history = await market.candles("scripted", "BTC/USD", "1h", 1000, noon)
    assert (len(history.candles), history.note is not None) == (36, True)


async def test_a_store_that_a_shell_holds_is_passed_over(
    market: Market,
    candle_cache: CandleCache,
    exchange: ScriptedExchange,
    store: CandleStore,
    home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await closes(market, 1, NOON)
    await candle_cache.flush()
    other = market_on(exchange, CandleCache(store))
    with held_by_a_shell(home / "claude_trader.duckdb") as pid:
        assert await closes(market, 1, NOON) == [468.0], "from memory"
        assert await closes(other, 3, NOON) == [466.0, 467.0, 468.0], "from the exchange"
        await other.close()
    assert f"process {pid}" in caplog.text
    assert "candles were not stored" in caplog.text


async def test_a_candle_is_asked_for_when_it_has_settled_and_kept_when_it_is_final(
    market: Market, candle_cache: CandleCache, exchange: ScriptedExchange, store: CandleStore
) -> None:
    """Exchanges put the last trades into a candle up to a moment after its close, and correct some minutes later."""
    exchange.now = NOON + timedelta(seconds=1.9)
    asked_at = anyio.current_time()
    assert await closes(market, 2, exchange.now) == [467.0, 468.0]
    assert anyio.current_time() - asked_at >= 0.1
    await candle_cache.flush()
    assert store.load(SERIES, (0, to_ms(NOON))).candles.close.tolist() == [467.0]
    exchange.now = NOON + timedelta(minutes=10)
    assert await closes(market, 2, exchange.now) == [467.0, 468.0]
    await candle_cache.flush()
    assert store.load(SERIES, (0, to_ms(NOON))).candles.close.tolist() == [467.0, 468.0]
    exchange.requests.clear()
    exchange.now += timedelta(seconds=30)
    assert await closes(market, 2, exchange.now) == [467.0, 468.0]
    assert exchange.requests == []


async def test_a_candle_is_closed_by_the_exchanges_own_clock(market: Market, exchange: ScriptedExchange) -> None:
    """A machine whose clock is ahead would take a candle that still changes, and keep it for good."""
    exchange.now, exchange.behind = NOON + timedelta(seconds=20), timedelta(seconds=30)
    history = await market.candles("scripted", "BTC/USD", "1h", 2, exchange.now)
    assert history.candles.close.tolist() == [467.0]
    assert history.note is not None
    assert "This machine's clock is 30 s ahead of" in history.note
    exchange.now += timedelta(seconds=15)
    history = await market.candles("scripted", "BTC/USD", "1h", 2, exchange.now)
    assert (history.candles.close.tolist(), history.note) == ([467.0, 468.0], None)


async def test_a_late_candle_before_a_published_one_is_asked_for_again(
    market: Market, exchange: ScriptedExchange
) -> None:
    exchange.missing = {to_ms(NOON) - 2 * HOUR}
    exchange.now = NOON - timedelta(minutes=55)
    await closes(market, 3, exchange.now)
    exchange.missing = {to_ms(NOON) - HOUR}
    exchange.now = NOON + timedelta(minutes=2)
    assert await closes(market, 3, exchange.now) == [466.0, 467.0]
    exchange.missing = set()
    assert await closes(market, 3, exchange.now) == [466.0, 467.0, 468.0]


async def test_a_candle_is_not_built_while_a_part_of_it_is_still_to_come(
    market: Market, exchange: ScriptedExchange
) -> None:
    exchange.now, exchange.unpublished = NOON + timedelta(seconds=5), 2
    assert await closes(market, 2, exchange.now, "4h") == [464.0]
    exchange.now, exchange.unpublished = NOON + timedelta(seconds=15), 1
    assert await closes(market, 2, exchange.now, "4h") == [464.0, 468.0]


async def test_a_candle_is_built_without_a_part_that_is_not_coming_any_more(
    market: Market, exchange: ScriptedExchange
) -> None:
    exchange.now, exchange.missing = NOON + timedelta(minutes=11), {to_ms(NOON) - HOUR}
    assert await closes(market, 2, NOON, "4h") == [464.0, 467.0], "nothing was traded in its last hour"


async def test_stored_candles_stay_what_they_are_when_one_must_be_built(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    length = 4 * HOUR
    start = to_ms(NOON) - 2 * length
    rows = [(start, 5.0, 5.0, 5.0, 5.0, 1.0)]
    store.save(Series("scripted", "BTC/USD", "4h"), Candles.from_rows(rows), (start, start + length))
    assert await closes(market, 2, NOON, "4h") == [5.0, 468.0]


async def test_no_exchange_is_asked_for_the_time_before_there_were_any(
    market: Market, exchange: ScriptedExchange
) -> None:
    await closes(market, 10_000, exchange.now, "1d")
    counts = [count for what, count in exchange.requests if what == "candles 1d"]
    since_2010 = (NOON - datetime(2010, 1, 1, tzinfo=UTC)).days
    assert counts == [3000, since_2010 - 3000, 60], "and once whether it has any, as the older ones are none"


async def test_a_stored_price_is_the_latest_known_close_whatever_else_is_stored(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    moment = NOON - timedelta(days=1, minutes=-30)
    await closes(market, 3, moment)
    await closes(market, 3, moment, "1d")
    exchange.reachable = False
    price = await market.price("scripted", "BTC/USD", moment)
    assert (price.price, from_ms(price.price_time_ms)) == (444.0, NOON - timedelta(days=1))
    with pytest.raises(Retryable, match="cannot be reached"):
        await market.price("scripted", "BTC/USD", moment - timedelta(days=9))


async def test_a_past_price_that_the_exchange_will_not_tell_is_the_best_stored_one(
    market: Market, candle_cache: CandleCache, exchange: ScriptedExchange
) -> None:
    """And which candles it rests on is said."""
    moment = NOON - timedelta(days=1, minutes=-30)
    await closes(market, 3, moment)
    await closes(market, 3, moment, "1d")
    await candle_cache.flush()
    exchange.served = ["1m", "1h", "1d"]
    exchange.refuses = True
    price = await market.price("scripted", "BTC/USD", moment)
    assert (price.price, price.basis) == (444.0, "close of the last 1h candle")
    with pytest.raises(UpstreamRejected, match="refuses"):
        await market.price("scripted", "BTC/USD", moment - timedelta(days=9))


async def test_an_exchange_that_answers_with_nothing_for_a_moment_leaves_no_hole(
    market: Market, exchange: ScriptedExchange
) -> None:
    exchange.blank = True
    history = await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
    assert (len(history.candles), history.note) == (
        0,
        "None of 5 candles: scripted gives none from 2026-05-20T07:00Z to 2026-05-20T12:00Z.",
    )
    exchange.blank = False
    assert await closes(market, 5, NOON) == [464.0, 465.0, 466.0, 467.0, 468.0]


async def test_a_time_before_the_listing_is_asked_for_once(market: Market, exchange: ScriptedExchange) -> None:
    """An empty answer counts when the exchange has recent candles of the series."""
    before = datetime(2026, 4, 1, tzinfo=UTC)
    assert await closes(market, 5, before) == []
    assert [count for what, count in exchange.requests if what == "candles 1h"] == [5, 60]
    exchange.requests.clear()
    assert await closes(market, 5, before) == []
    assert exchange.requests == []


async def test_nothing_is_built_from_the_first_candle_on_that_may_still_come(
    market: Market, exchange: ScriptedExchange
) -> None:
    """Minutes that are late by more than a candle's length would make two candles wrong, not only the last."""
    exchange.served = ["1m"]
    exchange.first = to_ms(NOON) - 6 * HOUR
    exchange.now, exchange.unpublished = NOON + timedelta(seconds=5), 5
    opens = [int(at) for at in (await market.candles("scripted", "BTC/USD", "3m", 4, NOON)).candles.open_time_ms]
    assert opens == [to_ms(NOON) - 12 * 60_000, to_ms(NOON) - 9 * 60_000], "minutes 56 to 59 are not out yet"


async def test_a_venue_without_candles_has_no_price_of_the_past(market: Market, exchange: ScriptedExchange) -> None:
    exchange.served = []
    with pytest.raises(NotSupported, match="no candles, so no price of the past"):
        await market.price("scripted", "BTC/USD", NOON - timedelta(days=2))
    with pytest.raises(NotSupported, match="no candles at all"):
        await closes(market, 3, NOON)


@pytest.mark.parametrize(("timeframe", "count"), [("3m", 1), ("3m", 2), ("5m", 1), ("15m", 1)])
async def test_what_is_built_needs_only_its_own_parts(
    market: Market, exchange: ScriptedExchange, timeframe: str, count: int
) -> None:
    """A question about less than the ten minutes in which candles may be late is answered like any other."""
    exchange.served = ["1m"]
    exchange.first = to_ms(NOON) - 6 * HOUR
    exchange.now = NOON + timedelta(seconds=5)
    history = await market.candles("scripted", "BTC/USD", timeframe, count, NOON)
    length = TIMEFRAMES[timeframe]
    assert history.candles.open_time_ms.tolist() == [to_ms(NOON) - back * length for back in range(count, 0, -1)]
    assert history.note == f"Built from closed 1m candles: scripted has no {timeframe}."


async def imported_hours(store: CandleStore, missing: set[int]) -> int:
    start = to_ms(datetime(2020, 1, 1, tzinfo=UTC))
    rows = [(start + at * HOUR, at + 1.0, at + 3.0, at + 0.5, at + 2.0, 1.0) for at in range(48) if at not in missing]
    store.save(SERIES, Candles.from_rows(rows), (start, start + 48 * HOUR), begins=True)
    return start


@pytest.mark.parametrize("served", [["1h", "4h", "1d"], ["1h"]])
async def test_longer_candles_come_from_imported_shorter_ones_without_the_exchange(
    market: Market, exchange: ScriptedExchange, store: CandleStore, served: list[str]
) -> None:
    start = await imported_hours(store, missing=set())
    exchange.reachable, exchange.served = False, served
    noon = datetime(2020, 1, 2, 13, tzinfo=UTC)
    hours = await market.candles("scripted", "BTC/USD", "4h", 300, noon)
    assert hours.candles.open_time_ms.tolist() == [start + 4 * at * HOUR for at in range(9)]
    assert (hours.candles.open[1], hours.candles.high[1], hours.candles.low[1]) == (5.0, 10.0, 4.5)
    assert (hours.candles.close[1], hours.candles.volume[1], hours.built_from) == (9.0, 4.0, "1h")
    assert hours.note is not None
    assert "Built from imported 1h candles." in hours.note
    assert "are missing, where nothing" not in hours.note
    days = await market.candles("scripted", "BTC/USD", "1d", 3, noon)
    assert (days.candles.close.tolist(), days.candles.volume.tolist()) == ([25.0], [24.0])


async def test_shorter_candles_that_are_missing_in_a_longer_one_are_told(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    await imported_hours(store, missing={0, 1, 7})
    exchange.reachable = False
    days = await market.candles("scripted", "BTC/USD", "1d", 1, datetime(2020, 1, 2, tzinfo=UTC))
    assert (days.candles.volume.tolist(), days.note is not None and "3 of these are missing" in days.note) == (
        [21.0],
        True,
    )


async def test_what_imported_candles_do_not_cover_is_asked_for(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    start = exchange.first
    rows = [(start + at * HOUR, *[9.0] * 4, 1.0) for at in range(30)]
    store.save(SERIES, Candles.from_rows(rows), (start, start + 30 * HOUR), begins=True)
    days = await market.candles("scripted", "BTC/USD", "1d", 3, exchange.now.replace(day=4, hour=0))
    assert days.candles.close.tolist() == [9.0, 2.0, 3.0]


async def test_an_exchange_out_of_reach_is_told_with_what_to_import(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    await imported_hours(store, missing=set())
    exchange.reachable, exchange.served = False, ["30m", "1h"]
    with pytest.raises(Retryable) as raised:
        await market.candles("scripted", "BTC/USD", "30m", 3, datetime(2020, 1, 2, 13, tzinfo=UTC))
    assert "Imported are 1h candles. Import 30m candles" in raised.value.remedy
    with pytest.raises(Retryable) as raised:
        await market.candles("scripted", "BTC/USD", "30m", 3, exchange.now)
    assert "Import" not in raised.value.remedy


async def test_without_candles_of_a_timeframe_the_answer_says_what_to_import(
    market: Market, exchange: ScriptedExchange, store: CandleStore
) -> None:
    start = to_ms(datetime(2020, 1, 1, tzinfo=UTC))
    days = Series("scripted", "BTC/USD", "1d")
    store.save(days, Candles.from_rows([(start, *[9.0] * 4, 1.0)]), (start, start + 24 * HOUR), begins=True)
    hours = await market.candles("scripted", "BTC/USD", "4h", 3, datetime(2020, 1, 2, tzinfo=UTC))
    assert hours.note is not None
    assert "Imported are 1d candles." in hours.note
    assert "Import 4h candles, or shorter ones" in hours.note
