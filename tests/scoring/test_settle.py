"""Signals whose horizon is over are judged: by which candles, at how many requests, and from when on."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcp_server.domain.candles import Candles, resample
from mcp_server.domain.timeframes import candle_open_ms, from_ms, timeframe_ms
from mcp_server.market.market import Market
from mcp_server.scoring import settle as settling
from mcp_server.scoring.series import Allowance, series_for
from mcp_server.scoring.settle import Settlement, settle, settle_due
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.journal.outcomes import DueRun, SettledOutcome
from tests.scoring.journal import MadeRun, enter_runs, outcome_rows, outcomes_of, write_strategy
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


@pytest.fixture
def exchange() -> MadeExchange:
    made = MadeExchange()
    made.series["BTC/USD", "1h"] = walk(1)
    return made


@pytest.fixture
async def market(exchange: MadeExchange, home: Path) -> AsyncIterator[Market]:
    market = market_of(exchange, home)
    yield market
    await market.close()


async def settled(
    market: Market, exchange: MadeExchange, runs: Sequence[DueRun], *, as_of_ms: int | None = None, seconds: float = 60
) -> Settlement:
    now_ms = exchange.now_ms
    return await settle(market, runs, now_ms if as_of_ms is None else as_of_ms, now_ms, Allowance.of(seconds))


def by_hand(candles: Candles, run: DueRun) -> tuple[str, int, int, float | None, float | None]:
    """The outcome by looking at one candle after another."""
    length = timeframe_ms(run.terms.timeframe)
    entry = candle_open_ms(run.decided_ms, run.terms.timeframe)
    while entry < run.decided_ms:
        entry += length
    if run.answered_ms >= entry + length:
        while entry < run.answered_ms:
            entry += length
    exit_ = entry
    while exit_ + length <= entry + run.terms.horizon_s * 1000:
        exit_ += length
    opened = closed = None
    for place, at in enumerate(candles.open_time_ms.tolist()):
        opened = float(candles.open[place]) if at == entry else opened
        closed = float(candles.close[place]) if at + length == exit_ else closed
    if opened is None or closed is None:
        return "void", entry, exit_, None, None
    return "judged", entry, exit_, opened, closed


def facts(outcome: SettledOutcome) -> tuple[str, int, int, float | None, float | None]:
    return outcome.state, outcome.entry_ms, outcome.exit_ms, outcome.entry_price, outcome.exit_price


async def test_every_outcome_of_many_markets_is_the_one_found_by_hand(market: Market, exchange: MadeExchange) -> None:
    """Gaps, timeframes, slots between candles and late answers, and a timeframe that the exchange does not serve."""
    exchange.now_ms = BEGIN_MS + 60 * DAY_MS
    rng = np.random.default_rng(3)
    truth: dict[tuple[str, str], Candles] = {}
    runs: list[DueRun] = []
    for number, timeframe in enumerate(("1h", "4h", "2h", "1h", "1d")):
        symbol = f"M{number}/USD"
        base = {"2h": "1h", "1d": "4h"}.get(timeframe, timeframe)
        exchange.series[symbol, base] = walk(number, base, count=700, gaps=0.1)
        truth[symbol, timeframe] = (
            exchange.series[symbol, base] if base == timeframe else resample(exchange.series[symbol, base], timeframe)
        )
        length = timeframe_ms(timeframe)
        last_ms = min(int(truth[symbol, timeframe].open_time_ms[-1]) - 9 * length, exchange.now_ms - 10 * length)
        for _ in range(40):
            decided = int(rng.integers(BEGIN_MS, last_ms))
            decided = decided // HOUR_MS * HOUR_MS if rng.random() < 0.5 else decided
            of = terms(symbol, timeframe, int(rng.choice([1, 3, 6]) * length // 1000 + rng.choice([0, 7])))
            late = int(rng.choice([0, 5_000, length - 1, length, 2 * length]))
            runs.append(due(len(runs), decided, of, late))

    done = await settled(market, exchange, runs)

    assert not done.unsettled
    outcomes = {outcome.execution_id: outcome for outcome in done.outcomes}
    assert len(outcomes) == len(done.outcomes) == len(runs)
    states = set()
    for run in runs:
        outcome = outcomes[run.execution_id]
        assert facts(outcome) == by_hand(truth[run.terms.symbol, run.terms.timeframe], run)
        assert outcome.terms == run.terms
        states.add(outcome.state)
        if outcome.state == "judged":
            assert outcome.entry_price
            assert outcome.exit_price
            assert outcome.r == outcome.exit_price / outcome.entry_price - 1
            assert outcome.funding_bps == 0
        else:
            assert (outcome.r, outcome.funding_bps) == (None, None)
    assert states == {"judged", "void"}


async def test_a_thousand_signals_take_one_pass_over_each_series(market: Market, exchange: MadeExchange) -> None:
    exchange.now_ms = BEGIN_MS + 450 * HOUR_MS
    runs = []
    for number in range(5):
        exchange.series[f"M{number}/USD", "1h"] = walk(number, count=450)
        runs += [due(1000 * number + hour, BEGIN_MS + hour * HOUR_MS, terms(f"M{number}/USD")) for hour in range(200)]
    done = await settled(market, exchange, runs)
    assert [outcome.state for outcome in done.outcomes] == ["judged"] * 1000
    assert exchange.requests == {(f"M{number}/USD", "1h"): 1 for number in range(5)}
    assert exchange.sent == 5 * 223, "no candle more than from the first entry to the last exit"
    again = await settled(market, exchange, runs)
    assert again.outcomes == done.outcomes
    assert sum(exchange.requests.values()) == 5, "what is known is not asked for again"


async def test_one_call_enters_the_oldest_outcomes_and_tells_all(
    market: Market, exchange: MadeExchange, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal's file belongs to the runs: whoever settles years at once does not hold it for long."""
    monkeypatch.setattr(settling, "MOST_KEPT", 10)
    latest_first = [MadeRun(BEGIN_MS + (30 - hour) * HOUR_MS, "BUY", terms=terms()) for hour in range(1, 26)]
    enter_runs(home, write_strategy(home), latest_first)
    now, numbers = from_ms(exchange.now_ms), []
    for _ in range(3):
        done = await settle_due(outcomes_of(home), market, now, now, 60, keep=True)
        numbers.append((len(done.outcomes), sorted(outcome_rows(home))))
    assert numbers == [(25, list(range(16, 26))), (15, list(range(6, 26))), (5, list(range(1, 26)))]
    assert sum(exchange.requests.values()) == 1


async def test_a_home_without_any_run_has_nothing_to_settle(market: Market, exchange: MadeExchange, home: Path) -> None:
    now = from_ms(exchange.now_ms)
    assert await settle_due(outcomes_of(home), market, now, now, 60, keep=True) == Settlement()
    assert not exchange.requests


async def test_signals_far_apart_take_no_candles_in_between(market: Market, exchange: MadeExchange) -> None:
    exchange.now_ms = BEGIN_MS + 3_000 * HOUR_MS
    exchange.series["BTC/USD", "1h"] = walk(1, count=3_000)
    runs = [due(number, BEGIN_MS + at * HOUR_MS, terms()) for number, at in enumerate((0, 2_900))]
    done = await settled(market, exchange, runs)
    assert [outcome.state for outcome in done.outcomes] == ["judged", "judged"]
    assert exchange.sent == 48


async def test_an_outcome_is_there_ten_minutes_after_its_exit_closed_and_not_before(
    market: Market, exchange: MadeExchange
) -> None:
    run = due(1, BEGIN_MS + 10 * HOUR_MS, terms())
    exit_ms = BEGIN_MS + 34 * HOUR_MS
    for now_ms in (exit_ms - 1, exit_ms + TEN_MINUTES_MS - 1):
        exchange.now_ms = now_ms
        assert await settled(market, exchange, [run]) == Settlement()
    assert not exchange.requests, "nothing is fetched for a signal whose horizon is open"
    exchange.now_ms = exit_ms + TEN_MINUTES_MS
    (outcome,) = (await settled(market, exchange, [run])).outcomes
    assert facts(outcome) == by_hand(exchange.series["BTC/USD", "1h"], run)
    exchange.now_ms += DAY_MS
    assert await settled(market, exchange, [run], as_of_ms=exit_ms + TEN_MINUTES_MS - 1) == Settlement()
    assert (await settled(market, exchange, [run], as_of_ms=exit_ms + TEN_MINUTES_MS)).outcomes == [outcome]


async def test_simulated_candles_are_judged_too(market: Market, exchange: MadeExchange) -> None:
    symbols = ("BTC/USDT", "BTC/USDT:USDT")
    runs = [due(number, BEGIN_MS, terms(symbol, exchange="simulated")) for number, symbol in enumerate(symbols)]
    done = await settled(market, exchange, runs)
    for run, outcome in zip(runs, done.outcomes, strict=True):
        series = Series("simulated", run.terms.symbol, "1h")
        gathered = await series_for(market, series, [(BEGIN_MS, BEGIN_MS + DAY_MS)], exchange.now_ms, Allowance.of(60))
        assert facts(outcome) == by_hand(gathered.candles, run)
        assert outcome.state == "judged"
    assert done.outcomes[0].funding_bps == 0
    assert done.outcomes[1].funding_bps != 0
    assert not exchange.requests


async def test_imported_candles_are_enough_without_the_exchange(exchange: MadeExchange, home: Path) -> None:
    candles = walk(5, "1m", count=2_000)
    database = Database(home / "claude_trader.duckdb")
    known = (BEGIN_MS, BEGIN_MS + 2_000 * 60_000)
    CandleStore(database).save(Series("made", "OLD/USD", "1m"), candles, known, begins=True)
    exchange.reachable = False
    market = market_of(exchange, home)
    run = due(1, BEGIN_MS + 3 * HOUR_MS, terms("OLD/USD", "1h"))
    done = await settled(market, exchange, [run])
    await market.close()
    assert [facts(outcome) for outcome in done.outcomes] == [by_hand(resample(candles, "1h"), run)]
    assert done.outcomes[0].state == "judged"


async def test_candles_of_a_series_come_with_what_is_known_of_them(market: Market, exchange: MadeExchange) -> None:
    wanted = [(BEGIN_MS + 5 * HOUR_MS, BEGIN_MS + 50 * HOUR_MS)]
    series = Series("made", "BTC/USD", "1h")
    gathered = await series_for(market, series, wanted, exchange.now_ms, Allowance.of(60))
    assert gathered.candles.open_time_ms.tolist() == list(range(*wanted[0], HOUR_MS))
    assert (list(gathered.ranges), gathered.problem, gathered.cut) == (wanted, None, False)
    until_ms = BEGIN_MS + 20 * HOUR_MS + 59_000
    earlier = await series_for(market, series, wanted, until_ms, Allowance.of(60))
    assert earlier.candles.open_time_ms.tolist() == list(range(wanted[0][0], until_ms - HOUR_MS, HOUR_MS))
    assert list(earlier.ranges) == [(wanted[0][0], BEGIN_MS + 20 * HOUR_MS)]
