"""What a replay does where Claude's API asks for less, is down, or refuses the account."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mcp_server.domain.outcome import Status
from runner.replay.pace import MOST_FAILURES
from tests.replay.playing import play
from tests.rigs.played_runs import Answer, PlayedApi
from tests.rigs.replays import moments, replay_of

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class JumpingClock:
    """Jumps over each wait, and keeps how long it was."""

    def __init__(self) -> None:
        self.time = NOON
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += timedelta(seconds=seconds)
        await anyio.lowlevel.checkpoint()


def first_fail(count: int, status: int | None) -> Answer:
    """Let the first requests fail with a status; None: they reach nobody."""
    left = iter(range(count))
    return lambda moment, number: status if next(left, None) is not None else 200


@pytest.mark.parametrize(
    "status", [529, *(pytest.param(status, marks=pytest.mark.long) for status in (None, 429, 500))]
)
async def test_a_moment_that_the_api_could_not_serve_is_taken_up_again_in_its_row(
    home: Path, status: int | None
) -> None:
    clock, api = JumpingClock(), PlayedApi(answer=first_fail(2, status), most_tokens=1_500, together=2)
    played = await play(home, replay_of(4), api, at_once=2, clock=clock)
    assert (played.stop.by, played.tally.by_status) == (None, {Status.SUCCESS: 4})
    assert (played.runs.began, len(played.tally.rows)) == (6, 4)
    assert sum(clock.waits) == pytest.approx(5), "both met one limit, and one wait was enough"
    assert played.spent_usd == api.spent_usd


async def test_it_waits_as_long_as_the_api_asks(home: Path) -> None:
    failures = iter([429, 529])
    clock = JumpingClock()
    api = PlayedApi(answer=lambda moment, number: next(failures, 200), retry_after_s=47, most_tokens=1_500)
    played = await play(home, replay_of(2), api, at_once=1, clock=clock)
    assert (played.stop.by, clock.waits) == (None, [47, 47])


async def test_an_api_that_stays_down_ends_the_replay_after_a_few_waits_and_loses_nothing(home: Path) -> None:
    clock, down = JumpingClock(), PlayedApi(answer=lambda moment, number: 529)
    played = await play(home, replay_of(4), down, at_once=2, clock=clock)
    assert played.stop.by == "outage"
    assert all(fact in played.stop.because for fact in (str(MOST_FAILURES), "529", "same command"))
    assert played.runs.began <= 2 * MOST_FAILURES
    assert all(row.is_open for row in played.tally.rows.values())
    again = await play(home, replay_of(4), PlayedApi(most_tokens=1_500), clock=clock)
    assert (again.stop.by, again.tally.by_status) == (None, {Status.SUCCESS: 4})


@pytest.mark.parametrize(("status", "remedy"), [(401, "ANTHROPIC_API_KEY"), (402, "credit"), (403, "use one that may")])
async def test_an_account_that_is_refused_ends_the_replay_at_once(home: Path, status: int, remedy: str) -> None:
    clock, api = JumpingClock(), PlayedApi(answer=lambda moment, number: status)
    played = await play(home, replay_of(6), api, at_once=1, clock=clock)
    assert (played.stop.by, len(api.asked), clock.waits) == ("credential", 1, [])
    assert remedy in played.stop.because
    assert not played.tally.final


async def test_runs_under_way_ask_nothing_more_once_the_account_is_refused(home: Path) -> None:
    refused = moments(3)[2]
    api = PlayedApi(answer=lambda moment, number: 401 if moment == refused else 200, together=3)
    played = await play(home, replay_of(3), api, at_once=3)
    assert played.stop.by == "credential"
    assert {number for _, number in api.asked} == {0}
    assert not played.tally.final


async def test_one_moment_that_fails_each_time_holds_up_no_other(home: Path) -> None:
    broken, clock = moments(1)[0], JumpingClock()
    api = PlayedApi(answer=lambda moment, number: 500 if moment == broken else 200, most_tokens=1_500)
    played = await play(home, replay_of(4), api, at_once=1, clock=clock)
    assert played.tally.by_status == {Status.SUCCESS: 3}, "what is taken up again has not ended"
    assert list(played.runs.left_open) == [broken]
    assert played.tally.rows[broken].is_open
