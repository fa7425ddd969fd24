"""Runners of one journal that do not have the same strategies: told after a minute, and over as soon as they have."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.notify.events import Event
from runner.scheduler.fellow_runners import FellowRunners
from tests.rigs.hand_clock import HandClock
from tests.rigs.journal_databases import ON_A_FILE
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, hourly, write
from tests.storage.test_database import held_by_a_shell

SAME = {"s": ("v1", "active")}


class Fellow:
    """One runner on the journal of a home, what it has, and what it told."""

    def __init__(self, home: Path, clock: HandClock, place: str) -> None:
        self.machine = Machine(home)
        self.machine.slot_store.open()
        self.has: dict[str, tuple[str, str]] | None = dict(SAME)
        self.told: list[Event] = []
        self.runners = FellowRunners(self.machine.slot_store, lambda: self.has, clock, self.told.append)
        self.runners._place = place

    async def look(self) -> list[str]:
        await self.runners._look()
        return self.runners.problems()

    def end(self) -> None:
        self.machine.slot_store.close(forget=True)
        self.machine.database.close()

    def rows(self) -> int:
        return len(self.machine.ask("SELECT 1 FROM runners"))


@pytest.fixture
def clock() -> HandClock:
    return HandClock(at("12:00"))


@pytest.fixture
def two(home: Path, clock: HandClock) -> Iterator[tuple[Fellow, Fellow]]:
    fellows = Fellow(home, clock, "alpha (process 1)"), Fellow(home, clock, "beta (process 2)")
    yield fellows
    for fellow in fellows:
        fellow.end()


@pytest.mark.usefixtures("kept_in")
@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True, ids=[""])
class TestInPostgres:
    """Two runners."""

    async def test_a_difference_is_told_once_it_has_lasted_a_minute_and_logged_once(
        self, two: tuple[Fellow, Fellow], clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        alpha, beta = two
        caplog.set_level(logging.INFO)
        for fellow in (alpha, beta, alpha):
            assert await fellow.look() == []
        beta.has = {"s": ("v2", "active")}
        await beta.look()
        assert await alpha.look() == []
        clock.pass_by(59)
        assert (await alpha.look(), await beta.look(), alpha.told) == ([], [], [])
        clock.pass_by(1)
        for fellow in (alpha, beta, alpha):
            (problem,) = await fellow.look()
            assert "'s': version v" in problem
            assert "version v1 on alpha (process 1)" in problem
            assert "version v2 on beta (process 2)" in problem
            assert "same files" in problem
        assert {event.key for event in alpha.told} == {f"differ {at('12:00').isoformat()}"}
        assert alpha.told[0].fields["problem"] == problem
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 2, "once by each"
        alpha.has = beta.has
        assert await alpha.look() == []
        assert "same strategies again" in caplog.text

    async def test_homes_that_become_equal_within_a_minute_are_never_told_of(
        self, two: tuple[Fellow, Fellow], clock: HandClock
    ) -> None:
        alpha, beta = two
        for version in ("v2", "v3", "v4"):
            alpha.has = {"s": (version, "active")}
            await alpha.look()
            await beta.look()
            clock.pass_by(50)
            beta.has = alpha.has
            assert (await beta.look(), await alpha.look()) == ([], [])
        assert alpha.told == beta.told == []

    async def test_who_has_ended_is_no_fellow_and_leaves_nothing(
        self, two: tuple[Fellow, Fellow], clock: HandClock, home: Path
    ) -> None:
        alpha, beta = two
        beta.has = {}
        for _ in range(2):
            await beta.look()
            await alpha.look()
            clock.pass_by(60)
        assert alpha.runners.problems()
        assert alpha.rows() == 2
        beta.end()
        assert await alpha.look() == []
        gamma = Fellow(home, clock, "gamma (process 3)")
        assert await gamma.look() == []
        assert gamma.rows() == 2, "what was noted by the one that ended is gone"
        gamma.end()

    async def test_who_was_taken_for_dead_tells_again_what_it_has(self, two: tuple[Fellow, Fellow]) -> None:
        alpha, beta = two
        for fellow in two:
            await fellow.look()
        alpha.machine.database.write(lambda c: c.execute("DELETE FROM runners"))
        for fellow in two:
            await fellow.look()
        assert beta.rows() == 2

    async def test_a_runner_that_has_not_looked_at_its_folders_tells_nothing(self, two: tuple[Fellow, Fellow]) -> None:
        alpha, beta = two
        beta.has = None
        await beta.look()
        await alpha.look()
        assert alpha.rows() == 1


@ON_A_FILE
async def test_on_a_file_nobody_is_compared_and_the_file_stays_closed(
    home: Path, clock: HandClock, kept_in: None
) -> None:
    fellows = Fellow(home, clock, "alpha"), Fellow(home, clock, "beta")
    fellows[1].has = {}
    with held_by_a_shell(fellows[0].machine.home.database):
        for _ in range(2):
            for fellow in fellows:
                assert await fellow.look() == []
            clock.pass_by(120)
    for fellow in fellows:
        fellow.end()


async def test_a_runner_tells_what_it_has_adopted_and_why_it_has_not_the_rest(home: Path) -> None:
    write(home, on := hourly("on"))
    write(home, off := hourly("off", status="paused"))
    write(home, "broken")
    async with driven(Machine(home), at("12:00")) as everything:
        assert everything.schedulers[0].schedules.adopted() == {
            "on": (on.version, "active"),
            "off": (off.version, "paused"),
            "broken": ("", "broken"),
        }
