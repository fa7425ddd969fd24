"""Which moments a model may know the sequel of."""

from datetime import UTC, datetime, timedelta

import pytest

from mcp_server.domain.contamination import contaminated, first_clean, latest, refusal

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


def test_a_refusal_names_the_model_and_the_first_clean_moment() -> None:
    as_of = datetime(2026, 7, 30, 23, 59, tzinfo=UTC)
    why = refusal(as_of, "claude-opus-5-5", "2026-06")
    assert why is not None
    assert "claude-opus-5-5 knows what happened until 2026-06" in why.problem
    assert "2026-07-30 23:59" in why.problem
    assert "2026-07-31 00:00 UTC" in why.remedy
    assert "--contaminated" in why.remedy
    assert refusal(datetime(2026, 7, 31, tzinfo=UTC), "claude-opus-5-5", "2026-06") is None


def test_a_refusal_for_an_unknown_cutoff_names_no_moment_as_clean() -> None:
    why = refusal(datetime(2099, 1, 1, tzinfo=UTC), "claude-opus-5-5", None)
    assert why is not None
    assert "claude-opus-5-5 is not known" in why.problem
    assert "first clean moment" not in str(why)
    assert "--contaminated" in why.remedy
