"""Which moments a replay looks at: just those at which the scheduler would have run the strategy."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from croniter import croniter

from mcp_server.domain.schedule.plan import plan
from mcp_server.domain.strategy.format import Config
from mcp_server.errors import BadInput
from runner.replay.moments import MOST_MOMENTS, moments, pilots

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"


def config(**settings: Any) -> Config:
    schedule = {} if "cron" in settings else {"interval": "1h"}
    return Config.model_validate({"name": "dip", "trading_pair": "BTC/USDT", "offset_s": 0, **schedule, **settings})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(count: int, end: datetime = NOW) -> tuple[datetime, datetime]:
    return end - count * DAY, end


def test_both_ends_of_the_range_are_in_it_and_an_interval_is_aligned_to_closes() -> None:
    assert moments(config(interval="4h"), at("2026-03-01T04:00"), at("2026-03-01T12:00"), NOW) == (
        at("2026-03-01T04:00"),
        at("2026-03-01T08:00"),
        at("2026-03-01T12:00"),
    )
    assert moments(config(interval="4h"), at("2026-03-01T04:00:00.000001"), at("2026-03-01T11:59"), NOW) == (
        at("2026-03-01T08:00"),
    )


@pytest.mark.parametrize(
    ("schedule", "since"),
    [
        pytest.param({"interval": "1h"}, "2026-10-24T22:00", marks=pytest.mark.long),
        ({"interval": "1d"}, "2026-10-20T00:00"),
        ({"cron": "30 2 * * *", "timezone": BERLIN}, "2026-03-27T00:00"),  # on the 29th there is no 02:30
        ({"cron": "30 2 * * *", "timezone": BERLIN}, "2026-10-23T00:00"),  # on the 25th it comes twice
        pytest.param({"cron": "*/20 * * * *", "timezone": BERLIN}, "2026-10-24T22:10", marks=pytest.mark.long),
        pytest.param(
            {"cron": "0 9 * * 1-5", "timezone": "America/New_York"}, "2026-10-28T13:00", marks=pytest.mark.long
        ),
    ],
)
def test_the_moments_are_the_as_ofs_that_the_scheduler_gives_those_slots(schedule: dict[str, str], since: str) -> None:
    strategy, start = config(**schedule), at(since)
    end = start + 4 * DAY
    scheduled, accounted, now = [], start - timedelta(seconds=1), start - timedelta(minutes=1)
    while now <= end + timedelta(minutes=5):  # the scheduler, looking every five minutes
        due = plan(strategy, accounted, now, "it was busy")
        if due is not None and due.run is not None:
            scheduled.append(due.run)
            accounted = due.run
        now += timedelta(minutes=5)
    assert len(scheduled) >= 3
    assert moments(strategy, start, end, NOW) == tuple(scheduled)


@pytest.mark.parametrize(
    "minutes", [pytest.param(minutes, marks=[pytest.mark.long] if minutes % 3 else []) for minutes in range(0, 300, 17)]
)
def test_it_does_not_matter_where_in_a_change_of_clocks_the_range_begins(minutes: int) -> None:
    for cron in ("30 0-3 * * *", "*/20 * * * *", "15 1-5 * * *"):
        for night in ("2026-10-24T23:00", "2026-03-28T23:00"):
            strategy, start = config(cron=cron, timezone=BERLIN), at(night) + timedelta(minutes=minutes)
            whole = moments(strategy, at(night) - DAY, at(night) + 2 * DAY, NOW)
            assert moments(strategy, start, at(night) + 2 * DAY, NOW) == tuple(slot for slot in whole if slot >= start)


def test_a_cron_goes_by_its_zone() -> None:
    noon = moments(config(cron="0 12 * * *", timezone="Asia/Tokyo"), at("2026-03-01"), at("2026-03-03"), NOW)
    assert noon == (at("2026-03-01T03:00"), at("2026-03-02T03:00"))
    since = at("2026-03-01T03:00:00.5")
    assert moments(config(cron="0 12 * * *", timezone="Asia/Tokyo"), since, at("2026-03-03"), NOW) == noon[1:]
    naive = croniter("0 12 * * *", datetime(2026, 3, 1)).get_next(datetime)  # noqa: DTZ001 (a wall clock)
    assert noon[0] == naive.replace(tzinfo=UTC) - timedelta(hours=9)


@pytest.mark.parametrize(
    ("every", "first"),
    [
        ("4h", "2026-03-04T12:00"),
        ("1d", "2026-03-05T00:00"),
        ("1w", "2026-03-09T00:00"),  # a Monday
        ("15m", "2026-03-04T08:30"),
    ],
)
def test_every_takes_closes_of_candles_in_utc_whatever_the_schedule_says(every: str, first: str) -> None:
    strategy = config(cron="30 2 * * *", timezone=BERLIN)
    chosen = moments(strategy, at("2026-03-04T08:15:00.000001"), at("2026-03-30"), NOW, every)
    assert chosen[0] == at(first)
    assert len({later - earlier for earlier, later in pairwise(chosen)}) == 1
    assert chosen[-1] + (chosen[1] - chosen[0]) > at("2026-03-30")
    assert moments(strategy, at(first), at(first) + timedelta(seconds=1), NOW, every) == (at(first),)


def test_a_slot_whose_run_would_not_have_begun_yet_is_left_out() -> None:
    start, end = NOW - timedelta(hours=3), NOW
    assert moments(config(), start, end, NOW)[-1] == NOW
    assert moments(config(offset_s=10), start, end, NOW)[-1] == NOW - timedelta(hours=1)
    assert moments(config(offset_s=10), start, end, NOW + timedelta(seconds=10))[-1] == NOW
    assert moments(config(offset_s=10), start, end, NOW, "1h")[-1] == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("settings", "since", "until", "every", "problem", "remedy"),
    [
        ({}, NOW - DAY, NOW + DAY / 2, None, "in the future", "2026-11-30T12:00Z"),
        ({}, NOW, NOW - DAY, None, "is not before", "earlier --from"),
        ({}, NOW, NOW, None, "is not before", "earlier --from"),
        ({"cron": "0 0 29 2 *"}, *days(200), None, "no slots", "longer range, or an --every"),
        ({}, at("2026-03-01T00:01"), at("2026-03-01T00:59"), "4h", "no candle closes", "or a shorter --every"),
        ({"interval": "1m"}, *days(14), None, "more than 20,000 slots", "shorter range, or a longer --every"),
        ({}, *days(365), "5m", "more than 20,000 candle closes", "shorter range"),
    ],
)
def test_a_range_that_gives_no_replay_is_refused_with_what_to_do(
    settings: dict[str, Any], since: datetime, until: datetime, every: str | None, problem: str, remedy: str
) -> None:
    with pytest.raises(BadInput) as refused:
        moments(config(**settings), since, until, NOW, every)
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy


def test_as_many_moments_as_allowed_are_not_too_many() -> None:
    start = NOW - timedelta(minutes=MOST_MOMENTS - 1)
    assert len(moments(config(interval="1m"), start, NOW, NOW)) == MOST_MOMENTS


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_all_of_a_few_moments_are_pilots(count: int) -> None:
    few = [NOW + hour * DAY / 24 for hour in range(count)]
    assert pilots(few) == tuple(few)


def test_pilots_lie_one_in_each_fifth_of_the_range() -> None:
    for count in range(6, 400):
        chosen = pilots([NOW + timedelta(hours=position) for position in range(count)])
        positions = [(moment - NOW) // timedelta(hours=1) for moment in chosen]
        for fifth, position in enumerate(positions):  # a moment counts for each fifth into which its part reaches
            assert fifth / 5 < (position + 1) / count
            assert position / count < (fifth + 1) / 5
        assert len(set(positions)) == 5


@pytest.mark.parametrize(("step_h", "cycle_h"), [(1, 24), (4, 24), (4, 168), (24, 168)])
def test_pilots_do_not_all_lie_at_the_same_hour_of_the_day_or_day_of_the_week(step_h: int, cycle_h: int) -> None:
    for cycles in range(5, 60):  # where they would if they were evenly spaced
        count = cycles * cycle_h // step_h
        all_moments = [NOW + timedelta(hours=step_h * index) for index in range(count)]
        hours = {(moment - NOW) / timedelta(hours=1) % cycle_h for moment in pilots(all_moments)}
        assert len(hours) >= 2, count
