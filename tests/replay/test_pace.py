"""How many runs of a replay go on at once: fewer at the first sign of a limit, more again one by one."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from runner.replay.pace import MOST_FAILURES, ReplayPace
from tests.rigs.hand_clock import HandClock

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOON)


async def run_all(pace: ReplayPace, count: int, work: anyio.Event, seen: list[int]) -> None:
    """Let so many runs go on until the event is set; note how many do at once."""

    async def one() -> None:
        await pace.begin()
        seen.append(pace.running)
        await work.wait()
        pace.end()

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        work.set()


async def test_no_more_go_on_at_once_than_are_allowed_and_all_get_their_turn(clock: HandClock) -> None:
    seen: list[int] = []
    await run_all(ReplayPace(clock, 3), 7, anyio.Event(), seen)
    assert (max(seen), len(seen)) == (3, 7)


async def test_a_limit_halves_the_number_once_for_all_runs_that_meet_it(clock: HandClock) -> None:
    pace = ReplayPace(clock, 8)
    pace.running = 8
    for _ in range(8):
        pace.slow_down()
    assert pace.at_once == 4
    clock.pass_by(5)
    pace.running = 4
    pace.slow_down()
    assert pace.at_once == 2
    for _ in range(5):
        clock.pass_by(5)
        pace.slow_down()
    assert pace.at_once == 1


async def test_nobody_begins_before_the_api_wants_to_be_asked_again(clock: HandClock) -> None:
    waits: list[datetime] = []
    pace, seen, work = ReplayPace(clock, 2, waits.append), list[int](), anyio.Event()
    pace.slow_down(retry_after_s=30)
    pace.slow_down(retry_after_s=20)
    assert waits == [NOON + timedelta(seconds=30)], "the longer wait stands, and is told once"
    async with anyio.create_task_group() as group:
        group.start_soon(run_all, pace, 1, work, seen)
        await clock.until_asleep(1)
        clock.pass_by(29)
        await anyio.wait_all_tasks_blocked()
        assert not seen
        clock.pass_by(1)
        await anyio.wait_all_tasks_blocked()
        assert seen == [1]


async def test_a_limit_that_is_met_while_one_waits_makes_it_wait_longer(clock: HandClock) -> None:
    pace, seen = ReplayPace(clock, 2), list[int]()
    pace.slow_down(retry_after_s=10)
    async with anyio.create_task_group() as group:
        group.start_soon(run_all, pace, 1, anyio.Event(), seen)
        await clock.until_asleep(1)
        pace.slow_down(retry_after_s=25)
        clock.pass_by(10)
        await clock.until_asleep(1)
        assert not seen
        clock.pass_by(15)
    assert seen == [1]


async def test_it_grows_by_one_after_each_round_that_went_well_and_never_beyond_the_bound(clock: HandClock) -> None:
    pace = ReplayPace(clock, 4)
    pace.running = 4
    pace.slow_down()
    numbers = []
    for _ in range(10):
        pace.went_well()
        numbers.append(pace.at_once)
    assert numbers == [2, 3, 3, 3, 4, 4, 4, 4, 4, 4]


async def test_one_that_waits_for_a_turn_begins_once_the_number_has_grown(clock: HandClock) -> None:
    pace, seen, work = ReplayPace(clock, 2), list[int](), anyio.Event()
    pace.slow_down()
    clock.pass_by(5)
    async with anyio.create_task_group() as group:
        group.start_soon(run_all, pace, 2, work, seen)
        await anyio.wait_all_tasks_blocked()
    assert seen == [1, 1]
    again, work = list[int](), anyio.Event()
    await pace.begin()
    async with anyio.create_task_group() as group:
        group.start_soon(run_all, pace, 1, work, again)
        await anyio.wait_all_tasks_blocked()
        assert not again
        pace.went_well()
        await anyio.wait_all_tasks_blocked()
        assert again == [2]


async def test_failures_in_a_row_wait_ever_longer_and_then_it_gives_up(clock: HandClock) -> None:
    pace, waits = ReplayPace(clock, 4), []
    for _ in range(MOST_FAILURES):
        assert not pace.given_up
        pace.failed(began_at=clock.now())
        assert pace.wait_until is not None
        waits.append((pace.wait_until - clock.now()).total_seconds())
        clock.pass_by(waits[-1])
    assert (waits, pace.given_up) == ([5, 10, 20, 40, 80], True)


async def test_runs_that_fail_together_are_one_failure_and_one_that_went_well_ends_the_row(clock: HandClock) -> None:
    pace = ReplayPace(clock, 8)
    for _ in range(8):
        pace.failed(began_at=NOON)
    assert pace.failures == 1
    clock.pass_by(5)
    pace.failed(began_at=NOON)
    assert pace.failures == 1, "it began before the wait"
    clock.pass_by(10)
    pace.failed(began_at=clock.now())
    assert pace.failures == 2
    pace.went_well()
    assert pace.failures == 0


async def test_no_wait_is_longer_than_five_minutes_whatever_the_api_asks(clock: HandClock) -> None:
    pace = ReplayPace(clock, 8)
    pace.slow_down(retry_after_s=86_400)
    assert pace.wait_until == NOON + timedelta(minutes=5)
