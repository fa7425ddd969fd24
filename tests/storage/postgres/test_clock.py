"""The clock that machines share: the database's, however the machine's own is set, and never ahead of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.domain.news.item import NewsFetch
from mcp_server.errors import Retryable
from mcp_server.storage.news.store import NewsStore
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.clock import EVERY_S, DatabaseClock
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import IN_POSTGRES, journal_database
from tests.storage.news.conftest import feed, told

pytestmark = IN_POSTGRES
GONE_AFTER_S = liveness.GONE_AFTER_S  # which the fixture sets to nothing
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Said:
    """A database whose clock says what a test sets."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def execute(self, query: str, parameters: object = None, /) -> "Said":
        return self

    def fetchone(self) -> tuple[datetime]:
        return (self.moment.replace(tzinfo=None),)


def test_the_time_goes_on_from_what_the_database_said_whatever_the_machines_clock_shows() -> None:
    elapsed, wall = [100.0], [NOON + HOUR]
    clock = DatabaseClock(lambda: elapsed[0], lambda: wall[0])
    assert clock.now() == NOON + HOUR, "until it is asked, the machine's"
    assert clock.due
    clock.measure(Said(NOON))  # type: ignore[arg-type]
    assert (clock.now(), clock.skew, clock.due) == (NOON, HOUR, False)
    wall[0] -= 3 * HOUR
    elapsed[0] += 50
    assert NOON + timedelta(seconds=49.9) < clock.now() <= NOON + timedelta(seconds=50)
    assert not clock.due
    elapsed[0] += EVERY_S - 50
    assert clock.due
    assert [clock.ask, clock.ask] == [True, False], "one question at a time"


def test_what_a_machine_takes_for_the_present_is_the_databases_and_never_later(database: PostgresDatabase) -> None:
    database.clock = DatabaseClock(wall=lambda: datetime.now(UTC) + HOUR)
    database.read(lambda connection: None)
    before = database.now()
    there = database.read(database.now_within)
    assert there is not None
    assert before <= there < before + HOUR / 2
    assert str(database.problem()).startswith("This machine's clock is 3600 s ahead of that of the database")
    database.clock = DatabaseClock(wall=lambda: datetime.now(UTC) - timedelta(seconds=3))
    database.read(lambda connection: None)
    assert database.problem() is None, "below 5 s nobody is told"


def test_the_clock_is_asked_again_every_minute_that_the_database_is_used(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed = [0.0]
    database.clock = DatabaseClock(lambda: elapsed[0])
    database.read(lambda connection: None)
    known = database.clock._measured
    database.read(lambda connection: None)
    assert database.clock._measured == known
    elapsed[0] += EVERY_S
    database.write(lambda connection: None)
    assert database.clock._measured != known


def test_headlines_are_stamped_by_the_databases_clock_and_no_reader_comes_in_between(
    home: Path, database: PostgresDatabase
) -> None:
    other: PostgresDatabase = journal_database(home, patience_s=0.3)
    store, reader = NewsStore(database), NewsStore(other)
    before = database.read(database.now_within)
    assert store.enter(NewsFetch("a", 0, "ok", 1), feed("a"), [told("1")]) == 1
    after = database.read(database.now_within)
    (item,) = reader.seen(0, 2**42)
    assert before is not None
    assert after is not None
    assert before.timestamp() * 1000 <= item.first_seen_ms <= after.timestamp() * 1000 + 1

    def read_meanwhile(_: object) -> None:
        for ask in (lambda: reader.seen(0, 2**42), lambda: reader.fetches(0, 2**42), lambda: reader.collection(2**42)):
            with pytest.raises(Retryable, match="lock timeout"):
                ask()
        assert other.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,), "others need not wait"

    database.write(read_meanwhile)


def test_a_runner_looks_so_often_that_a_killed_one_is_missed_within_two_seconds(database: PostgresDatabase) -> None:
    every_s = database.signs_of_life(Path()).look_every_s
    assert every_s is not None
    assert every_s <= 0.5
    assert GONE_AFTER_S + 2 * every_s <= 2.0
