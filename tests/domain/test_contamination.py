"""Which moments a model may know the sequel of."""

from datetime import UTC, datetime, timedelta

import pytest

from mcp_server.domain.contamination import contaminated, first_clean, latest

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("cutoff", "first"),
    [
        ("2026-06", datetime(2026, 7, 31, tzinfo=UTC)),
        ("2025-12", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2024-02", datetime(2024, 3, 31, tzinfo=UTC)),
        ("2026-01", datetime(2026, 3, 3, tzinfo=UTC)),
    ],
)
def test_a_moment_is_clean_from_thirty_days_after_the_end_of_the_month_of_cutoff(cutoff: str, first: datetime) -> None:
    assert first_clean(cutoff) == first
    assert not contaminated(first, cutoff)
    assert contaminated(first - MOMENT, cutoff)


def test_an_unknown_cutoff_counts_as_contaminated() -> None:
    assert contaminated(datetime(2099, 1, 1, tzinfo=UTC), None)


def test_what_is_no_month_is_refused() -> None:
    with pytest.raises(ValueError, match="June 2026"):
        first_clean("June 2026")


def test_of_several_models_the_latest_cutoff_counts_and_an_unknown_one_makes_it_unknown() -> None:
    assert latest(["2025-12", "2026-06", "2026-02"]) == "2026-06"
    assert latest(["2025-12", None]) is None
    assert latest([]) is None
