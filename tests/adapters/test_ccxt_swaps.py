"""Perpetual swaps through ccxt's own classes: funding, open interest, and what was settled in the past."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.adapters.ccxt.perpetuals import fetch_fundings, fetch_fundings_between
from mcp_server.domain.exchange import Funding, PerpetualState
from mcp_server.errors import NotSupported, Retryable, UpstreamRejected
from tests.adapters.conftest import HOUR, NOW_MS, reached
from tests.rigs.exchanges.world import FUNDING_MS
from tests.rigs.sampled import sampled
from tests.rigs.stand_in_exchange import Faults, StandInExchange

EIGHT_OCLOCK = NOW_MS // FUNDING_MS * FUNDING_MS
NEXT_MS = EIGHT_OCLOCK + FUNDING_MS
LINEAR, INVERSE = "BTC/USDT:USDT", "BTC/USD:BTC"
PATHS = {LINEAR: "/fapi/v1", INVERSE: "/dapi/v1"}

every_swap = pytest.mark.parametrize("symbol", PATHS)
REFUSAL = '{"code": -1, "msg": "not today"}'


# Now


@every_swap
async def test_a_swap_has_its_next_funding_its_prices_and_what_is_open_in_base_or_in_contracts(
    rig: StandInExchange, binance: CcxtExchange, symbol: str
) -> None:
    base, quote = symbol.partition(":")[0].split("/")
    assert await binance.perpetual_state(symbol) == PerpetualState(
        observed_at_ms=NOW_MS,
        funding_rate=rig.funding_rate(base, NEXT_MS),
        next_funding_ms=NEXT_MS,
        mark_price=rig.mark_price(base, quote),
        index_price=rig.index_price(base, quote),
        open_interest_base=rig.open_interest(base) if symbol == LINEAR else None,
        open_interest_contracts=rig.open_interest(base) if symbol == INVERSE else None,
    )


@every_swap
async def test_what_is_refused_of_a_swap_is_said_and_the_rest_is_told(
    rig: StandInExchange, binance: CcxtExchange, symbol: str
) -> None:
    await binance.symbol(symbol)
    rig.faults = Faults(status=400, body=REFUSAL, path="openInterest")
    state = await binance.perpetual_state(symbol)
    assert state.funding_rate == rig.funding_rate("BTC", NEXT_MS)
    assert state.open_interest_base is state.open_interest_contracts is state.open_interest_quote is None
    (lacking,) = state.lacking
    assert lacking.startswith("No open interest: 'binance' refused the request (it said ")
    assert "not today" in lacking
    assert "://" not in lacking


@every_swap
async def test_a_funding_rate_that_is_refused_leaves_the_open_interest(
    rig: StandInExchange, binance: CcxtExchange, symbol: str
) -> None:
    await binance.symbol(symbol)
    rig.faults = Faults(status=400, body=REFUSAL, path="premiumIndex")
    state = await binance.perpetual_state(symbol)
    assert (state.observed_at_ms, state.funding_rate, state.next_funding_ms, state.mark_price) == (
        NOW_MS,
        None,
        None,
        None,
    )
    assert rig.open_interest("BTC") in (state.open_interest_base, state.open_interest_contracts)
    assert [text.partition(":")[0] for text in state.lacking] == ["No funding rate"]


async def test_a_swap_of_which_nothing_is_told_is_not_supported(rig: StandInExchange, binance: CcxtExchange) -> None:
    await binance.symbol(LINEAR)
    rig.faults = Faults(status=400, body=REFUSAL)
    with pytest.raises(
        NotSupported, match=r"No funding rate: 'binance' refused.*No open interest: 'binance' refused.*hyperliquid"
    ):
        await binance.perpetual_state(LINEAR)


@every_swap
@pytest.mark.parametrize("half", ["premiumIndex", "openInterest"])
@pytest.mark.parametrize("faults", sampled([{"status": 503}, {"dropped": True}, {"status": 429}], 3))
async def test_half_a_swap_that_may_be_told_later_is_worth_asking_again(
    rig: StandInExchange, binance: CcxtExchange, symbol: str, half: str, faults: dict[str, int]
) -> None:
    await binance.symbol(symbol)
    rig.faults = Faults(path=half, **faults)  # type: ignore[arg-type]  # each has the type of its field
    with pytest.raises(Retryable) as caught:
        await binance.perpetual_state(symbol)
    assert type(caught.value) is Retryable
    assert rig.requests[f"{PATHS[symbol]}/{half}"] == 3


async def test_a_passing_fault_of_one_half_is_not_even_noticed(rig: StandInExchange, binance: CcxtExchange) -> None:
    await binance.symbol(LINEAR)
    rig.faults = Faults(status=503, path="openInterest", times=2)
    state = await binance.perpetual_state(LINEAR)
    assert (state.open_interest_base, state.lacking) == (rig.open_interest("BTC"), ())


# The past


@every_swap
@pytest.mark.parametrize(("after_ms", "last_ms"), [(0, EIGHT_OCLOCK), (-1, EIGHT_OCLOCK - FUNDING_MS)])
async def test_the_last_fundings_by_a_moment_are_given_with_that_moment_itself_and_none_later(
    rig: StandInExchange, binance: CcxtExchange, symbol: str, after_ms: int, last_ms: int
) -> None:
    times = [last_ms - 2 * FUNDING_MS, last_ms - FUNDING_MS, last_ms]
    given = await binance.fundings(symbol, EIGHT_OCLOCK + after_ms, 3)
    assert given == [Funding(at, rig.funding_rate("BTC", at)) for at in times]
    assert rig.requests[f"{PATHS[symbol]}/fundingRate"] == 1


@pytest.mark.parametrize("count", [1, 8, 100])
async def test_as_many_fundings_are_given_as_are_wanted_oldest_first(
    rig: StandInExchange, binance: CcxtExchange, count: int
) -> None:
    past_ms = EIGHT_OCLOCK - 1000 * FUNDING_MS + HOUR
    for end_ms in (NOW_MS, past_ms):
        last_ms = end_ms // FUNDING_MS * FUNDING_MS
        times = range(last_ms - (count - 1) * FUNDING_MS, last_ms + 1, FUNDING_MS)
        given = await binance.fundings(LINEAR, end_ms, count)
        assert given == [Funding(at, rig.funding_rate("BTC", at)) for at in times]


async def test_the_next_funding_is_not_among_the_settled_ones_however_far_one_asks(
    rig: StandInExchange, binance: CcxtExchange
) -> None:
    given = await binance.fundings(LINEAR, NEXT_MS, 3)
    assert [funding.time_ms for funding in given] == [EIGHT_OCLOCK - 2 * FUNDING_MS, EIGHT_OCLOCK - FUNDING_MS,
                                                      EIGHT_OCLOCK]  # fmt: skip


async def test_a_young_swap_has_fewer_fundings_and_none_before_its_listing(
    rig: StandInExchange, binance: CcxtExchange
) -> None:
    rig.listed_ms = EIGHT_OCLOCK - FUNDING_MS
    given = await binance.fundings(LINEAR, NOW_MS, 8)
    assert [funding.time_ms for funding in given] == [EIGHT_OCLOCK - FUNDING_MS, EIGHT_OCLOCK]
    assert await binance.fundings(LINEAR, rig.listed_ms - 1, 8) == []


async def test_a_swap_that_is_funded_hourly_gives_its_last_fundings_in_whatever_order_they_come(
    rig: StandInExchange, binance: CcxtExchange
) -> None:
    await binance.symbol(LINEAR)
    times = range(EIGHT_OCLOCK - 72 * HOUR, EIGHT_OCLOCK + 1, HOUR)  # nine times eight hours, both ends included
    rates = {at: f"{at // HOUR % 7 / 10_000}" for at in times} | {times[-4]: ""}
    rows = [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": rate} for at, rate in rates.items()]
    rig.faults = Faults(status=200, body=json.dumps([*rows[1::2], *rows[::2]]), path="fundingRate")
    given = await binance.fundings(LINEAR, EIGHT_OCLOCK, 8)
    whole = [at for at in times if at != times[-4]]
    assert given == [Funding(at, at // HOUR % 7 / 10_000) for at in whole[-8:]]


async def test_a_refused_history_is_the_exchanges_refusal(rig: StandInExchange, binance: CcxtExchange) -> None:
    await binance.symbol(LINEAR)
    rig.faults = Faults(status=400, body=REFUSAL, path="fundingRate")
    with pytest.raises(UpstreamRejected, match="'binance' refused the request"):
        await binance.fundings(LINEAR, NOW_MS, 3)


@every_swap
async def test_fundings_of_a_range_are_given_with_both_of_its_ends(
    rig: StandInExchange, binance: CcxtExchange, symbol: str
) -> None:
    first_ms = EIGHT_OCLOCK - 40 * FUNDING_MS
    times = range(first_ms, EIGHT_OCLOCK + 1, FUNDING_MS)
    whole = [Funding(at, rig.funding_rate("BTC", at)) for at in times]
    assert await binance.fundings_between(symbol, first_ms, EIGHT_OCLOCK) == whole
    assert await binance.fundings_between(symbol, first_ms + 1, EIGHT_OCLOCK - 1) == whole[1:-1]
    assert await binance.fundings_between(symbol, first_ms + 1, first_ms + HOUR) == []


class PagingClient:
    """What is asked of ccxt's client of an exchange that cuts its answers, of the oldest or of the newest fundings."""

    def __init__(self, interval_ms: int, *, newest_first: bool, knows_until: bool = True) -> None:
        self.id, self.has = "careful", {"fetchFundingRateHistory": True}
        self.interval_ms = interval_ms
        self.newest_first = newest_first
        self.knows_until = knows_until

    def market(self, symbol: str) -> dict[str, bool]:
        return {"swap": True}

    async def fetch_funding_rate_history(
        self, symbol: str, since: int, limit: int, params: dict[str, int]
    ) -> list[dict[str, float]]:
        assert limit <= 100, "it refuses to be asked for more"
        until = params["until"] if self.knows_until else NOW_MS
        times = range(-(-since // self.interval_ms) * self.interval_ms, until + 1, self.interval_ms)
        cut = times[-limit:] if self.newest_first else times[:limit]
        return [{"timestamp": at, "fundingRate": 0.0001} for at in cut]


async def _at_once(request: Callable[[], Awaitable[Any]]) -> Any:
    return await request()


@pytest.mark.parametrize("hours", [1, 4, 8])
@pytest.mark.parametrize("newest_first", [True, False])
async def test_the_end_of_a_long_range_is_whole_however_an_exchange_cuts_its_answers(
    hours: int, newest_first: bool
) -> None:
    client = PagingClient(hours * HOUR, newest_first=newest_first)
    for start_ms in (EIGHT_OCLOCK - 5000 * HOUR, EIGHT_OCLOCK - 790 * HOUR, EIGHT_OCLOCK):
        fundings = await fetch_fundings_between(_at_once, client, LINEAR, start_ms, EIGHT_OCLOCK)
        times = [funding.time_ms for funding in fundings]
        assert times == list(range(times[0], EIGHT_OCLOCK + 1, hours * HOUR))
        assert len(times) >= min((EIGHT_OCLOCK - start_ms) // (hours * HOUR) + 1, 100)
    last = await fetch_fundings(_at_once, client, LINEAR, EIGHT_OCLOCK, 101)
    assert [funding.time_ms for funding in last][-100:] == [
        EIGHT_OCLOCK - number * hours * HOUR for number in reversed(range(100))
    ]


async def test_an_exchange_that_gives_only_its_latest_fundings_gives_none_of_an_older_range() -> None:
    client = PagingClient(FUNDING_MS, newest_first=True, knows_until=False)
    ended_ms = EIGHT_OCLOCK - 500 * FUNDING_MS
    assert await fetch_fundings_between(_at_once, client, LINEAR, ended_ms - 9 * FUNDING_MS, ended_ms) == []


# Spot


@pytest.mark.parametrize(("name", "symbol"), [("binance", "BTC/USDT"), ("kraken", "BTC/USD"), ("coinbase", "BTC/USD")])
async def test_a_spot_market_has_neither_and_other_exchanges_are_named(
    rig: StandInExchange, name: str, symbol: str
) -> None:
    said = f"'{symbol}' on '{name}' is no perpetual swap.*Try exchange='krakenfutures', 'hyperliquid' or 'binance'"
    async with reached(name, rig) as exchange:
        await exchange.symbol(symbol)
        rig.requests.clear()
        with pytest.raises(NotSupported, match=said):
            await exchange.perpetual_state(symbol)
        with pytest.raises(NotSupported, match=said):
            await exchange.fundings(symbol, NOW_MS, 3)
    assert not rig.requests
