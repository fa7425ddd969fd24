"""What a backtest covers where no time is given."""

from mcp_server.domain.backtest.period import LATEST, period

HOUR_MS = 3_600_000
NOW_MS = 500_000 * HOUR_MS + 1_234
CLOSED_MS = 500_000 * HOUR_MS


def test_the_longest_stretch_that_is_stored_is_taken_whole() -> None:
    long, short = (1_000 * HOUR_MS, 30_000 * HOUR_MS), (499_000 * HOUR_MS, 500_000 * HOUR_MS)
    assert period([long, short], NOW_MS, "1h") == long
    assert period([short, long], NOW_MS, "1h") == long


def test_the_latest_candles_are_taken_where_little_is_stored() -> None:
    latest = (CLOSED_MS - LATEST * HOUR_MS, CLOSED_MS)
    assert period([], NOW_MS, "1h") == latest
    assert period([(HOUR_MS, LATEST * HOUR_MS)], NOW_MS, "1h") == latest
    assert period([(HOUR_MS, (LATEST + 1) * HOUR_MS)], NOW_MS, "1h") == (HOUR_MS, (LATEST + 1) * HOUR_MS)


def test_a_stretch_with_the_beginning_of_its_series_is_taken_however_few_candles_there_are() -> None:
    """So long a time before now has no 10,000 candles of 3 days; those of an imported file are what is wanted."""
    hours, whole_candles = 433_000, 6_013
    assert period([(0, hours * HOUR_MS)], NOW_MS, "3d") == (0, whole_candles * 72 * HOUR_MS)
    assert period([(480_000 * HOUR_MS, CLOSED_MS), (0, 40 * HOUR_MS)], NOW_MS, "1h")[1] == CLOSED_MS


def test_nothing_after_the_as_of_is_taken() -> None:
    stored = (0, 490_000 * HOUR_MS)
    assert period([stored], 300_000 * HOUR_MS + 1, "1h") == (0, 300_000 * HOUR_MS)
    assert period([stored], 50 * HOUR_MS, "1h")[1] == 50 * HOUR_MS
    assert period([stored], 50 * HOUR_MS, "1h", 10 * HOUR_MS, 90 * HOUR_MS) == (10 * HOUR_MS, 50 * HOUR_MS)


def test_a_start_goes_to_the_end_of_the_stretch_that_holds_it_else_until_now() -> None:
    stored = (1_000 * HOUR_MS, 30_000 * HOUR_MS)
    assert period([stored], NOW_MS, "1h", 2_000 * HOUR_MS - 5) == (2_000 * HOUR_MS, 30_000 * HOUR_MS)
    assert period([stored], NOW_MS, "1h", 30_000 * HOUR_MS) == (30_000 * HOUR_MS, CLOSED_MS)
    assert period([], NOW_MS, "1h", 999 * HOUR_MS) == (999 * HOUR_MS, CLOSED_MS)


def test_an_end_begins_where_the_stretch_does_that_holds_it_else_some_candles_before() -> None:
    stored = (1_000 * HOUR_MS, 30_000 * HOUR_MS)
    assert period([stored], NOW_MS, "1h", None, 20_000 * HOUR_MS + 5) == (1_000 * HOUR_MS, 20_000 * HOUR_MS)
    end_ms = 40_000 * HOUR_MS
    assert period([stored], NOW_MS, "1h", None, end_ms) == (end_ms - LATEST * HOUR_MS, end_ms)


def test_both_are_taken_as_they_are_given_on_whole_candles() -> None:
    assert period([], NOW_MS, "1d", 25 * HOUR_MS, 100 * HOUR_MS) == (48 * HOUR_MS, 96 * HOUR_MS)


def test_a_stretch_within_its_series_begins_with_its_warm_up_and_one_at_the_beginning_has_none() -> None:
    within, beginning = (1_000 * HOUR_MS, 30_000 * HOUR_MS), (0, 30_000 * HOUR_MS)
    assert period([within], NOW_MS, "1h", warm_up=250) == (1_250 * HOUR_MS, 30_000 * HOUR_MS)
    assert period([within], NOW_MS, "1h", None, 20_000 * HOUR_MS, warm_up=250)[0] == 1_250 * HOUR_MS
    assert period([beginning], NOW_MS, "1h", warm_up=250) == beginning
    stored = (CLOSED_MS - 5_250 * HOUR_MS, CLOSED_MS)
    assert period([stored], NOW_MS, "1h", warm_up=250, latest=5_000) == (CLOSED_MS - 5_000 * HOUR_MS, CLOSED_MS)
    assert period([stored], NOW_MS, "1h", warm_up=251, latest=5_000) == (CLOSED_MS - 5_000 * HOUR_MS, CLOSED_MS)
