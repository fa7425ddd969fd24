import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.adapters.simulated.path import GENESIS_MS
from mcp_server.domain.exchange import Funding, PerpetualState
from mcp_server.domain.timeframes import DAY_MS, from_ms, to_ms
from mcp_server.errors import NotSupported

NOW = datetime(2026, 5, 20, 12, 17, 40, tzinfo=UTC)
NOW_MS = to_ms(NOW)
FUNDING_MS = DAY_MS // 3
SWAP = "BTC/USDT:USDT"

swaps = st.sampled_from([SWAP, "BTC/USD:BTC", "PEPE/USDT:USDT", "ANY1/EUR:EUR"])
fundings_since_genesis = st.integers(GENESIS_MS // FUNDING_MS + 1, NOW_MS // FUNDING_MS)


def at(now: datetime, seed: int = 0) -> SimulatedExchange:
    return SimulatedExchange(lambda: now, seed)


def told(now_ms: int, symbol: str = SWAP) -> PerpetualState:
    return asyncio.run(at(from_ms(now_ms)).perpetual_state(symbol))


def settled(now_ms: int, end_ms: int, count: int, symbol: str = SWAP) -> Sequence[Funding]:
    return asyncio.run(at(from_ms(now_ms)).fundings(symbol, end_ms, count))


async def test_everyone_is_told_the_same() -> None:
    assert await at(NOW).perpetual_state(SWAP) == PerpetualState(
        observed_at_ms=NOW_MS,
        funding_rate=0.00001541,
        next_funding_ms=to_ms(datetime(2026, 5, 20, 16, tzinfo=UTC)),
        mark_price=91629.05,
        index_price=91626.33,
        open_interest_base=10198.8,
        open_interest_quote=934502000.0,
    )
    eight = to_ms(datetime(2026, 5, 20, 8, tzinfo=UTC))
    assert await at(NOW).fundings(SWAP, NOW_MS, 2) == [
        Funding(eight - FUNDING_MS, 0.00004362),
        Funding(eight, 0.00001724),
    ]


@settings(max_examples=60, deadline=None)
@given(fundings_since_genesis, st.integers(1, FUNDING_MS), st.integers(0, 900 * DAY_MS), swaps)
def test_a_funding_is_settled_at_the_rate_that_was_told_before(
    number: int, before_ms: int, later_ms: int, symbol: str
) -> None:
    time_ms = number * FUNDING_MS
    live = told(time_ms - before_ms, symbol)
    assert live.next_funding_ms == time_ms
    assert settled(time_ms + later_ms, time_ms, 1, symbol) == [Funding(time_ms, live.funding_rate or 0.0)]


@settings(max_examples=60, deadline=None)
@given(st.integers(GENESIS_MS, NOW_MS), st.integers(0, 900 * DAY_MS), st.integers(0, 40), swaps)
def test_what_was_settled_at_any_moment_is_the_same_ever_after(
    end_ms: int, later_ms: int, count: int, symbol: str
) -> None:
    assert settled(end_ms, end_ms, count, symbol) == settled(end_ms + later_ms, end_ms, count, symbol)


@settings(max_examples=60, deadline=None)
@given(st.integers(GENESIS_MS - DAY_MS, NOW_MS), st.integers(0, 40))
def test_fundings_are_the_last_of_an_unbroken_series(end_ms: int, count: int) -> None:
    times = [funding.time_ms for funding in settled(NOW_MS, end_ms, count)]
    latest_ms = end_ms // FUNDING_MS * FUNDING_MS
    expected = [latest_ms - n * FUNDING_MS for n in reversed(range(count))]
    assert times == [time_ms for time_ms in expected if time_ms > GENESIS_MS]


@settings(max_examples=60, deadline=None)
@given(st.integers(GENESIS_MS - DAY_MS, NOW_MS + DAY_MS), st.integers(0, 40 * DAY_MS), swaps)
def test_fundings_of_a_range_are_those_of_the_series_that_lie_in_it(start_ms: int, length_ms: int, symbol: str) -> None:
    end_ms = start_ms + length_ms
    between = asyncio.run(at(NOW).fundings_between(symbol, start_ms, end_ms))
    assert between == [funding for funding in settled(NOW_MS, end_ms, 200, symbol) if funding.time_ms >= start_ms]


async def test_fundings_are_settled_at_0_8_and_16_hours_utc() -> None:
    fundings = await at(NOW).fundings(SWAP, NOW_MS, 3)
    assert [from_ms(funding.time_ms) for funding in fundings] == [
        datetime(2026, 5, 19, 16, tzinfo=UTC),
        datetime(2026, 5, 20, 0, tzinfo=UTC),
        datetime(2026, 5, 20, 8, tzinfo=UTC),
    ]


async def test_a_funding_is_settled_on_the_instant_and_the_next_one_comes_after() -> None:
    eight = datetime(2026, 5, 20, 8, tzinfo=UTC)
    assert (await at(eight).fundings(SWAP, NOW_MS, 1))[0].time_ms == to_ms(eight)
    assert (await at(eight).perpetual_state(SWAP)).next_funding_ms == to_ms(eight) + FUNDING_MS
    just_before = eight - timedelta(milliseconds=1)
    assert (await at(just_before).perpetual_state(SWAP)).next_funding_ms == to_ms(eight)
    assert (await at(just_before).fundings(SWAP, NOW_MS, 1))[0].time_ms == to_ms(eight) - FUNDING_MS


async def test_funding_rates_change_slowly_around_a_hundredth_of_a_percent() -> None:
    rates = np.array([funding.rate for funding in await at(NOW).fundings(SWAP, NOW_MS, 3000)])
    assert (np.abs(rates) <= 0.0005).all()
    assert rates.mean() == pytest.approx(0.0001, abs=0.00003)
    assert (rates < 0).any()
    assert np.corrcoef(rates[1:], rates[:-1])[0, 1] > 0.6


async def test_a_rate_follows_the_three_days_before_its_interval_but_for_a_little_luck() -> None:
    exchange = at(NOW)
    fundings = await exchange.fundings(SWAP, NOW_MS, 500)
    first_ms = fundings[0].time_ms - 10 * FUNDING_MS
    opens = (await exchange.candles(SWAP, "8h", first_ms, fundings[-1].time_ms)).candles.open
    rises = (opens[9:] / opens[:-9] - 1) / (0.0045 * np.sqrt(72))
    luck = np.array([funding.rate for funding in fundings]) - (0.0001 + 0.0003 * rises / (1 + np.abs(rises)))
    assert (np.abs(luck) <= 0.00005 + 1e-8).all()
    assert luck.std() > 0.00002


@settings(max_examples=60, deadline=None)
@given(st.integers(GENESIS_MS, NOW_MS), swaps)
def test_the_index_is_the_spot_price_and_the_mark_is_near_it(now_ms: int, symbol: str) -> None:
    exchange = at(from_ms(now_ms))
    live = asyncio.run(exchange.perpetual_state(symbol))
    spot = asyncio.run(exchange.ticker(symbol.partition(":")[0]))
    assert live.observed_at_ms == now_ms
    assert live.index_price == spot.last
    assert live.mark_price == pytest.approx(spot.last, rel=0.001)


async def test_the_mark_is_above_the_index_where_longs_pay_and_below_where_shorts_do() -> None:
    signs = set()
    for days in range(60):
        live = await at(NOW - timedelta(days=days)).perpetual_state(SWAP)
        assert live.mark_price is not None
        assert live.index_price is not None
        assert live.funding_rate is not None
        above = live.mark_price - live.index_price
        assert above * live.funding_rate >= 0
        signs.add(np.sign(above))
    assert {-1, 1} <= signs


async def test_open_interest_changes_slowly_and_agrees_in_base_and_quote() -> None:
    held = []
    for hours in range(0, 24 * 20, 6):
        live = await at(NOW - timedelta(hours=hours)).perpetual_state("PEPE/USDT:USDT")
        assert live.open_interest_base is not None
        assert live.mark_price is not None
        assert live.open_interest_quote == pytest.approx(live.open_interest_base * live.mark_price, rel=1e-5)
        held.append(live.open_interest_base)
    changes = np.abs(np.diff(np.log(held)))
    assert 0 < changes.mean() < 0.02
    assert changes.max() < 0.06


async def test_a_spot_market_has_no_funding_and_its_swap_is_named() -> None:
    refusal = r"^'BTC/USDT' on 'simulated' is a spot market\. Ask for 'BTC/USDT:USDT'\.$"
    with pytest.raises(NotSupported, match=refusal):
        await at(NOW).perpetual_state("BTC/USDT")
    with pytest.raises(NotSupported, match=refusal):
        await at(NOW).fundings("BTC/USDT", NOW_MS, 3)


async def test_another_seed_has_other_fundings() -> None:
    assert await at(NOW).fundings(SWAP, NOW_MS, 5) != await at(NOW, seed=1).fundings(SWAP, NOW_MS, 5)
