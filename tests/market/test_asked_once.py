"""Those who want the same thing at the same time have it fetched once, and nobody suffers for another's end."""

import contextlib
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import TIMEFRAMES, to_ms
from mcp_server.errors import BadInput, Retryable
from mcp_server.market.candle_cache import CandleCache
from mcp_server.market.live import FRESH_S, LiveCache
from mcp_server.market.market import Market
from mcp_server.single_flight import SingleFlight
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.database_errors import Held
from tests.market.scripted_exchange import NOON, ScriptedExchange, market_on
from tests.storage.test_database import held_by_a_shell

HOUR = TIMEFRAMES["1h"]
SERIES = Series("scripted", "BTC/USD", "1h")


async def ask(market: Market, counts: list[int]) -> dict[int, list[float]]:
    """Ask for so many candles each, all at once."""
    found: dict[int, list[float]] = {}

    async def one(place: int, count: int) -> None:
        history = await market.candles("scripted", "BTC/USD", "1h", count, NOON)
        found[place] = history.candles.close.tolist()

    async with anyio.create_task_group() as tasks:
        for place, count in enumerate(counts):
            tasks.start_soon(one, place, count)
    return found


async def test_twenty_who_ask_at_once_for_a_series_make_one_request(market: Market, exchange: ScriptedExchange) -> None:
    found = await ask(market, [50] * 20)
    assert [request for request in exchange.requests if request[0] == "candles 1h"] == [("candles 1h", 50)]
    assert {len(closes) for closes in found.values()} == {50}


async def test_who_asks_for_less_or_more_of_it_waits_and_fetches_only_the_rest(
    market: Market, exchange: ScriptedExchange
) -> None:
    found = await ask(market, [50, 20, 80, 60])
    assert [found[place] for place in range(4)] == [
        [float(number) for number in range(469 - count, 469)] for count in (50, 20, 80, 60)
    ]
    asked = [count for what, count in exchange.requests if what == "candles 1h"]
    assert (asked[0], sum(asked)) == (50, 80), "each candle once"


async def test_prices_are_shared_too_and_fresh_for_two_seconds_however_often_they_are_read(
    market: Market, exchange: ScriptedExchange
) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(market.price, "scripted", "BTC/USD", exchange.now)
    assert exchange.requests.count(("ticker", 1)) == 1


async def test_a_snapshot_ages_from_when_it_was_asked_for_not_from_when_it_was_read() -> None:
    now = 100.0
    taken = []

    async def take() -> int:
        taken.append(now)
        return len(taken)

    snapshots = LiveCache(lambda: now)
    for step in range(9):
        now = 100.0 + step * FRESH_S / 3
        await snapshots.get("price", take)
    assert taken == pytest.approx([100.0, 100.0 + 4 * FRESH_S / 3, 100.0 + 8 * FRESH_S / 3])


async def test_who_goes_for_all_and_is_cancelled_leaves_it_to_another(
    market: Market, exchange: ScriptedExchange
) -> None:
    exchange.held = anyio.Event()
    found = []

    async def patient() -> None:
        found.append((await market.candles("scripted", "BTC/USD", "1h", 5, NOON)).candles.close.tolist())

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def impatient() -> None:
            with scope:
                await market.candles("scripted", "BTC/USD", "1h", 5, NOON)

        tasks.start_soon(impatient)
        await exchange.asked.wait()
        tasks.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        exchange.held.set()
    assert found == [[464.0, 465.0, 466.0, 467.0, 468.0]]


async def test_a_failure_is_shared_but_a_bad_argument_is_its_callers_own() -> None:
    single_flight, calls, told = SingleFlight(), [], []

    async def fail(error: Exception) -> None:
        calls.append(error)
        await anyio.lowlevel.checkpoint()
        raise error

    async def share(error: Exception) -> None:
        try:
            await single_flight.share("key", partial(fail, error))
        except (Retryable, BadInput) as caught:
            told.append((type(caught), str(caught)))

    for error in (Retryable("down", "Wait."), Held(Path("trader.db"), "a shell has it open"), BadInput("mine")):
        calls.clear()
        told.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(share, error)
        assert told == [(type(error), str(error))] * 3
        assert len(calls) == (1 if isinstance(error, Retryable) else 3)


async def test_a_series_that_is_slow_keeps_no_one_from_what_is_known(
    market: Market, exchange: ScriptedExchange
) -> None:
    await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
    exchange.held, exchange.asked = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(market.candles, "scripted", "BTC/USD", "1h", 50, NOON)
        await exchange.asked.wait()
        with anyio.fail_after(5):
            history = await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
        assert len(history.candles) == 5
        exchange.held.set()


async def test_what_came_before_the_time_was_up_is_kept(exchange: ScriptedExchange, candle_cache: CandleCache) -> None:
    """Newest first, piece by piece: who asks again goes on from there."""
    exchange.first = to_ms(NOON - timedelta(days=400))
    market = market_on(exchange, candle_cache, deadline_s=0.5)
    exchange.hold_after = 3
    with pytest.raises(Retryable, match="is kept: ask again"):
        await market.candles("scripted", "BTC/USD", "1h", 9_000, NOON)
    exchange.hold_after, exchange.held = None, None
    exchange.requests.clear()
    await market.candles("scripted", "BTC/USD", "1h", 9_000, NOON)
    assert [count for what, count in exchange.requests if what == "candles 1h"] == [3_000]


async def test_another_process_on_the_home_need_not_fetch_it_again(
    market: Market, candle_cache: CandleCache, exchange: ScriptedExchange, store: CandleStore
) -> None:
    exchange.now = NOON + timedelta(minutes=17)  # its newest candle does not change any more
    others = CandleCache(store)
    other = market_on(exchange, others)
    await other.candles("scripted", "BTC/USD", "1h", 5, NOON - timedelta(hours=10))
    await others.flush()
    await market.candles("scripted", "BTC/USD", "1h", 50, NOON)
    await candle_cache.flush()
    exchange.requests.clear()
    history = await other.candles("scripted", "BTC/USD", "1h", 50, NOON)
    assert (len(history.candles), exchange.requests) == (50, [])
    await other.close()


async def test_an_import_by_another_process_replaces_what_is_in_memory(
    market: Market, candle_cache: CandleCache, store: CandleStore
) -> None:
    await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
    await candle_cache.flush()
    start = to_ms(NOON) - 2 * HOUR
    rows = [(start, 9.0, 9.0, 9.0, 9.0, 1.0), (start + HOUR, 8.0, 8.0, 8.0, 8.0, 1.0)]
    store.save(SERIES, Candles.from_rows(rows), (start, start + 2 * HOUR), begins=True)
    history = await market.candles("scripted", "BTC/USD", "1h", 3, NOON)
    assert history.candles.close.tolist() == [466.0, 9.0, 8.0]


async def test_a_small_question_does_not_fail_with_a_big_one(
    exchange: ScriptedExchange, candle_cache: CandleCache
) -> None:
    """Its candles are known once the newest piece of the big one has come."""
    exchange.now = NOON + timedelta(minutes=17)  # its newest candle does not change any more
    exchange.first = to_ms(NOON - timedelta(days=400))
    hasty, patient = market_on(exchange, candle_cache, deadline_s=0.5), market_on(exchange, candle_cache)
    exchange.hold_after = 2
    failed = []

    async def big() -> None:
        with pytest.raises(Retryable):
            await hasty.candles("scripted", "BTC/USD", "1h", 9_000, NOON)
        failed.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(big)
        await anyio.wait_all_tasks_blocked()
        history = await patient.candles("scripted", "BTC/USD", "1h", 5, NOON)
        assert (len(history.candles), failed) == (5, [])


async def test_an_import_is_seen_though_the_file_was_held_when_it_was_first_looked_for(
    market: Market, candle_cache: CandleCache, store: CandleStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
    await candle_cache.flush()
    start = to_ms(NOON) - HOUR
    store.save(SERIES, Candles.from_rows([(start, 9.0, 9.0, 9.0, 9.0, 1.0)]), (start, start + HOUR), begins=True)
    monkeypatch.setattr("mcp_server.market.candle_cache.AGAIN_S", 0)
    with held_by_a_shell(home / "claude_trader.duckdb"):
        history = await market.candles("scripted", "BTC/USD", "1h", 1, NOON)
        assert history.candles.close.tolist() == [468.0], "from memory: nobody could look"
    history = await market.candles("scripted", "BTC/USD", "1h", 1, NOON)
    assert history.candles.close.tolist() == [9.0]


async def test_what_an_import_has_put_there_while_it_was_fetched_wins(
    market: Market, candle_cache: CandleCache, store: CandleStore, exchange: ScriptedExchange
) -> None:
    exchange.held = anyio.Event()
    start = to_ms(NOON) - HOUR
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(market.candles, "scripted", "BTC/USD", "1h", 3, NOON)
        await exchange.asked.wait()
        store.save(SERIES, Candles.from_rows([(start, 9.0, 9.0, 9.0, 9.0, 1.0)]), (start, start + HOUR), begins=True)
        exchange.held.set()
    await candle_cache.flush()
    history = await market.candles("scripted", "BTC/USD", "1h", 3, NOON)
    assert history.candles.close.tolist() == [466.0, 467.0, 9.0]


async def test_a_held_file_never_makes_a_question_outlast_its_deadline(
    exchange: ScriptedExchange, home: Path, store: CandleStore
) -> None:
    candle_cache = CandleCache(CandleStore(Database(home / "claude_trader.duckdb", patience_s=8)))
    market = market_on(exchange, candle_cache, deadline_s=1)
    await market.candles("scripted", "BTC/USD", "1h", 5, NOON - timedelta(hours=50))
    await candle_cache.flush()
    with held_by_a_shell(home / "claude_trader.duckdb"):
        await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
        began = anyio.current_time()
        with contextlib.suppress(Retryable):
            await market.candles("scripted", "BTC/USD", "1h", 100, NOON)
        assert anyio.current_time() - began < 4
    await candle_cache.close()


async def test_a_shelf_that_was_closed_can_be_used_again(
    candle_cache: CandleCache, market: Market, store: CandleStore, exchange: ScriptedExchange
) -> None:
    """A server may be started twice in one process."""
    exchange.now = NOON + timedelta(minutes=17)  # its newest candle does not change any more
    await candle_cache.close()
    await market.candles("scripted", "BTC/USD", "1h", 5, NOON)
    await candle_cache.flush()
    assert len(store.load(SERIES, (0, to_ms(NOON))).candles) == 5
