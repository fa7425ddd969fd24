import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.adapters.simulated.path import GENESIS_MS
from mcp_server.domain.exchange import OrderBook
from mcp_server.domain.timeframes import from_ms, to_ms

NOW = datetime(2026, 5, 20, 12, 17, 40, tzinfo=UTC)
NOW_MS = to_ms(NOW)

SYMBOLS = ["BTC/USDT", "BTC/USDT:USDT", "PEPE/USDT", "SHIB/BTC", "BTC/JPY", "ANY1/EUR"]
moments = st.integers(GENESIS_MS, NOW_MS)


def at(now: datetime, seed: int = 0) -> SimulatedExchange:
    return SimulatedExchange(lambda: now, seed)


def book_at(now_ms: int, symbol: str, depth: int) -> OrderBook:
    return asyncio.run(at(from_ms(now_ms)).order_book(symbol, depth))


async def test_everyone_sees_the_same_book() -> None:
    book = await at(NOW).order_book("BTC/USDT", 5)
    assert book.observed_at_ms == NOW_MS
    assert (book.bids[1], book.asks[1]) == ((91625.01, 0.063), (91626.48, 0.6067))
    tiny = await at(NOW).order_book("PEPE/USDT", 5)
    assert (tiny.bids[4], tiny.asks[4]) == ((4.413765e-06, 284000000.0), (4.4141e-06, 803200000.0))


@settings(max_examples=60, deadline=None)
@given(moments, st.sampled_from(SYMBOLS))
def test_the_best_bid_and_ask_are_the_tickers(now_ms: int, symbol: str) -> None:
    exchange = at(from_ms(now_ms))
    ticker = asyncio.run(exchange.ticker(symbol))
    book = asyncio.run(exchange.order_book(symbol, 3))
    assert (book.bids[0][0], book.asks[0][0]) == (ticker.bid, ticker.ask)
    assert book.observed_at_ms == ticker.observed_at_ms


@settings(max_examples=60, deadline=None)
@given(moments, st.sampled_from(SYMBOLS), st.integers(1, 500))
def test_prices_lead_away_from_the_last_and_every_size_is_positive(now_ms: int, symbol: str, depth: int) -> None:
    book = book_at(now_ms, symbol, depth)
    bids, asks = ([price for price, _ in side] for side in (book.bids, book.asks))
    assert len(bids) == len(asks) == depth
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert 0 < bids[-1] <= bids[0] < asks[0]
    assert all(size > 0 for side in (book.bids, book.asks) for _, size in side)


@settings(max_examples=30, deadline=None)
@given(moments, st.sampled_from(SYMBOLS), st.integers(0, 99))
def test_a_deeper_book_begins_like_a_shallower_one(now_ms: int, symbol: str, depth: int) -> None:
    deep, shallow = book_at(now_ms, symbol, 100), book_at(now_ms, symbol, depth)
    assert (deep.bids[:depth], deep.asks[:depth]) == (shallow.bids, shallow.asks)


@pytest.mark.parametrize(
    ("symbol", "tick", "lot"),
    [("BTC/USDT", "0.01", "0.0001"), ("PEPE/USDT", "1E-12", "1E+5"), ("SHIB/BTC", "1E-16", "1E+5")],
)
async def test_prices_and_sizes_are_whole_steps_of_the_markets_grid(symbol: str, tick: str, lot: str) -> None:
    book = await at(NOW).order_book(symbol, 200)
    for price, size in (*book.bids, *book.asks):
        assert Decimal(repr(price)) % Decimal(tick) == 0
        assert Decimal(repr(size)) % Decimal(lot) == 0


async def test_a_small_price_keeps_its_digits_down_the_book() -> None:
    book = await at(NOW).order_book("PEPE/USDT", 100)
    for side in (book.bids, book.asks):
        assert len({f"{price:.7g}" for price, _ in side}) == 100


async def test_bids_end_before_a_price_of_nothing() -> None:
    book = await at(NOW).order_book("PEPE/USDT", 300_000)
    assert 1000 < len(book.bids) < len(book.asks) == 300_000
    assert book.bids[-1][0] > 0


async def test_the_book_stays_until_the_next_point_of_the_path() -> None:
    books = [await at(NOW + timedelta(seconds=s)).order_book("BTC/USDT", 20) for s in (-10, 4.9, 5, 19.9)]
    bids = [book.bids for book in books]  # 12:17:30, 12:17:44.9, 12:17:45, 12:17:59.9
    assert bids[0] == bids[1] != bids[2] == bids[3]


async def test_a_book_looks_alive() -> None:
    books = [await at(NOW + timedelta(minutes=m)).order_book("BTC/USDT", 100) for m in range(60)]
    sizes = np.array([[size for _, size in side] for book in books for side in (book.bids, book.asks)])
    prices = np.array([[price for price, _ in side] for book in books for side in (book.bids, book.asks)])
    assert sizes[:, 80:].mean() > 2 * sizes[:, :5].mean()
    assert (sizes.std(axis=1) > 0.5 * sizes.mean(axis=1)).all()
    assert (np.abs(np.diff(prices)).std(axis=1) > 0).all()
    assert not np.array_equal(sizes[0], sizes[1])
    far = np.abs(prices[:, -1] / prices[:, 0] - 1)
    assert (far > 0.0005).all()
    assert (far < 0.002).all()


async def test_another_seed_has_another_book() -> None:
    assert await at(NOW).order_book("BTC/USDT", 5) != await at(NOW, seed=1).order_book("BTC/USDT", 5)
