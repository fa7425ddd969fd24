"""Outcomes in the journal: whatever the order in which they are settled, each is entered once, true, and stays."""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.exchange import Funding
from mcp_server.domain.scoring.terms import Terms
from mcp_server.domain.timeframes import KNOWN_AFTER_MS, from_ms, naive
from mcp_server.market.history import LATE_MS
from mcp_server.scoring.settle import GONE_MS, Settlement, settle_due
from mcp_server.storage.journal.records import JUDGED, PENDING, VOID, JournalRecord
from tests.scoring.journal import MadeRun, enter_runs, outcome_rows, outcomes_of, write_strategy
from tests.scoring.made_exchange import BEGIN_MS, DAY_MS, HOUR_MS, TEN_MINUTES_MS, MadeExchange, market_of, terms, walk

SWAP = "ETH/USD:USD"


def world() -> MadeExchange:
    """Markets with gaps, a swap with its fundings, and one that will be gone."""
    made = MadeExchange(now_ms=BEGIN_MS + 40 * HOUR_MS)
    for number, symbol in enumerate(("BTC/USD", SWAP, "OLD/USD")):
        made.series[symbol, "1h"] = walk(number, count=800, gaps=0.08)
    times = range(BEGIN_MS - 2 * DAY_MS, BEGIN_MS + 20 * DAY_MS, 8 * HOUR_MS)
    made.settled[SWAP] = [Funding(at, 0.0001 * (1 + place % 3)) for place, at in enumerate(times)]
    return made


def runs() -> list[MadeRun]:
    """Signals of all kinds on all markets, slots between candles, late answers, and runs that ended without one."""
    rng = np.random.default_rng(9)
    made = []
    for number in range(1, 31):
        of = terms(("BTC/USD", SWAP, "OLD/USD")[number % 3], horizon_s=int(rng.choice([1, 6, 24])) * 3600)
        decided = BEGIN_MS + int(rng.integers(0, 60)) * HOUR_MS + (1_234_000 if number % 5 == 0 else 0)
        late = int(rng.choice([1_000, 900_000, 2 * HOUR_MS]))
        ended = ("success", "success", "success", "abstained", "error", "timeout", "running")[number % 7]
        signal = ("BUY", "SELL", "HOLD")[number % 4 % 3] if ended == "success" else None
        trigger = "schedule" if number % 2 else "manual"
        run = MadeRun(decided, signal, trigger=trigger, status=ended, late_ms=late, terms=of, number=number)
        made.append(run)
    return made


def answered_ms(run: MadeRun) -> int:
    return run.decided_ms + run.late_ms


def enter(home: Path, ended: Sequence[MadeRun]) -> None:
    enter_runs(home, write_strategy(home), ended)


def true_prices(exchange: MadeExchange, of: Terms, entry_ms: int, exit_ms: int) -> tuple[float | None, float | None]:
    candles = exchange.series[of.symbol, "1h"]
    opens = dict(zip(candles.open_time_ms.tolist(), candles.open.tolist(), strict=True))
    closes = dict(zip(candles.open_time_ms.tolist(), candles.close.tolist(), strict=True))
    return opens.get(entry_ms), closes.get(exit_ms - HOUR_MS)


async def settled_now(exchange: MadeExchange, home: Path) -> Settlement:
    """Settle as a process does that has just started."""
    market, now = market_of(exchange, home), from_ms(exchange.now_ms)
    try:
        return await settle_due(outcomes_of(home), market, now, now, 60, keep=True)
    finally:
        await market.close()


async def live(exchange: MadeExchange, home: Path, steps: Sequence[tuple[int, str]]) -> dict[int, tuple[Any, ...]]:
    """Let hours pass and troubles come and go, settle after each, and check what is entered; return it."""
    by_number = {run.number or 0: run for run in runs()}
    waiting = sorted(by_number.values(), key=answered_ms)
    seen: dict[int, tuple[Any, ...]] = {}
    for hours, trouble in [*steps, (16 * 24, "none")]:
        exchange.now_ms += hours * HOUR_MS
        exchange.reachable, exchange.blank = trouble != "away", trouble == "blank"
        exchange.fundings_reachable = trouble != "no fundings"
        ended = [run for run in waiting if answered_ms(run) <= exchange.now_ms]
        waiting = [run for run in waiting if answered_ms(run) > exchange.now_ms]
        if ended:
            enter(home, ended)
        await settled_now(exchange, home)
        rows = outcome_rows(home)
        assert {number: rows.get(number) for number in seen} == seen, "what is settled never changes"
        for number in rows.keys() - seen.keys():
            _, entry, entry_price, exit_, exit_price, r, cost, _, horizon, _, state, settled_at = rows[number]
            run, times = by_number[number], [round(at.timestamp() * 1000) for at in map(_aware, (entry, exit_))]
            assert run.signal is not None
            assert run.terms is not None
            assert times[1] + TEN_MINUTES_MS <= exchange.now_ms
            assert (cost, horizon, settled_at) == (30.0, run.terms.horizon_s, naive(from_ms(exchange.now_ms)))
            prices = true_prices(exchange, run.terms, times[0], times[1])
            if state == "judged":
                assert (entry_price, exit_price) == prices
                assert r == exit_price / entry_price - 1
            else:
                gone = exchange.now_ms >= times[1] + GONE_MS
                late = any((run.terms.symbol, at) in exchange.late_ms for at in (times[0], times[1] - HOUR_MS))
                assert None in prices or late or gone
                assert (entry_price, exit_price, r) == (None, None, None)
        seen = rows
    assert seen.keys() == {run.number for run in by_number.values() if run.signal}
    return seen


def _aware(moment: Any) -> Any:
    return moment.replace(tzinfo=from_ms(0).tzinfo)


TROUBLES = st.sampled_from(["none", "none", "away", "blank", "no fundings"])


@pytest.mark.long
@settings(max_examples=3, deadline=None, derandomize=True, database=None)
@given(steps=st.lists(st.tuples(st.integers(0, 30), TROUBLES), min_size=1, max_size=3))
def test_whatever_the_order_of_settling_every_outcome_is_entered_once_and_as_if_settled_at_the_end(
    steps: list[tuple[int, str]],
) -> None:
    check(steps)


def test_after_being_away_every_outcome_is_entered_once_and_as_if_settled_at_the_end() -> None:
    check([(60, "away"), (1, "no fundings"), (0, "none")])


def check(steps: list[tuple[int, str]]) -> None:
    """Each step is a new process over the same home: it may be away from the exchange, or be sent nothing."""
    with tempfile.TemporaryDirectory() as folder:
        rows = anyio.run(live, world(), Path(folder), steps)
    assert without_moment(rows) == at_the_end()


@cache
def at_the_end() -> dict[int, tuple[Any, ...]]:
    """What one process settles that looks only once all is over."""
    exchange = world()
    exchange.now_ms += 20 * DAY_MS
    with tempfile.TemporaryDirectory() as folder:
        enter(Path(folder), runs())
        anyio.run(settled_now, exchange, Path(folder))
        return without_moment(outcome_rows(Path(folder)))


def without_moment(rows: dict[int, tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    return {number: row[:-1] for number, row in rows.items()}


LATENESS = st.dictionaries(
    st.tuples(st.sampled_from(["BTC/USD", SWAP]), st.integers(0, 85).map(lambda hour: BEGIN_MS + hour * HOUR_MS)),
    st.sampled_from([60_000, HOUR_MS // 2, 5 * HOUR_MS]),
    min_size=10,
    max_size=60,
)


@settings(max_examples=2, deadline=None, derandomize=True, database=None)
@given(steps=st.lists(st.tuples(st.integers(1, 20), st.just("none")), min_size=2, max_size=3), late_ms=LATENESS)
def test_a_candle_that_comes_late_changes_no_outcome_that_was_settled_before_it(
    steps: list[tuple[int, str]], late_ms: dict[tuple[str, int], int]
) -> None:
    exchange = world()
    exchange.late_ms = late_ms
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(live, exchange, Path(folder), steps)


def test_ten_minutes_after_its_close_a_candle_is_known_for_good_and_so_is_an_outcome() -> None:
    assert KNOWN_AFTER_MS == LATE_MS == TEN_MINUTES_MS


def compared(records: Sequence[JournalRecord]) -> list[Any]:
    """Return all that a record tells of its outcomes."""
    told = []
    for record in records:
        columns = {
            name: getattr(record, name).tolist() for name in ("execution_id", "signal", "state", "entry_ms", "exit_ms")
        }
        figures = [np.nan_to_num(getattr(record, name), nan=-9).tolist() for name in ("r", "cost_bps", "funding_bps")]
        told.append((record.strategy, record.kind, columns, figures))
    return told


@pytest.mark.parametrize(
    ("moments", "then"),
    [([24], {JUDGED, PENDING}), pytest.param([7, 24, 48.1, 70], {JUDGED, VOID, PENDING}, marks=pytest.mark.long)],
)
async def test_as_of_a_moment_the_record_is_that_of_a_home_cut_off_then(
    tmp_path: Path, moments: list[float], then: set[int]
) -> None:
    """The one home has settled all, some of it long after; the other one has no run that ended later."""
    whole = tmp_path / "whole"
    whole.mkdir()
    enter(whole, runs())
    exchange = world()
    exchange.now_ms = BEGIN_MS + 50 * HOUR_MS
    await settled_now(exchange, whole)
    exchange.now_ms = BEGIN_MS + 30 * DAY_MS
    kept = await some_settled(exchange, whole)
    states = set()
    for number, hours in enumerate(moments):
        at_ms = BEGIN_MS + int(hours * HOUR_MS)
        cut = tmp_path / str(number)
        cut.mkdir()
        enter(cut, [run for run in runs() if answered_ms(run) <= at_ms])
        told = []
        for home in (whole, cut):
            market, outcomes = market_of(exchange, home), outcomes_of(home)
            at = from_ms(at_ms)
            computed = (await settle_due(outcomes, market, at, from_ms(exchange.now_ms), 60, keep=False)).outcomes
            told.append(compared(outcomes.records(at, computed=computed)))
            await market.close()
        assert told[0] == told[1]
        states |= {state for record in told[0] for state in record[2]["state"]}
        assert outcome_rows(cut) == {}, "under a past as-of nothing is written"
    assert outcome_rows(whole) == kept
    assert states >= then


async def some_settled(exchange: MadeExchange, home: Path) -> dict[int, tuple[Any, ...]]:
    """Settle what there is, but for the swap: its outcomes are still to be computed."""
    exchange.fundings_reachable = False
    await settled_now(exchange, home)
    exchange.fundings_reachable = True
    rows = outcome_rows(home)
    ended = {run.number for run in runs() if run.signal}
    assert rows.keys() < ended
    return rows
