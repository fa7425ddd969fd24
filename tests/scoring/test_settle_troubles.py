"""What cannot be judged: pending as long as it may still come, void once it cannot; never right or wrong."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import Retryable
from mcp_server.market.history import History
from mcp_server.market.market import Market
from mcp_server.scoring import series as gathering
from mcp_server.scoring.series import Allowance, series_for
from mcp_server.scoring.settle import GONE_MS, Settlement, settle
from mcp_server.storage.candles.store import Series
from mcp_server.storage.journal.outcomes import DueRun
from tests.scoring.made_exchange import (
    BEGIN_MS,
    DAY_MS,
    HOUR_MS,
    TEN_MINUTES_MS,
    MadeExchange,
    due,
    market_of,
    terms,
    walk,
)

SWAP = "BTC/USD:USD"
EXIT_MS = BEGIN_MS + 34 * HOUR_MS
RUN = due(1, BEGIN_MS + 10 * HOUR_MS, terms())
ON_SWAP = due(1, BEGIN_MS + 10 * HOUR_MS, terms(SWAP))


@pytest.fixture
def exchange() -> MadeExchange:
    made = MadeExchange(now_ms=EXIT_MS + HOUR_MS)
    made.series["BTC/USD", "1h"] = made.series[SWAP, "1h"] = walk(1)
    made.settled[SWAP] = [
        Funding(at, 0.0001) for at in range(BEGIN_MS - 4 * DAY_MS, BEGIN_MS + 90 * DAY_MS, 8 * HOUR_MS)
    ]
    return made


@pytest.fixture
async def market(exchange: MadeExchange, home: Path) -> AsyncIterator[Market]:
    market = market_of(exchange, home)
    yield market
    await market.close()


async def settled(market: Market, exchange: MadeExchange, *runs: DueRun, seconds: float = 60) -> Settlement:
    return await settle(market, runs, exchange.now_ms, exchange.now_ms, Allowance.of(seconds))


def states(settlement: Settlement) -> dict[int, str]:
    return {outcome.execution_id: outcome.state for outcome in settlement.outcomes}


def without(candles: Candles, *opened_ms: int) -> Candles:
    there = ~np.isin(candles.open_time_ms, opened_ms)
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Candles(candles.open_time_ms[there], *(column[there] for column in columns))


@pytest.mark.parametrize("missing_ms", [RUN.decided_ms, EXIT_MS - HOUR_MS])
async def test_a_candle_that_the_exchange_does_not_have_makes_it_void(
    market: Market, exchange: MadeExchange, missing_ms: int
) -> None:
    exchange.series["BTC/USD", "1h"] = without(walk(1), missing_ms)
    done = await settled(market, exchange, RUN)
    assert (states(done), done.unsettled) == ({1: "void"}, [])
    (outcome,) = done.outcomes
    assert (outcome.entry_ms, outcome.exit_ms) == (RUN.decided_ms, EXIT_MS)
    assert (outcome.entry_price, outcome.exit_price, outcome.r, outcome.funding_bps) == (None,) * 4


async def test_a_candle_missing_in_between_changes_nothing(market: Market, exchange: MadeExchange) -> None:
    whole = (await settled(market, exchange, RUN)).outcomes
    other = MadeExchange(now_ms=exchange.now_ms)
    other.series["ETH/USD", "1h"] = without(walk(1), *range(RUN.decided_ms + HOUR_MS, EXIT_MS - HOUR_MS, HOUR_MS))
    exchange.series |= other.series
    (outcome,) = (await settled(market, exchange, due(1, RUN.decided_ms, terms("ETH/USD")))).outcomes
    assert (outcome.entry_price, outcome.r) == (whole[0].entry_price, whole[0].r)


async def test_an_exchange_that_is_away_leaves_it_pending_however_long_and_judges_it_when_it_is_back(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.reachable = False
    for wait_ms in (0, GONE_MS, 30 * DAY_MS):
        exchange.now_ms = EXIT_MS + HOUR_MS + wait_ms
        done = await settled(market, exchange, RUN, due(2, BEGIN_MS, terms()))
        assert not done.outcomes
        (unsettled,) = done.unsettled
        assert (unsettled.count, unsettled.series) == (2, Series("made", "BTC/USD", "1h"))
        assert "2 signals of BTC/USD on made (1h)" in str(unsettled)
        assert "'made' cannot be reached or is not available." in str(unsettled), "cleaned of what cannot be seen"
        assert "Try again" not in str(unsettled)
    exchange.reachable = True
    assert states(await settled(market, exchange, RUN)) == {1: "judged"}


async def test_one_market_that_cannot_be_asked_keeps_no_other_from_being_judged(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.unlisted.add("GONE/USD")
    done = await settled(market, exchange, due(1, BEGIN_MS, terms("GONE/USD")), due(2, BEGIN_MS, terms()))
    assert states(done) == {2: "judged"}
    assert [(one.series.symbol, one.count) for one in done.unsettled] == [("GONE/USD", 1)]


async def test_a_market_that_is_gone_is_void_seven_days_after_the_exit_and_not_before(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.unlisted.add("BTC/USD")
    exchange.now_ms = EXIT_MS + GONE_MS - 1
    done = await settled(market, exchange, RUN)
    assert not done.outcomes
    assert "Unknown symbol 'BTC/USD'" in done.unsettled[0].why
    exchange.now_ms += 1
    done = await settled(market, exchange, RUN)
    assert (states(done), done.unsettled) == ({1: "void"}, [])


async def test_what_is_stored_of_a_market_that_is_gone_is_still_judged(market: Market, exchange: MadeExchange) -> None:
    before, after = due(1, BEGIN_MS, terms()), due(2, BEGIN_MS + 30 * HOUR_MS, terms())
    await market.candles("made", "BTC/USD", "1h", 40, from_ms(BEGIN_MS + 40 * HOUR_MS))
    exchange.now_ms = BEGIN_MS + 60 * HOUR_MS
    exchange.unlisted.add("BTC/USD")
    done = await settled(market, exchange, before, after)
    assert (states(done), [one.count for one in done.unsettled]) == ({1: "judged"}, [1])
    exchange.now_ms += GONE_MS
    assert states(await settled(market, exchange, before, after)) == {1: "judged", 2: "void"}


async def test_a_market_that_sends_nothing_any_more_is_void_only_if_it_is_not_traded(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.blank = True
    exchange.now_ms = EXIT_MS + GONE_MS
    done = await settled(market, exchange, RUN)
    assert (states(done), [one.count for one in done.unsettled]) == ({}, [1]), "it is listed: an empty answer may pass"
    exchange.halted.add("BTC/USD")
    exchange.now_ms -= 1
    assert not (await settled(market, exchange, RUN)).outcomes
    exchange.now_ms += 1
    assert states(await settled(market, exchange, RUN)) == {1: "void"}


async def test_an_empty_answer_on_a_bad_day_is_no_reason_to_give_a_signal_up(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.blank = True
    done = await settled(market, exchange, RUN)
    assert not done.outcomes
    assert "has not sent all of their candles yet" in done.unsettled[0].why
    exchange.blank = False
    assert states(await settled(market, exchange, RUN)) == {1: "judged"}


async def test_what_is_stored_but_could_not_be_read_in_time_is_not_void(
    market: Market, exchange: MadeExchange, home: Path
) -> None:
    await market.candles("made", "BTC/USD", "1h", 40, from_ms(BEGIN_MS + 40 * HOUR_MS))
    await market.close()
    later = market_of(exchange, home)
    done = await settled(later, exchange, RUN, seconds=0)
    assert not done.outcomes
    assert "there was no time" in done.unsettled[0].why
    assert states(await settled(later, exchange, RUN)) == {1: "judged"}
    assert sum(exchange.requests.values()) == 1
    await later.close()


async def test_what_is_stored_but_was_not_reached_any_more_is_not_void(
    market: Market, exchange: MadeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "STORED", 20)
    exchange.now_ms = BEGIN_MS + 100 * HOUR_MS
    await market.candles("made", "BTC/USD", "1h", 90, from_ms(BEGIN_MS + 90 * HOUR_MS))
    read, times = market.candles, []

    async def once(exchange_id: str, symbol: str, timeframe: str, count: int, as_of: datetime) -> History:
        times.append(as_of)
        if len(times) > 1:
            raise Retryable("The database is held by another program.")
        return await read(exchange_id, symbol, timeframe, count, as_of)

    monkeypatch.setattr(market, "candles", once)
    runs = [due(number, BEGIN_MS + number * HOUR_MS, terms(horizon_s=3600)) for number in range(40)]
    done = await settled(market, exchange, *runs)
    assert states(done) == dict.fromkeys(range(20), "judged")
    assert str(done.unsettled[0]).endswith("cannot be judged yet: The database is held by another program.")
    assert done.unsettled[0].count == 20


async def test_one_call_asks_for_so_much_only_and_the_next_goes_on_with_what_is_left(
    market: Market, exchange: MadeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oldest first: a record of years is judged over several calls, and each candle is fetched once."""
    monkeypatch.setattr(gathering, "FETCHED", 100)
    exchange.a_request = 100
    exchange.now_ms = BEGIN_MS + 400 * HOUR_MS
    runs = [due(hour, BEGIN_MS + hour * HOUR_MS, terms()) for hour in range(370)]
    judged: set[int] = set()
    for _ in range(4):
        allowance = Allowance.of(60)
        allowance.requests = 1
        done = await settle(market, runs, exchange.now_ms, exchange.now_ms, allowance)
        new = {outcome.execution_id for outcome in done.outcomes}
        assert {outcome.state for outcome in done.outcomes} == {"judged"}
        assert new > judged
        assert new == set(range(len(new))), "the oldest"
        left = sum(one.count for one in done.unsettled)
        assert left == 370 - len(new)
        assert not left or "no time" in done.unsettled[0].why
        judged = new
    assert judged == set(range(370))
    assert exchange.sent == 393
    assert exchange.requests["BTC/USD", "1h"] == 4


async def test_what_takes_more_requests_than_a_call_may_make_gets_on_with_each_call(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.a_request = 10
    exchange.now_ms = BEGIN_MS + 400 * HOUR_MS
    run, counts = due(1, BEGIN_MS, terms(horizon_s=95 * 3600)), []
    for _ in range(4):
        allowance = Allowance.of(60)
        allowance.requests = 3
        done = await settle(market, [run], exchange.now_ms, exchange.now_ms, allowance)
        counts.append(exchange.sent)
    assert counts == [28, 56, 85, 95]
    assert states(done) == {1: "judged"}


async def test_what_takes_many_requests_is_fetched_and_kept_a_few_at_a_time(
    market: Market, exchange: MadeExchange
) -> None:
    """So a slow exchange gets on though a call has no time for all; even where one candle takes many requests."""
    exchange.a_request, exchange.served = 1, ["1h"]
    exchange.now_ms = BEGIN_MS + 400 * HOUR_MS
    assert states(await settled(market, exchange, due(1, BEGIN_MS, terms(horizon_s=60 * 3600)))) == {1: "judged"}
    assert exchange.requests["BTC/USD", "1h"] == 6
    daily = due(2, BEGIN_MS, terms("ETH/USD", "1d", horizon_s=2 * 86_400))
    exchange.series["ETH/USD", "1h"] = walk(2)
    assert states(await settled(market, exchange, daily)) == {2: "judged"}
    assert exchange.requests["ETH/USD", "1h"] == 2


@pytest.mark.parametrize("held", ["candles", "symbol", "listings", "fundings_between"])
async def test_an_exchange_that_does_not_answer_takes_no_more_than_the_time_of_the_call(
    market: Market, exchange: MadeExchange, held: str
) -> None:
    exchange.held = held
    exchange.blank = held == "listings"
    exchange.now_ms = EXIT_MS + GONE_MS
    done = await settled(market, exchange, ON_SWAP, seconds=0.05)
    assert not done.outcomes
    assert [one.count for one in done.unsettled] == [1]
    exchange.held, exchange.blank = None, False
    assert states(await settled(market, exchange, ON_SWAP)) == {1: "judged"}


async def test_requests_are_allowed_to_all_markets_together(market: Market, exchange: MadeExchange) -> None:
    exchange.series |= {(f"M{number}/USD", "1h"): walk(number) for number in range(5)}
    allowance = Allowance.of(60)
    allowance.requests = 3
    runs = [due(number, BEGIN_MS + number * HOUR_MS, terms(f"M{number}/USD", horizon_s=3600)) for number in range(5)]
    done = await settle(market, runs, exchange.now_ms, exchange.now_ms, allowance)
    assert len(done.outcomes) == 3
    assert sum(exchange.requests.values()) == 3
    assert len(done.unsettled) == 2


async def test_a_horizon_below_one_candle_is_void(market: Market, exchange: MadeExchange) -> None:
    done = await settled(market, exchange, due(2, BEGIN_MS, terms(horizon_s=1800)), RUN)
    assert states(done) == {1: "judged", 2: "void"}


async def test_a_swap_pays_its_fundings(market: Market, exchange: MadeExchange) -> None:
    (outcome,) = (await settled(market, exchange, ON_SWAP)).outcomes
    candles = exchange.series[SWAP, "1h"]
    opens = dict(zip(candles.open_time_ms.tolist(), candles.open.tolist(), strict=True))
    times = [
        funding.time_ms for funding in exchange.settled[SWAP] or () if ON_SWAP.decided_ms < funding.time_ms <= EXIT_MS
    ]
    assert len(times) == 3
    expected = sum(0.0001 * opens[at] for at in times) / opens[ON_SWAP.decided_ms] * 10_000
    assert outcome.funding_bps == pytest.approx(expected)
    assert exchange.requests == {(SWAP, "1h"): 1, (SWAP, "fundings"): 1}


async def test_fundings_that_may_still_come_leave_it_pending_and_those_that_never_came_make_it_void(
    market: Market, exchange: MadeExchange
) -> None:
    whole = exchange.settled[SWAP] or ()
    exchange.settled[SWAP] = [funding for funding in whole if funding.time_ms < EXIT_MS - DAY_MS]
    done = await settled(market, exchange, ON_SWAP)
    assert not done.outcomes
    assert "has not sent all of their fundings yet" in done.unsettled[0].why
    exchange.now_ms = EXIT_MS + GONE_MS - 1
    assert not (await settled(market, exchange, ON_SWAP)).outcomes
    exchange.now_ms += 1
    assert states(await settled(market, exchange, ON_SWAP)) == {1: "void"}
    exchange.settled[SWAP] = whole
    assert states(await settled(market, exchange, ON_SWAP)) == {1: "judged"}, "they came before it was given up"


async def test_fundings_that_cannot_be_asked_for_leave_it_pending_however_long(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.fundings_reachable = False
    exchange.now_ms = EXIT_MS + GONE_MS + DAY_MS
    done = await settled(market, exchange, ON_SWAP)
    assert not done.outcomes
    assert "does not answer for its fundings" in done.unsettled[0].why
    exchange.fundings_reachable = True
    assert states(await settled(market, exchange, ON_SWAP)) == {1: "judged"}


async def test_a_swap_of_an_exchange_without_a_history_of_fundings_is_void(
    market: Market, exchange: MadeExchange
) -> None:
    exchange.settled[SWAP] = None
    done = await settled(market, exchange, ON_SWAP, RUN)
    assert [outcome.state for outcome in done.outcomes] == ["void", "judged"]


async def test_what_could_not_be_fetched_is_never_known(market: Market, exchange: MadeExchange) -> None:
    exchange.now_ms = EXIT_MS + TEN_MINUTES_MS
    wanted = [(BEGIN_MS, EXIT_MS)]
    exchange.reachable = False
    gathered = await series_for(market, Series("made", "BTC/USD", "1h"), wanted, exchange.now_ms, Allowance.of(60))
    assert (len(gathered.candles), list(gathered.ranges), gathered.problem is None) == (0, [], False)
