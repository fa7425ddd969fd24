import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.adapters.simulated.exchange import SimulatedExchange
from mcp_server.adapters.simulated.path import GENESIS_MS
from mcp_server.domain.candles import Candles, gaps, resample
from mcp_server.domain.timeframes import DAY_MS, TIMEFRAMES, candle_open_ms, from_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import NotFound, NotSupported
from tests.rigs.sampled import sampled

NOW = datetime(2026, 5, 20, 12, 17, 40, tzinfo=UTC)
NOW_MS = to_ms(NOW)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")

PINNED_HOURS: list[list[float]] = [
    [1777593600000, 1777597200000],
    [91597.18, 91625.75],
    [91682.32, 91645.97],
    [91517.44, 91523.02],
    [91625.75, 91603.96],
    [86.3895, 87.514],
]
PINNED_TINY: list[list[float]] = [
    [1777593600000],
    [3.809126e-06],
    [3.903874e-06],
    [3.805673e-06],
    [3.863446e-06],
    [3136993700000.0],
]


def at(now: datetime, seed: int = 0) -> SimulatedExchange:
    return SimulatedExchange(lambda: now, seed)


def same(one: Candles, other: Candles) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


async def made(exchange: SimulatedExchange, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Candles:
    return (await exchange.candles(symbol, timeframe, start_ms, end_ms)).candles


async def last(exchange: SimulatedExchange, timeframe: str, count: int, symbol: str = "BTC/USDT") -> Candles:
    """Give the candles up to the present, the forming one included."""
    return await made(exchange, symbol, timeframe, NOW_MS - count * timeframe_ms(timeframe), NOW_MS + 1)


async def test_the_market_says_that_it_is_simulated_and_serves_every_timeframe() -> None:
    exchange = at(NOW)
    assert (exchange.id, exchange.simulated) == ("simulated", True)
    assert list(await exchange.timeframes()) == list(TIMEFRAMES)
    await exchange.close()


async def test_everyone_sees_the_same_numbers() -> None:
    start_ms = to_ms(datetime(2026, 5, 1, tzinfo=UTC))
    hours = await made(at(NOW), "BTC/USDT", "1h", start_ms, start_ms + 2 * HOUR_MS)
    assert [getattr(hours, name).tolist() for name in COLUMNS] == PINNED_HOURS
    tiny = await made(at(NOW), "PEPE/USDT", "1d", start_ms, start_ms + DAY_MS)
    assert [getattr(tiny, name).tolist() for name in COLUMNS] == PINNED_TINY


def test_another_process_sees_the_same_numbers() -> None:
    program = (
        "import asyncio, datetime; from mcp_server.adapters.simulated.exchange import SimulatedExchange as S; "
        "now = datetime.datetime(2026, 5, 20, tzinfo=datetime.timezone.utc); "
        "c = asyncio.run(S(lambda: now).candles('BTC/USDT', '1h', 1777593600000, 1777600800000)).candles; "
        "print(c.close.tolist())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == str(PINNED_HOURS[4])


async def test_another_seed_is_another_market() -> None:
    assert not same(await last(at(NOW), "1h", 10), await last(at(NOW, seed=1), "1h", 10))


@pytest.mark.parametrize("symbol", sampled(["BTC/USDT", "PEPE/USDT", "ETH/BTC", "JPY/BTC", "ANY1/USD"], 3))
@pytest.mark.parametrize("timeframe", [name for name, length in TIMEFRAMES.items() if length > MINUTE_MS])
async def test_every_longer_candle_is_made_of_its_minutes(symbol: str, timeframe: str) -> None:
    exchange = at(NOW)
    first = candle_open_ms(NOW_MS, timeframe) - timeframe_ms(timeframe)
    longer = await made(exchange, symbol, timeframe, first, NOW_MS + 1)
    built = resample(await made(exchange, symbol, "1m", first, NOW_MS + 1), timeframe)
    assert len(longer) == 2
    for name in COLUMNS[:-1]:
        assert np.array_equal(getattr(longer, name), getattr(built, name)), name
    assert longer.volume == pytest.approx(built.volume, rel=1e-12)


async def test_volumes_of_longer_candles_are_the_exact_decimal_sums() -> None:
    exchange = at(NOW)
    for symbol, lot in (("BTC/USDT", 1e-4), ("PEPE/USDT", 1e5)):
        minutes = await made(exchange, symbol, "1m", NOW_MS - 3 * DAY_MS, NOW_MS + 1)
        days = await made(exchange, symbol, "1d", NOW_MS - 2 * DAY_MS, NOW_MS + 1)
        in_lots = [
            round(volume / lot) for volume in resample(minutes, "1d").between(NOW_MS - 2 * DAY_MS, NOW_MS).volume
        ]
        assert [round(volume / lot) for volume in days.volume] == in_lots
        assert all(len(repr(float(volume)).replace(".", "").rstrip("0")) <= 12 for volume in days.volume)


async def test_candles_follow_each_other_without_gaps_and_open_at_the_last_close() -> None:
    for timeframe in ("1m", "15m", "4h", "1w"):
        candles = await last(at(NOW), timeframe, 400 if timeframe != "1w" else 60)
        assert gaps(candles, timeframe) == []
        assert np.array_equal(candles.open[1:], candles.close[:-1])
        assert (candles.high >= np.maximum(candles.open, candles.close)).all()
        assert (candles.low <= np.minimum(candles.open, candles.close)).all()


async def test_most_minutes_have_wicks() -> None:
    minutes = await last(at(NOW), "1m", 1000)
    wicks = (minutes.high > np.maximum(minutes.open, minutes.close)) | (
        minutes.low < np.minimum(minutes.open, minutes.close)
    )
    assert wicks.mean() > 0.5


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
async def test_the_forming_candle_holds_only_what_has_happened(timeframe: str) -> None:
    opened = candle_open_ms(NOW_MS, timeframe)
    length = timeframe_ms(timeframe)
    final = await made(at(NOW + timedelta(days=3)), "BTC/USDT", timeframe, opened, opened + length)
    highest, lowest, volume = 0.0, np.inf, 0.0
    for part in range(9):
        now_ms = opened + part * (length - 1) // 8
        forming = await made(at(from_ms(now_ms)), "BTC/USDT", timeframe, opened, opened + length)
        assert forming.open_time_ms.tolist() == [opened]
        assert forming.open[0] == final.open[0]
        assert highest <= forming.high[0] <= final.high[0]
        assert lowest >= forming.low[0] >= final.low[0]
        assert volume <= forming.volume[0] <= final.volume[0]
        highest, lowest, volume = float(forming.high[0]), float(forming.low[0]), float(forming.volume[0])


async def test_a_candle_that_opens_this_instant_has_one_price_and_no_volume() -> None:
    now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    hours = await made(at(now), "BTC/USDT", "1h", to_ms(now) - HOUR_MS, to_ms(now) + HOUR_MS)
    assert len(hours) == 2
    assert hours.open[1] == hours.high[1] == hours.low[1] == hours.close[1] == hours.close[0]
    assert hours.volume[1] == 0


@pytest.mark.parametrize("timeframe", ["1m", "1h", "3d"])
async def test_a_later_answer_never_changes_a_closed_candle(timeframe: str) -> None:
    early = (await last(at(NOW), timeframe, 50)).closed_by(NOW_MS, timeframe)
    for later in (timedelta(minutes=1), timedelta(days=40), timedelta(days=2000)):
        start, end = int(early.open_time_ms[0]), int(early.open_time_ms[-1]) + 1
        assert same(await made(at(NOW + later), "BTC/USDT", timeframe, start, end), early)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(GENESIS_MS + 30 * DAY_MS, NOW_MS),
    st.integers(0, 400 * DAY_MS),
    st.sampled_from(sorted(TIMEFRAMES)),
    st.sampled_from(["BTC/USDT", "PEPE/USDT", "ETH/BTC", "ANY1/EUR"]),
)
def test_whatever_was_closed_at_any_moment_is_the_same_ever_after(
    early_ms: int, wait_ms: int, timeframe: str, symbol: str
) -> None:
    start_ms = early_ms - 4 * timeframe_ms(timeframe)
    early, late = (
        asyncio.run(made(at(from_ms(now_ms)), symbol, timeframe, start_ms, early_ms + 1))
        for now_ms in (early_ms, early_ms + wait_ms)
    )
    assert len(early) == len(late)
    assert same(early.closed_by(early_ms, timeframe), late.closed_by(early_ms, timeframe))
    assert early.open[-1] == late.open[-1]
    assert early.high[-1] <= late.high[-1]
    assert early.low[-1] >= late.low[-1]
    assert early.volume[-1] <= late.volume[-1]


async def test_any_stretch_of_a_series_agrees_with_any_other() -> None:
    exchange = at(NOW)
    whole = await last(exchange, "5m", 3000)
    for first, count in ((0, 1), (17, 900), (1500, 1501), (2999, 2)):
        start = int(whole.open_time_ms[first])
        part = await made(exchange, "BTC/USDT", "5m", start, start + count * 5 * MINUTE_MS)
        assert same(part, whole.slice(first, first + count))


async def test_nothing_is_later_than_now_or_earlier_than_the_first_moment() -> None:
    far_ms = NOW_MS + 1000 * DAY_MS
    assert int((await made(at(NOW), "BTC/USDT", "1h", NOW_MS - 5 * HOUR_MS, far_ms)).open_time_ms[-1]) <= NOW_MS
    assert len(await made(at(NOW), "BTC/USDT", "1h", NOW_MS + 1, far_ms)) == 0
    for timeframe in ("1h", "3d", "1w"):
        first = await made(at(NOW), "BTC/USDT", timeframe, 0, GENESIS_MS + 15 * DAY_MS)
        assert GENESIS_MS <= first.open_time_ms[0] < GENESIS_MS + timeframe_ms(timeframe)
        assert candle_open_ms(int(first.open_time_ms[0]), timeframe) == first.open_time_ms[0]
    assert len(await made(at(NOW), "BTC/USDT", "1h", 0, GENESIS_MS)) == 0


async def test_before_its_first_moment_the_market_has_no_history_and_no_present() -> None:
    early = at(from_ms(GENESIS_MS - 1))
    assert len(await made(early, "BTC/USDT", "1h", 0, NOW_MS)) == 0
    assert await early.fundings("BTC/USDT:USDT", NOW_MS, 10) == []
    for present in (
        early.ticker("BTC/USDT"),
        early.order_book("BTC/USDT", 5),
        early.perpetual_state("BTC/USDT:USDT"),
        early.listings(),
    ):
        with pytest.raises(NotSupported, match=f"begins at {iso(GENESIS_MS)}. Ask for a later moment"):
            await present


async def test_at_its_first_moment_the_market_has_a_present_but_no_funding_yet() -> None:
    first = at(from_ms(GENESIS_MS))
    price = (await first.ticker("BTC/USDT")).last
    assert (await first.order_book("BTC/USDT", 1)).bids[0][0] < price
    assert (await first.perpetual_state("BTC/USDT:USDT")).index_price == price
    assert await first.fundings("BTC/USDT:USDT", NOW_MS, 10) == []


async def test_its_clock_is_the_callers_so_it_tells_no_time_of_its_own() -> None:
    assert (await at(NOW).candles("BTC/USDT", "1h", NOW_MS - HOUR_MS, NOW_MS)).clock_ms is None


async def test_the_ticker_is_the_close_of_the_forming_minute() -> None:
    exchange = at(NOW)
    ticker = await exchange.ticker("BTC/USDT")
    day = await last(exchange, "1m", 24 * 60)
    assert ticker.observed_at_ms == NOW_MS
    assert ticker.last == day.close[-1]
    assert ticker.bid is not None
    assert ticker.ask is not None
    assert 0 < ticker.bid < ticker.last < ticker.ask
    assert ticker.volume_24h_base == pytest.approx(day.volume.sum(), rel=1e-5)
    assert ticker.change_24h_pct == pytest.approx((day.close[-1] / day.open[0] - 1) * 100, abs=0.001)


async def test_hours_move_like_bitcoin_and_restless_hours_come_together() -> None:
    hours = await last(at(NOW), "1h", 2 * 365 * 24)
    returns = np.diff(np.log(hours.close))
    assert 0.003 < returns.std() < 0.012
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.1
    restless = np.abs(returns)
    assert np.corrcoef(restless[1:], restless[:-1])[0, 1] > 0.15
    assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 3.5  # fatter tails than a normal's 3


async def test_volume_is_higher_where_the_price_moves() -> None:
    hours = await last(at(NOW), "1h", 2000)
    moved = np.abs(np.log(hours.close / hours.open))
    assert np.corrcoef(moved, hours.volume)[0, 1] > 0.2


@pytest.mark.parametrize("symbol", sampled(["BTC/USDT", "ETH/USDT", "SOL/USDT", "DOGE/USDT", "PEPE/USDT"], 5))
async def test_volume_never_fades_beside_that_of_other_days(symbol: str) -> None:
    days = await at(NOW).candles(symbol, "1d", NOW_MS - 3 * 365 * DAY_MS, NOW_MS)
    of_median = days.candles.volume[:-1] / np.median(days.candles.volume)
    assert len(of_median) > 1_000
    assert of_median.min() > 0.3
    assert of_median.max() < 8


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("btcusdt", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("eth_btc", "ETH/BTC"),
        (" xbt/usd ", "BTC/USD"),
        ("ethxbt", None),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("btc/usd:btc", "BTC/USD:BTC"),
        ("NEWCOIN42/EUR", "NEWCOIN42/EUR"),
        ("BTC/USDT:EUR", None),
        ("BTC/BTC", None),
        ("BTC", None),
        ("BTCUSDX", None),
        ("", None),
        ("hello world", None),
    ],
)
async def test_any_plausible_symbol_exists_however_it_is_spelt(text: str, symbol: str | None) -> None:
    exchange = at(NOW)
    if symbol is None:
        with pytest.raises(NotFound, match=r"^Unknown symbol .* on 'simulated'.*'[A-Z]+/[A-Z]+"):
            await exchange.symbol(text)
        return
    assert await exchange.symbol(text) == symbol
    assert await exchange.symbol(symbol) == symbol
    ticker = await exchange.ticker(symbol)
    assert ticker.last > 0
    assert len(f"{ticker.last:.15g}".replace(".", "").lstrip("0")) <= 9


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT:USDT"),
        ("btcusdt", "BTC/USDT:USDT"),
        ("xbt-usd", "BTC/USD:USD"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("btc/usd:btc", "BTC/USD:BTC"),
    ],
)
async def test_a_spot_symbol_means_the_swap_settled_in_its_quote(text: str, symbol: str) -> None:
    assert await at(NOW).swap_symbol(text) == symbol
    assert await at(NOW).swap_symbol(symbol) == symbol


@pytest.mark.parametrize("text", ["BTC", "BTC/USDT:EUR", "BTC/BTC", ""])
async def test_what_is_no_symbol_means_no_swap(text: str) -> None:
    with pytest.raises(NotFound, match=r"^Unknown symbol .* on 'simulated'"):
        await at(NOW).swap_symbol(text)


async def test_every_listed_market_is_one_that_can_be_asked_for() -> None:
    exchange = at(NOW)
    listings = await exchange.listings()
    assert listings.observed_at_ms == NOW_MS
    symbols = [market.symbol for market in listings.markets]
    assert len(set(symbols)) == len(symbols)
    for market in listings.markets:
        assert await exchange.symbol(market.symbol) == market.symbol
        assert market.active is True
        settled = f":{market.settle}" if market.settle else ""
        assert market.symbol == f"{market.base}/{market.quote}{settled}"
        assert market.kind == ("swap" if settled else "spot")


async def test_well_known_assets_are_listed_as_spot_in_each_quote_and_as_swaps_in_usdt() -> None:
    markets = (await at(NOW).listings()).markets
    assert [market.symbol for market in markets if market.base == "PEPE"] == [
        *(f"PEPE/{quote}" for quote in ("ETH", "BTC", "EUR", "GBP", "DAI", "USDC", "USDT", "USD", "JPY")),
        "PEPE/USDT:USDT",
    ]
    assert {market.quote for market in markets if market.kind == "swap"} == {"USDT"}


async def test_two_quotes_are_listed_one_way_round_only() -> None:
    symbols = {market.symbol for market in (await at(NOW).listings()).markets}
    assert {"ETH/BTC", "BTC/EUR", "EUR/USD", "USDC/USDT", "USD/JPY"} <= symbols
    assert not {"BTC/ETH", "EUR/BTC", "USD/EUR", "USDT/USDC", "JPY/USD"} & symbols
