"""What a backtest covers where no time is given."""

from mcp_server.domain.backtest.period import LATEST, default_period

HOUR_MS = 3_600_000
NOW_MS = 500_000 * HOUR_MS + 1_234


def test_the_longest_stretch_that_is_stored_is_taken_whole() -> None:
    long, short = (1_000 * HOUR_MS, 30_000 * HOUR_MS), (499_000 * HOUR_MS, 500_000 * HOUR_MS)
    assert default_period([long, short], NOW_MS, "1h") == long
    assert default_period([short, long], NOW_MS, "1h") == long


def test_the_latest_candles_are_taken_where_little_is_stored() -> None:
    closed_ms = 500_000 * HOUR_MS
    latest = (closed_ms - LATEST * HOUR_MS, closed_ms)
    assert default_period([], NOW_MS, "1h") == latest
    assert default_period([(0, (LATEST - 1) * HOUR_MS)], NOW_MS, "1h") == latest
    assert default_period([(0, LATEST * HOUR_MS)], NOW_MS, "1h") == (0, LATEST * HOUR_MS)


def test_nothing_after_the_as_of_is_taken() -> None:
    stored = (0, 490_000 * HOUR_MS)
    assert default_period([stored], 300_000 * HOUR_MS + 1, "1h") == (0, 300_000 * HOUR_MS)
    assert default_period([stored], 50 * HOUR_MS, "1h")[1] == 50 * HOUR_MS
