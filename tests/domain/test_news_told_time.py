"""A publisher's time counts where it is certain, to the millisecond; nothing is made of a text that leaves a doubt."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.domain.news.told_time import compact_ms, number_ms, told_ms

NOON_MS = 1_772_452_800_000  # 2026-03-02T12:00:00Z, a Monday


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 02 Mar 2026 12:00:00 GMT", "Mon, 2 Mar 2026 12:00:00 +0000", "2 March 2026 12:00 UT",
        "Monday, 02 Mar 2026 07:00:00 EST", "Mon, 02 Mar 2026 04:00:00 PST", "Mon, 02 Mar 2026 08:00:00 EDT",
        "Mon, 02 Mar 2026 17:30:00 +0530", "mon, 02 mar 2026 12:00:00 z", "Mon, 02 Mar 2026 12:00:00 -0000",
        "2026-03-02T12:00:00Z", "2026-03-02T12:00:00.000Z", "2026-03-02T12:00Z", "2026-03-02 12:00:00+00:00",
        "2026-03-02T21:00:00+09:00", "2026-03-02T13:00:00+0100", "2026-03-02t07:00:00-05", "\n 2026-03-02T12:00:00Z ",
    ],
)  # fmt: skip
def test_a_date_with_a_zone_is_that_moment(text: str) -> None:
    assert told_ms(text) == NOON_MS


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2 hours ago", "now", "2026-03-02", "2026-03-02T12:00:00", "2026-03-02 12:00:00",
        "Mon, 02 Mar 2026 12:00:00", "Mon, 02 Mar 2026", "Mon, 02 Mar 26 12:00:00 GMT", "02/03/2026 12:00:00 GMT",
        "Mon, 02 Mar 2026 12:00:00 IST", "Mon, 02 Mar 2026 12:00:00 AST", "Mon, 02 Mar 2026 12:00:00 A",
        "Mon, 02 Mar 2026 12:00:00 CET", "Mon, 02 Mar 2026 12:00:00 +2500", "Mon, 02 Mar 2026 12:00:00 +0175",
        "Tue, 02 Mar 2026 12:00:00 GMT", "Mon, 30 Feb 2026 12:00:00 GMT", "Mon, 02 Mrz 2026 12:00:00 GMT",
        "2026-02-30T12:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T12:00:60Z", "2026-13-02T12:00:00Z",
        "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "10000-01-01T00:00:00Z",
        "2026-03-02T12:00:00Zulu", "2026-03-02T12:00:00Z and more", "1772452800", "1772452800000",
        "\u0662\u0660\u0662\u0666-03-02T12:00:00Z", "2026-03-02T12:00:00+15:00", "9999-12-31T23:59:59-14:00",
        "Mon, 02 Mar 2026 12:00:00 GMT" + " " * 60 + "x",
    ],
)  # fmt: skip
def test_any_doubt_leaves_it_undated(text: str) -> None:
    assert told_ms(text) is None


def test_a_time_that_is_still_to_come_is_kept_as_told() -> None:
    assert told_ms("2099-01-01T00:00:00Z") == 4_070_908_800_000


@given(
    st.datetimes(datetime(1974, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - they get a zone below
    st.integers(-14 * 60, 14 * 60),
)
def test_it_is_the_moment_that_pythons_own_parsers_read(moment: datetime, offset_minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    to_second = int(zoned.timestamp()) * 1000
    assert told_ms(format_datetime(zoned)) == zoned.replace(microsecond=0).timestamp() * 1000 == to_second
    assert told_ms(zoned.isoformat()) == (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_times_of_services_are_read_in_their_own_form_alone() -> None:
    assert compact_ms("20260302T120000Z") == NOON_MS
    assert [compact_ms(odd) for odd in ("20260302T120000", "20261302T120000Z", "2026", None, 5, "")] == [None] * 6
    assert number_ms(NOON_MS) == number_ms(str(NOON_MS)) == number_ms("1772452800", unit_ms=1000) == NOON_MS
    odd: tuple[object, ...] = (
        True,
        1.5,
        "1.5",
        "",
        None,
        [],
        -NOON_MS,
        "1772452800",
        10**30,
        "9" * 5000,
        "١٧٧٢٤٥٢٨٠٠٠٠٠",
    )
    assert [number_ms(value) for value in odd] == [None] * len(odd)
