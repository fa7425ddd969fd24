"""What is added fills only what the store did not know; an import replaces it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.storage.candles.ranges import holes
from mcp_server.storage.candles.store import CandleStore, Known, Series
from tests.storage.conftest import HOUR, OTHER, PARTS, SERIES, candles, hours, runs, span


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.lists(st.tuples(st.booleans(), PARTS, st.integers(51, 199)), max_size=6), number=st.integers(0, 10**9)
)
def test_whatever_is_imported_and_added_the_first_to_know_is_right_until_an_import(
    store: CandleStore, changes: list[tuple[bool, tuple[int, int], int]], number: int
) -> None:
    series = Series("coinbase", f"{number}/{changes}", "1h")
    closes: dict[int, float] = {}
    for imported, (start, length), close in changes:
        part, new = range(start, start + length), candles(*range(start, start + length), close=close)
        if imported:
            store.save(series, new, span(start, start + length))
            closes |= dict.fromkeys(part, float(close))
        else:
            store.add([(series, new, span(start, start + length))])
            closes = dict.fromkeys(part, float(close)) | closes
    kept = store.load(series, span(0, 40))
    assert dict(zip(hours(kept.candles), kept.candles.close.tolist(), strict=True)) == closes
    known = store.index(5).get(series, Known(0, ()))
    assert in_hours(known) == Known(sum(imported for imported, *_ in changes), runs(set(closes)))
    assert kept.missing == holes(span(0, 40), list(known.ranges))


def test_adding_never_changes_what_is_known_nor_fills_its_gaps(store: CandleStore) -> None:
    store.save(SERIES, candles(1, 4), span(1, 5))
    store.add([(SERIES, candles(0, 1, 2, 3, 4, 5, close=150), span(0, 6))])
    stored = store.load(SERIES, span(0, 6))
    assert hours(stored.candles) == [0, 1, 4, 5]
    assert stored.candles.close.tolist() == [150, 100, 100, 150]
    assert store.index(5)[SERIES].ranges == (span(0, 6),)


def test_of_two_additions_in_one_the_first_is_kept(store: CandleStore) -> None:
    store.add([(SERIES, candles(1, 2), span(1, 3)), (SERIES, candles(2, 3, close=150), span(2, 4))])
    assert store.load(SERIES, span(0, 9)).candles.close.tolist() == [100, 100, 150]


def test_adding_nothing_for_a_range_makes_it_known(store: CandleStore) -> None:
    store.add([(SERIES, candles(), span(3, 7))])
    stored = store.load(SERIES, span(0, 9))
    assert (len(stored.candles), stored.missing) == (0, [span(0, 3), span(7, 9)])


def test_an_earlier_candle_that_is_added_takes_an_assumed_beginning_back(store: CandleStore) -> None:
    store.save(SERIES, candles(20), span(20, 21), begins=True)
    store.add([(SERIES, candles(10, close=150), span(9, 11))])
    assert store.index(5)[SERIES].ranges == (span(9, 11), span(20, 21))
    assert store.load(SERIES, span(0, 30)).candles.close.tolist() == [150, 100]


def test_an_earlier_range_without_candles_leaves_an_assumed_beginning(store: CandleStore) -> None:
    store.save(SERIES, candles(20), span(20, 21), begins=True)
    store.add([(SERIES, candles(), span(9, 11))])
    assert store.index(5)[SERIES].ranges == (span(0, 21),)


def test_an_addition_that_fails_in_part_adds_nothing(store: CandleStore) -> None:
    store.add([(OTHER, candles(1), span(1, 2))])
    with pytest.raises(OverflowError):  # no moment of the calendar
        store.add([(SERIES, candles(1), span(1, 2)), (SERIES, candles(), (0, 10**17))])
    assert set(store.index(5)) == {OTHER}


def in_hours(known: Known) -> Known:
    return Known(known.revision, tuple((start // HOUR, end // HOUR) for start, end in known.ranges))
