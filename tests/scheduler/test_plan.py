"""What becomes of slots that came due while nothing ran: a table by hand, and what holds for every plan."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mcp_server.domain.outcome import SlotRow, Status
from mcp_server.domain.schedule.plan import LEAST_GRACE_S, MOST_ROWS, grace_of, missed, plan
from mcp_server.domain.schedule.slots import due_at, slots
from mcp_server.domain.strategy.format import Config

ABSENT = "Nothing ran."
MISSED, STALE = Status.MISSED, Status.SKIPPED_STALE


def config(**said: Any) -> Config:
    return Config.model_validate({"trading_pair": "BTC/USD", **said})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(rows: Sequence[SlotRow]) -> list[tuple[str, str, str, int]]:
    return [(row.status.value, f"{row.first:%dT%H:%M}", f"{row.last:%dT%H:%M}", row.slots) for row in rows]


HOURLY: dict[str, Any] = {"interval": "1h", "offset_s": 5}
TABLE: dict[str, tuple[dict[str, Any], str, str, str | None, list[tuple[str, str, str, int]]]] = {
    "in time": (HOURLY, "05T11:00", "05T12:00:05", "05T12:00", []),
    "one was missed": (HOURLY, "05T10:00", "05T12:00:06", "05T12:00", [("missed", "05T11:00", "05T11:00", 1)]),
    "to the last moment before the next": (HOURLY, "05T11:00", "05T13:00:04", "05T12:00", []),
    "a weekly one, most of a day late": ({"cron": "0 8 * * 1"}, "01T00:00", "06T08:00", "05T08:00", []),
    "a weekly one, more than a day late": (
        {"cron": "0 8 * * 1"},
        "01T00:00",
        "06T08:01",
        None,
        [("skipped_stale", "05T08:00", "05T08:00", 1)],
    ),
    "a grace of its own, kept": (HOURLY | {"misfire": {"grace_s": 60}}, "05T11:00", "05T12:01:05", "05T12:00", []),
    "a grace of its own, over": (
        HOURLY | {"misfire": {"grace_s": 60}},
        "05T10:00",
        "05T12:01:06",
        None,
        [("missed", "05T11:00", "05T11:00", 1), ("skipped_stale", "05T12:00", "05T12:00", 1)],
    ),
    "skip: within its minute": (
        HOURLY | {"misfire": {"policy": "skip"}},
        "05T10:00",
        "05T12:01:05",
        "05T12:00",
        [("missed", "05T11:00", "05T11:00", 1)],
    ),
    "skip: later": (
        HOURLY | {"misfire": {"policy": "skip"}},
        "05T10:00",
        "05T12:01:06",
        None,
        [("missed", "05T11:00", "05T11:00", 1), ("missed", "05T12:00", "05T12:00", 1)],
    ),
    "skip with a grace": (
        HOURLY | {"misfire": {"policy": "skip", "grace_s": 600}},
        "05T11:00",
        "05T12:10:05",
        "05T12:00",
        [],
    ),
}


@pytest.mark.parametrize(("said", "after", "now", "run", "passed"), TABLE.values(), ids=TABLE.keys())
def test_what_becomes_of_slots_is_what_the_table_says(
    said: dict[str, Any], after: str, now: str, run: str | None, passed: list[tuple[str, str, str, int]]
) -> None:
    said = {"offset_s": 0, **said}
    found = plan(config(**said), at(f"2026-01-{after}"), at(f"2026-01-{now}"), ABSENT)
    assert found is not None
    assert (None if found.run is None else f"{found.run:%dT%H:%M}") == run
    assert told(found.passed) == passed
    assert all((row.why or "").endswith(ABSENT) for row in found.passed)


def test_a_thousand_slots_of_a_laptop_that_slept_are_twenty_rows_and_the_latest_runs() -> None:
    what = config(interval="1m", offset_s=5)
    found = plan(what, at("2026-03-08T00:00"), at("2026-03-08T16:40:20"), ABSENT)
    assert found is not None
    assert found.run == at("2026-03-08T16:40")
    assert len(found.passed) == MOST_ROWS == 20
    assert told(found.passed[:2]) == [("missed", "08T00:01", "08T16:20", 980), ("missed", "08T16:21", "08T16:21", 1)]
    assert told(found.passed[-1:]) == [("missed", "08T16:39", "08T16:39", 1)]
    assert found.passed[0].why == f"980 slots in a row. {ABSENT}"
    assert sum(row.slots for row in found.passed) + 1 == 1000


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (19, 19), (20, 20), (21, 20), (22, 20), (1000, 20)])
def test_so_many_missed_slots_have_so_many_rows(count: int, rows: int) -> None:
    start = at("2026-01-01T00:00")
    found = missed(config(interval="1m", offset_s=30), start, start + timedelta(minutes=count), ABSENT)
    assert (len(found), sum(row.slots for row in found)) == (rows, count)
    assert (found[0].first, found[-1].last) == (start + timedelta(minutes=1), start + timedelta(minutes=count))
    assert {row.slots for row in found[1:]} <= {1}


def test_a_slot_may_be_late_until_the_next_one_and_a_day_at_most_unless_its_strategy_says() -> None:
    slot = at("2026-03-08T00:00")
    assert grace_of(config(interval="5m"), slot) == timedelta(minutes=5)
    assert grace_of(config(cron="0 0 1 * *"), slot) == timedelta(days=1)
    assert grace_of(config(interval="5m", misfire={"policy": "skip"}), slot) == timedelta(seconds=60)
    assert grace_of(config(interval="5m", misfire={"grace_s": 90}), slot) == timedelta(seconds=90)
    new_york = config(cron="0 0 * * *", timezone="America/New_York")
    assert grace_of(new_york, at("2026-03-08T05:00")) == timedelta(hours=23), "the day on which clocks spring forward"


def test_a_strategy_that_allows_no_delay_at_all_runs_all_the_same() -> None:
    what = config(interval="1h", offset_s=0, misfire={"grace_s": 0})
    slot = at("2026-01-05T12:00")
    in_time = plan(what, at("2026-01-05T11:00"), slot + timedelta(seconds=LEAST_GRACE_S), ABSENT)
    assert in_time is not None
    assert in_time.run == slot
    late = plan(what, at("2026-01-05T11:00"), slot + timedelta(seconds=LEAST_GRACE_S + 1), ABSENT)
    assert late is not None
    assert told(late.passed) == [("skipped_stale", "05T12:00", "05T12:00", 1)]


schedules = some.one_of(
    some.sampled_from(["1m", "5m", "1h", "4h", "1d"]).map(lambda interval: {"interval": interval}),
    some.builds(
        lambda cron, zone: {"cron": cron, "timezone": zone},
        some.sampled_from(["*/7 * * * *", "30 1,2 * * *", "0 0 * * *", "0 9 * * 1-5"]),
        some.sampled_from(["America/New_York", "Australia/Lord_Howe", "UTC"]),
    ),
)
misfires = some.fixed_dictionaries(
    {"policy": some.sampled_from(["run_latest", "skip"])}, optional={"grace_s": some.integers(0, 7200)}
)
configs = some.builds(
    lambda schedule, misfire, offset_s: config(**schedule, misfire=misfire, offset_s=offset_s),
    schedules,
    misfires,
    some.integers(0, 3600),
)
starts = some.sampled_from(["2026-03-08T00:00", "2026-10-31T20:00", "2026-10-03T10:00", "2026-06-01T00:00"]).map(at)


@given(configs, starts, some.integers(0, 1_500), some.integers(0, 59))
@settings(max_examples=100, deadline=None)
def test_every_slot_that_is_due_is_in_exactly_one_place_of_the_plan(
    what: Config, after: datetime, minutes: int, seconds: int
) -> None:
    now = after + timedelta(minutes=minutes, seconds=seconds)
    due = [*takewhile(lambda slot: due_at(what, slot) <= now, slots(what, after))]
    found = plan(what, after, now, ABSENT)
    if not due:
        assert found is None
        return
    assert found is not None
    rows = [(row.first, row.last, row.slots) for row in found.passed]
    rows += [] if found.run is None else [(found.run, found.run, 1)]
    for slot in due:
        assert sum(first <= slot <= last for first, last, _ in rows) == 1
    for first, last, count in rows:
        assert sum(first <= slot <= last for slot in due) == count
        assert {first, last} <= {*due}
    assert [first for first, _, _ in rows] == sorted(first for first, _, _ in rows)
    assert len(found.passed) <= MOST_ROWS + (found.run is None)
    edges = [moment for row in found.passed for moment in (row.first, row.last)] + ([found.run] if found.run else [])
    assert (min(edges), max(edges)) == (due[0], due[-1])
    assert found.run in (None, due[-1]), "only the latest may run"
    assert (found.run is not None) == (now - due_at(what, due[-1]) <= grace_of(what, due[-1]))
