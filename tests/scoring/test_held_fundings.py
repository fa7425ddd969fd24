"""What a long position pays for fundings while a signal is open, against values worked out by hand."""

import numpy as np
import pytest

from mcp_server.domain.backtest.fundings import missing_fundings, missing_times
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.scoring.held_fundings import held_fundings
from mcp_server.domain.timeframes import timeframe_ms
from tests.scoring.made_exchange import walk

HOUR = 3_600_000
MIDNIGHT = 1_780_012_800_000 // (24 * HOUR) * 24 * HOUR


def hourly(*missing: int) -> Candles:
    """Candles since midnight that open at 100, 101, … and close half a dollar higher."""
    hours = [hour for hour in range(48) if hour not in missing]
    rows = [(MIDNIGHT + h * HOUR, 100.0 + h, 200.0, 50.0, 100.5 + h, 1.0) for h in hours]
    return Candles.from_rows(rows)


def settled(*hours: float, rate: float = 0.001) -> list[Funding]:
    return [Funding(MIDNIGHT + int(hour * HOUR), rate * (place + 1)) for place, hour in enumerate(hours)]


def paid(candles: Candles, fundings: list[Funding], entry: float, until: float) -> float:
    times = (np.array([MIDNIGHT + int(at * HOUR)], dtype=np.int64) for at in (entry, until))
    return float(held_fundings(candles, "1h", fundings, *times)[0])


def test_each_funding_after_the_entry_and_up_to_the_exit_is_its_rate_of_the_price_at_its_time() -> None:
    fundings = settled(-8, 0, 8, 16, 24)  # rates 0.001 to 0.005
    assert paid(hourly(), fundings, 1, 10) == pytest.approx(0.003 * 108 / 101)
    assert paid(hourly(), fundings, 1, 17) == pytest.approx((0.003 * 108 + 0.004 * 116) / 101)
    assert paid(hourly(), fundings, 9, 15) == 0


def test_one_at_the_entry_is_not_paid_and_one_at_the_exit_is_paid_at_the_exit_price() -> None:
    fundings = settled(-8, 0, 8, 16)
    assert paid(hourly(), fundings, 0, 8) == pytest.approx(0.003 * 107.5 / 100)
    assert paid(hourly(), fundings, 8, 16) == pytest.approx(0.004 * 115.5 / 108)


def test_one_within_a_candle_or_in_a_gap_is_of_the_price_before_it() -> None:
    fundings = settled(-8, 0, 8.5, 16)
    assert paid(hourly(), fundings, 1, 10) == pytest.approx(0.003 * 108 / 101)
    assert paid(hourly(8), fundings, 1, 10) == pytest.approx(0.003 * 107.5 / 101)


def test_a_negative_funding_is_received() -> None:
    assert paid(hourly(), settled(-8, 0, 8, rate=-0.001), 1, 10) == pytest.approx(-0.003 * 108 / 101)


@pytest.mark.parametrize(
    ("hours", "entry", "until", "known"),
    [
        ((), 1, 2, False),
        ((-8, 0), 1, 7, True),
        ((-8, 0), 1, 8, False),
        ((0, 16), 1, 7, True),
        ((0, 16), 1, 8, False),
        ((0, 16), 8, 15, True),
        ((0, 16), 9, 16, True),
        ((8, 16), 1, 9, True),
        ((16, 24), 1, 9, False),
        ((-2, -1, 0, 1), 1, 2, False),
        ((-2, -1, 0, 1, 2), 1, 2, True),
        ((-2, 0, 1, 2), 0, 2, True),
        ((0, 1, 2, 4, 5), 1, 5, False),
        ((0, 1, 2, 4, 5), 3, 5, True),
    ],
)
def test_an_unknown_funding_is_never_taken_for_nothing(
    hours: tuple[int, ...], entry: int, until: int, known: bool
) -> None:
    assert np.isfinite(paid(hourly(), settled(*hours), entry, until)) == known


def test_without_the_candle_of_the_entry_or_the_exit_nothing_is_known() -> None:
    fundings = settled(-8, 0, 8, 16)
    assert np.isnan(paid(hourly(1), fundings, 1, 10))
    assert np.isnan(paid(hourly(9), fundings, 1, 10))
    assert np.isnan(paid(hourly(), fundings, 1, 100))
    assert np.isnan(paid(Candles.empty(), fundings, 1, 10))


def test_many_outcomes_at_once_are_those_of_a_loop_over_the_fundings() -> None:
    rng = np.random.default_rng(5)
    for seed, timeframe in enumerate(("15m", "1h", "4h")):
        length, candles = timeframe_ms(timeframe), walk(seed, timeframe, count=300, gaps=0.1)
        first, last = int(candles.open_time_ms[0]), int(candles.open_time_ms[-1])
        fundings = [
            Funding(int(at), float(rng.normal(0, 1e-4))) for at in range(first - 16 * HOUR, last + length, 2 * HOUR)
        ]
        entry = first + rng.integers(0, 200, 60) * length
        exit_ = entry + rng.integers(1, 90, 60) * length
        ratio = held_fundings(candles, timeframe, fundings, entry, exit_)
        rows = list(zip(candles.open_time_ms.tolist(), candles.open, candles.close, strict=True))
        opens = {at: price for at, price, _ in rows}
        closes = {at + length: price for at, _, price in rows}
        for place, (begin, end) in enumerate(zip(entry.tolist(), exit_.tolist(), strict=True)):
            if begin not in opens or end not in closes:
                assert np.isnan(ratio[place])
                continue
            total = 0.0
            for funding in fundings:
                if begin < funding.time_ms <= end:
                    at, opened, closed = [row for row in rows if row[0] <= funding.time_ms][-1]
                    price = opened if funding.time_ms < at + length else closed
                    total += funding.rate * (closes[end] if funding.time_ms == end else price)
            assert ratio[place] == pytest.approx(total / opens[begin], abs=1e-12)


def test_missing_settlements_are_counted_where_they_are_expected() -> None:
    fundings = settled(0, 8, 32, 40)
    times = (missing_times(fundings, MIDNIGHT - 9 * HOUR, MIDNIGHT + 57 * HOUR) - MIDNIGHT) // HOUR
    assert times.tolist() == [-8, 16, 24, 48, 56]
    assert missing_fundings(fundings, MIDNIGHT - 9 * HOUR, MIDNIGHT + 57 * HOUR) == 5
    assert missing_times([], MIDNIGHT + 1, MIDNIGHT + 16 * HOUR).tolist() == [MIDNIGHT + 8 * HOUR, MIDNIGHT + 16 * HOUR]
