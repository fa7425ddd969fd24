"""Slots against truth that was written by hand, from the rules of each zone, and against croniter."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as some

from mcp_server.domain.schedule.pace import pace
from mcp_server.domain.schedule.slots import Overdue, due_at, next_slot, overdue, slots
from mcp_server.domain.strategy.format import Config

NEW_YORK, BERLIN, LORD_HOWE = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"
SANTIAGO, KOLKATA = "America/Santiago", "Asia/Kolkata"


def config(**said: Any) -> Config:
    return Config.model_validate({"trading_pair": "BTC/USD", **said})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(what: Config, after: datetime, until: datetime) -> list[datetime]:
    return list(takewhile(lambda slot: slot <= until, slots(what, after)))


def told(moments: list[datetime]) -> str:
    return " ".join(f"{moment:%dT%H:%M}" for moment in moments)


# Zone, cron, slots after this hour up to that one, and which these are by day of the month and time: all in UTC.
TRUTH = [
    # New York springs from 02:00 EST to 03:00 EDT at 2026-03-08 07:00 UTC.
    (NEW_YORK, "30 2 * * *", "2026-03-07T00", "2026-03-09T12", "07T07:30 08T07:00 09T06:30"),
    (NEW_YORK, "0,30 2 * * *", "2026-03-08T00", "2026-03-09T00", "08T07:00"),
    (NEW_YORK, "0 2,3 * * *", "2026-03-08T00", "2026-03-09T00", "08T07:00"),
    (NEW_YORK, "30 1-3 * * *", "2026-03-08T00", "2026-03-09T00", "08T06:30 08T07:00 08T07:30"),
    (NEW_YORK, "59 1 * * *", "2026-03-07T00", "2026-03-09T12", "07T06:59 08T06:59 09T05:59"),
    (NEW_YORK, "0 3 * * *", "2026-03-07T00", "2026-03-09T12", "07T08:00 08T07:00 09T07:00"),
    (NEW_YORK, "30 * * * *", "2026-03-08T05", "2026-03-08T09", "08T05:30 08T06:30 08T07:30 08T08:30"),
    (NEW_YORK, "*/30 * * * *", "2026-03-08T06", "2026-03-08T08", "08T06:30 08T07:00 08T07:30 08T08:00"),
    (
        NEW_YORK,
        "0 */3 * * *",
        "2026-03-08T00",
        "2026-03-08T15",
        "08T02:00 08T05:00 08T07:00 08T10:00 08T13:00",
    ),
    (NEW_YORK, "*/20 2 * * *", "2026-03-08T00", "2026-03-09T12", "08T07:00 09T06:00 09T06:20 09T06:40"),
    # It falls back from 02:00 EDT to 01:00 EST at 2026-11-01 06:00 UTC: 01:00 to 01:59 come twice.
    (NEW_YORK, "30 1 * * *", "2026-10-31T00", "2026-11-02T12", "31T05:30 01T05:30 02T06:30"),
    (NEW_YORK, "0,30 1 * * *", "2026-11-01T00", "2026-11-02T00", "01T05:00 01T05:30"),
    (NEW_YORK, "0 1,2 * * *", "2026-11-01T00", "2026-11-02T00", "01T05:00 01T07:00"),
    (NEW_YORK, "0 2 * * *", "2026-10-31T00", "2026-11-02T12", "31T06:00 01T07:00 02T07:00"),
    (NEW_YORK, "30 * * * *", "2026-11-01T04", "2026-11-01T08", "01T04:30 01T05:30 01T06:30 01T07:30"),
    (NEW_YORK, "*/30 1 * * *", "2026-11-01T00", "2026-11-02T00", "01T05:00 01T05:30 01T06:00 01T06:30"),
    (NEW_YORK, "30 0-2 * * *", "2026-11-01T00", "2026-11-02T00", "01T04:30 01T05:30 01T07:30"),
    # Berlin: 02:00 to 03:00 at 2026-03-29 01:00 UTC, 03:00 to 02:00 at 2026-10-25 01:00 UTC.
    (BERLIN, "15 2 * * *", "2026-03-28T00", "2026-03-30T12", "28T01:15 29T01:00 30T00:15"),
    (BERLIN, "15 2 * * *", "2026-10-24T00", "2026-10-26T12", "24T00:15 25T00:15 26T01:15"),
    (BERLIN, "15 * * * *", "2026-10-24T23", "2026-10-25T03", "24T23:15 25T00:15 25T01:15 25T02:15"),
    (BERLIN, "0 3 * * *", "2026-10-25T00", "2026-10-26T00", "25T02:00"),
    (BERLIN, "0 8 * * 1-5", "2026-03-27T00", "2026-03-31T00", "27T07:00 30T06:00"),
    # Lord Howe moves by half an hour: 02:00 to 02:30 at 2026-10-03 15:30 UTC, 02:00 to 01:30 at 2026-04-04 15:00 UTC.
    (LORD_HOWE, "15 2 * * *", "2026-10-02T00", "2026-10-05T00", "02T15:45 03T15:30 04T15:15"),
    (LORD_HOWE, "30 2 * * *", "2026-10-03T00", "2026-10-05T00", "03T15:30 04T15:30"),
    (LORD_HOWE, "*/15 * * * *", "2026-10-03T15", "2026-10-03T16", "03T15:15 03T15:30 03T15:45 03T16:00"),
    (LORD_HOWE, "45 1 * * *", "2026-04-03T00", "2026-04-06T00", "03T14:45 04T14:45 05T15:15"),
    (LORD_HOWE, "0 2 * * *", "2026-04-03T00", "2026-04-06T00", "03T15:00 04T15:30 05T15:30"),
    (LORD_HOWE, "45 * * * *", "2026-04-04T14", "2026-04-04T17", "04T14:45 04T15:15 04T16:15"),
    # Santiago's clocks change at midnight: 00:00 to 01:00 at 2026-09-06 04:00 UTC, 24:00 to 23:00 at 2026-04-05 03:00.
    (SANTIAGO, "0 0 * * *", "2026-09-05T00", "2026-09-08T00", "05T04:00 06T04:00 07T03:00"),
    (SANTIAGO, "30 0 6 9 *", "2026-09-01T00", "2026-10-01T00", "06T04:00"),
    (SANTIAGO, "0 0 * * 0", "2026-09-01T00", "2026-09-14T00", "06T04:00 13T03:00"),
    (SANTIAGO, "30 23 4 * *", "2026-04-01T00", "2026-04-30T00", "05T02:30"),
    (SANTIAGO, "0 0 * * *", "2026-04-04T00", "2026-04-07T00", "04T03:00 05T04:00 06T04:00"),
    # India's never change, and are half an hour off.
    (KOLKATA, "30 2 * * *", "2026-03-07T00", "2026-03-10T00", "07T21:00 08T21:00 09T21:00"),
    (KOLKATA, "0 * * * *", "2026-11-01T00", "2026-11-01T03", "01T00:30 01T01:30 01T02:30"),
    # The calendar. Day of the month and day of the week together: either.
    ("UTC", "0 0 31 * *", "2026-01-30T12", "2026-08-30T12", "31T00:00 31T00:00 31T00:00 31T00:00"),
    ("UTC", "0 0 28-31 2 *", "2026-02-01T00", "2026-03-31T00", "28T00:00"),
    ("UTC", "0 0 28-31 2 *", "2028-02-01T00", "2028-03-31T00", "28T00:00 29T00:00"),
    ("UTC", "59 23 30 4,6 *", "2026-01-01T00", "2027-01-01T00", "30T23:59 30T23:59"),
    ("UTC", "0 12 13 * 5", "2026-02-01T00", "2026-03-01T00", "06T12:00 13T12:00 20T12:00 27T12:00"),
    ("UTC", "0 12 15 * 1", "2026-06-01T00", "2026-06-23T00", "01T12:00 08T12:00 15T12:00 22T12:00"),
    ("UTC", "0 12 10 * mon", "2026-06-02T00", "2026-06-16T00", "08T12:00 10T12:00 15T12:00"),
    ("UTC", "0 0 1 1 *", "2026-12-31T00", "2028-12-31T00", "01T00:00 01T00:00"),
    ("UTC", "0 0 * * 7", "2026-06-01T00", "2026-06-15T00", "07T00:00 14T00:00"),
]


@pytest.mark.parametrize(("zone", "cron", "after", "until", "expected"), TRUTH)
def test_a_cron_comes_due_exactly_when_a_person_with_a_calendar_says(
    zone: str, cron: str, after: str, until: str, expected: str
) -> None:
    what = config(cron=cron, timezone=zone)
    assert told(between(what, at(after), at(until))) == expected


def test_a_leap_day_comes_every_four_years_and_not_in_2100() -> None:
    leap_days = [slot.date().isoformat() for slot in islice(slots(config(cron="0 0 29 2 *"), at("2088-02-29T00")), 4)]
    assert leap_days == ["2092-02-29", "2096-02-29", "2104-02-29", "2108-02-29"]


INSIDE = [
    # From within the hour that comes twice (the first from 05:00 UTC on, the second from 06:00), and from after a gap.
    ("30 1 * * *", "2026-11-01T05:10", "01T05:30 02T06:30"),
    ("30 1 * * *", "2026-11-01T05:30", "02T06:30"),
    ("30 1 * * *", "2026-11-01T06:10", "02T06:30"),
    ("0 2 * * *", "2026-11-01T06:10", "01T07:00 02T07:00"),
    ("30 * * * *", "2026-11-01T05:45", "01T06:30 01T07:30"),
    ("*/30 1 * * *", "2026-11-01T06:10", "01T06:30 02T06:00"),
    ("30 2 * * *", "2026-03-08T06:59", "08T07:00 09T06:30"),
    ("30 2 * * *", "2026-03-08T07:00", "09T06:30 10T06:30"),
    ("30 2 * * *", "2026-03-08T07:31", "09T06:30 10T06:30"),
]


@pytest.mark.parametrize(("cron", "after", "expected"), INSIDE)
def test_a_schedule_that_is_entered_while_clocks_change_goes_on_rightly(cron: str, after: str, expected: str) -> None:
    count = len(expected.split())
    assert told([*islice(slots(config(cron=cron, timezone=NEW_YORK), at(after)), count)]) == expected


def test_slots_of_an_interval_are_closes_of_candles_whatever_the_zone() -> None:
    what = config(interval="4h", timezone=LORD_HOWE)
    assert told([*islice(slots(what, at("2026-04-04T11:59:59.999")), 3)]) == "04T12:00 04T16:00 04T20:00"
    assert next_slot(what, at("2026-04-04T12:00")) == at("2026-04-04T16:00")
    assert next_slot(config(interval="1d"), at("2028-02-28T12:00")) == at("2028-02-29T00:00")


def test_a_slot_is_due_its_offset_later() -> None:
    assert due_at(config(interval="1h", offset_s=7), at("2026-01-01T01:00")) == at("2026-01-01T01:00:07")


ZONES = [NEW_YORK, BERLIN, LORD_HOWE, SANTIAGO, KOLKATA, "UTC", "Africa/Cairo", "Pacific/Chatham"]
CRONS = [
    "*/7 * * * *",
    "0 * * * *",
    "*/20 2 * * *",
    "30 0-3 * * *",
    "15,45 0,1,2,3,23 * * *",
    "0 0 * * *",
    "30 2 * * 0",
    "0 0 31 * 5",
    "59 23 28-31 * *",
]
INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400}

moments = some.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001 (hypothesis takes naive bounds)
# Near the moments at which clocks change: these are what is hard.
changes = some.builds(
    lambda day, minutes: at(day) + timedelta(minutes=minutes),
    some.sampled_from(
        (
            *("2026-03-08T07", "2026-11-01T06", "2026-03-29T01", "2026-10-25T01", "2026-10-03T15:30", "2026-04-04T15"),
            *("2026-09-06T04", "2026-04-05T03", "2026-04-23T22", "2026-10-29T21"),
        )
    ),
    some.integers(-300, 300),
)
crons = some.builds(
    lambda cron, zone: config(cron=cron, timezone=zone), some.sampled_from(CRONS), some.sampled_from(ZONES)
)
schedules = some.one_of(crons, some.sampled_from([*INTERVALS]).map(lambda interval: config(interval=interval)))
starts = some.one_of(moments, changes)


@given(schedules, starts)
@settings(max_examples=100, deadline=None)
def test_slots_follow_each_other_and_none_is_at_or_before_the_start(what: Config, after: datetime) -> None:
    found = [after, *islice(slots(what, after), 20)]
    assert all(one < other for one, other in pairwise(found))
    assert all(slot.utcoffset() == timedelta(0) and slot.second == slot.microsecond == 0 for slot in found[1:])


@given(schedules, starts, some.integers(1, 600))
@settings(max_examples=100, deadline=None)
def test_slots_are_the_same_from_wherever_one_begins_to_count(what: Config, after: datetime, minutes: int) -> None:
    later = after + timedelta(minutes=minutes)
    until = later + timedelta(hours=30)
    whole = between(what, after, until)
    assert between(what, later, until) == [slot for slot in whole if slot > later]
    for slot in whole[:5]:
        assert next_slot(what, slot - timedelta(microseconds=1)) == slot


@given(some.sampled_from(CRONS), moments)
@settings(max_examples=100, deadline=None)
def test_where_no_clock_changes_slots_are_those_of_croniter(cron: str, after: datetime) -> None:
    theirs = [*islice(croniter(cron, after).all_next(datetime), 20)]
    assert [*islice(slots(config(cron=cron), after), 20)] == theirs
    in_india = [*islice(slots(config(cron=cron, timezone=KOLKATA), after), 20)]
    offset = timedelta(hours=5, minutes=30)
    assert in_india == [slot - offset for slot in islice(croniter(cron, after + offset).all_next(datetime), 20)]


@given(some.sampled_from([*INTERVALS]), moments)
@settings(max_examples=100, deadline=None)
def test_slots_of_an_interval_are_its_multiples_without_a_gap(interval: str, after: datetime) -> None:
    found = [*islice(slots(config(interval=interval), after), 10)]
    assert all(slot.timestamp() % INTERVALS[interval] == 0 for slot in found)
    assert {(other - one).total_seconds() for one, other in pairwise(found)} == {INTERVALS[interval]}
    assert (found[0] - after).total_seconds() <= INTERVALS[interval]


@given(schedules, starts, some.integers(-60, 3000), some.integers(1, 25), some.integers(0, 3600))
@settings(max_examples=100, deadline=None)
def test_what_is_overdue_is_what_counting_one_by_one_gives(
    what: Config, after: datetime, minutes: int, keep: int, offset_s: int
) -> None:
    what = what.model_copy(update={"offset_s": offset_s})
    now = after + timedelta(minutes=minutes)
    due = [slot for slot in between(what, after, max(now, after)) if due_at(what, slot) <= now]
    expected = Overdue(len(due), due[0], tuple(due[-keep:])) if due else None
    assert overdue(what, after, now, keep=keep) == expected


@pytest.mark.parametrize("day", ["2026-10-23T00", "2026-03-20T00"])
def test_a_daily_cron_comes_due_once_a_day_also_while_clocks_change(day: str) -> None:
    daily = pace(config(cron="30 2 * * *", timezone=BERLIN), at(day))
    assert (daily.slots, daily.days, daily.per_day) == (28, 28, 1)
    assert pace(config(cron="0 8,20 * * *", timezone=BERLIN), at(day)).per_day == 2
    assert pace(config(interval="4h", timezone=BERLIN), at(day)).per_day == 6


@given(schedules, starts)
@settings(max_examples=20, deadline=None)
def test_the_pace_counts_the_very_slots_that_run(what: Config, now: datetime) -> None:
    counted = pace(what, now)
    due = overdue(what, now, counted.until - timedelta(microseconds=1))
    assert due is not None
    assert (due.count, due.first, next_slot(what, due.last[-1])) == (counted.slots, counted.first, counted.until)
    assert counted.days == pytest.approx((counted.until - counted.first) / timedelta(days=1), abs=1.1 / 24)


def test_a_slot_is_overdue_from_the_very_moment_at_which_it_is_due() -> None:
    for what in (config(interval="1h", offset_s=5), config(cron="0 * * * *", offset_s=5)):
        just_before, due = at("2026-01-01T00:59"), at("2026-01-01T01:00:05")
        assert overdue(what, just_before, due - timedelta(milliseconds=1)) is None
        assert overdue(what, just_before, due) == Overdue(1, at("2026-01-01T01"), (at("2026-01-01T01"),))
