"""As of a moment: what an answer told then is what every later answer as of that moment tells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.domain.news.collection import Collection
from mcp_server.domain.news.feed import NewsKind
from mcp_server.domain.news.item import NewsFetch, NewsItem, Told
from mcp_server.domain.timeframes import from_ms, naive
from mcp_server.storage.database import Database
from mcp_server.storage.news.steady_clock import SteadyClock
from mcp_server.storage.news.store import NewsStore
from mcp_server.storage.sql import JournalDatabase, SqlConnection
from tests.rigs.journal_databases import ON_A_FILE, journal_database, kept_for_file
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, feed, told

__all__ = ["kept_for_file"]

KINDS: dict[str, NewsKind] = {"coindesk": "press", "gdelt": "news", "okx": "announcement", "fear_greed": "index"}
TEXTS = ("Bitcoin falls below $60,000", "BITCOIN FALLS BELOW $60K", "Bitcoin falls below $50,000", "Rates fall", "🚀")

ITEMS = st.builds(
    told,
    st.sampled_from("abcde"),
    st.sampled_from(TEXTS),
    st.one_of(st.none(), st.integers(NOON - 3 * DAY, NOON + 3 * DAY), st.just(4 * 10**12), st.integers()),
    st.sampled_from([None, "https://a.example/1", "http://www.a.example/1/?utm_source=x", "https://a.example/"]),
)
MOMENTS = {"news": "first_seen_at", "news_fetches": "fetched_at"}
"""The tables of news, and which of their columns says since when a row is there."""

PAUSES = st.sampled_from([0, 0, 1, MINUTE, 5 * MINUTE, 2 * HOUR, 3 * DAY])
TURNS = st.sampled_from([0, 0, 0, 0, 1, HOUR, -1, -MINUTE, -HOUR, -5 * HOUR])
"""By how much the machine's clock is set, in ms."""
JUMPS = st.sampled_from([0, 0, 400 * DAY, -400 * DAY])


@dataclass
class SetClock:
    """A machine's clock and what has elapsed, in ms, as the test sets them."""

    wall: int = NOON
    elapsed: int = 0

    def go_on(self, elapsed_ms: int, set_by_ms: int) -> None:
        self.elapsed += elapsed_ms
        self.wall += elapsed_ms + set_by_ms

    def steady(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall * 1_000_000, lambda: self.elapsed * 1_000_000)


@dataclass(frozen=True)
class Step:
    """A fetch, after a pause and an answer, and how the clock was set just before it."""

    source: str
    items: list[Told]
    status: str
    pause_ms: int
    set_by_ms: int


def steps(turns: st.SearchStrategy[int]) -> st.SearchStrategy[list[Step]]:
    status = st.sampled_from(["ok", "ok", "unchanged", "http_429"])
    step = st.builds(Step, st.sampled_from(sorted(KINDS)), st.lists(ITEMS, max_size=4), status, PAUSES, turns)
    return st.lists(step, min_size=1, max_size=6)


@dataclass(frozen=True)
class AsOf:
    """All that a store tells as of a moment."""

    until_ms: int
    seen: list[NewsItem]
    numbers: list[NewsItem]
    index: NewsItem | None
    collection: Collection


def as_of(store: NewsStore, until_ms: int) -> AsOf:
    numbers = store.seen(0, until_ms, index=True)
    return AsOf(until_ms, store.seen(0, until_ms), numbers, store.index(until_ms), store.collection(until_ms))


@dataclass
class Collected:
    """A home that begins to collect, and the answers that were given meanwhile."""

    database: JournalDatabase
    clock: SetClock = field(default_factory=SetClock)
    given: list[AsOf] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database.write(lambda connection: [connection.execute(f"DELETE FROM {table}") for table in MOMENTS])
        self.store = NewsStore(self.database, self.clock.steady())

    def go_through(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.clock.go_on(step.pause_ms, 0)
            self.given.append(as_of(self.store, self.clock.wall))
            self.clock.go_on(0, step.set_by_ms)
            self.enter(step)
        self.given.append(as_of(self.store, self.clock.wall))

    def enter(self, step: Step) -> None:
        items = step.items if step.status == "ok" else []
        fetch = NewsFetch(step.source, self.clock.wall, step.status, len(items) if items else None)
        self.store.enter(fetch, feed(step.source, KINDS[step.source]), items)

    def cut_at(self, moment_ms: int) -> NewsStore:
        """Remove all that is later than a moment; return the store of what is left."""
        moment = naive(from_ms(moment_ms))

        def work(connection: SqlConnection) -> None:
            for table, column in MOMENTS.items():
                connection.execute(f"DELETE FROM {table} WHERE {column} > ?", [moment])

        self.database.write(work)
        return NewsStore(self.database)


@pytest.fixture(scope="module")
def database(kept_in: None, tmp_path_factory: pytest.TempPathFactory) -> JournalDatabase:
    """A journal for one home after the other, as to make one takes longer than most examples."""
    made: JournalDatabase = journal_database(tmp_path_factory.mktemp("news"))
    return made


def check_answers_stay(database: JournalDatabase, stream: Sequence[Step]) -> None:
    home = Collected(database)
    home.go_through(stream)
    for answer in home.given:
        assert as_of(home.store, answer.until_ms) == answer


def check_cut(database: JournalDatabase, stream: Sequence[Step], at: int) -> None:
    home = Collected(database)
    home.go_through(stream)
    moments = sorted({answer.until_ms for answer in home.given})
    cut_ms = moments[at % len(moments)]
    answers = [as_of(home.store, moment) for moment in moments if moment <= cut_ms]
    cut = home.cut_at(cut_ms)
    for answer in answers:
        assert as_of(cut, answer.until_ms) == answer
        items = [*answer.seen, *answer.numbers]
        assert all(item.first_seen_ms <= answer.until_ms for item in items)
        assert {item.story for item in items} <= {item.id for item in items}


@settings(max_examples=5, deadline=None, derandomize=True)
@given(steps(TURNS))
def test_no_answer_changes_by_what_is_seen_later_whatever_the_clock_does(
    database: JournalDatabase, stream: list[Step]
) -> None:
    check_answers_stay(database, stream)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(steps(st.one_of(TURNS, JUMPS)), st.integers(0, 6))
def test_a_home_that_ends_at_a_moment_answers_as_of_it_as_the_whole_does(
    database: JournalDatabase, stream: list[Step], at: int
) -> None:
    check_cut(database, stream, at)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(steps(TURNS))
def test_no_answer_changes_by_what_is_seen_later_in_many_streams(database: JournalDatabase, stream: list[Step]) -> None:
    check_answers_stay(database, stream)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(steps(st.one_of(TURNS, JUMPS)), st.integers(0, 6))
def test_a_home_that_ends_at_a_moment_answers_alike_in_many_streams(
    database: JournalDatabase, stream: list[Step], at: int
) -> None:
    check_cut(database, stream, at)


def test_a_story_rests_on_what_was_seen_before_alone(database: JournalDatabase) -> None:
    collected = Collected(database)
    later = Step("coindesk", [told("a", TEXTS[0], url="https://a.example/1")], "ok", 0, 400 * DAY)
    collected.go_through([later, Step("okx", [], "ok", 0, -400 * DAY)])
    collected.enter(Step("coindesk", [told("a", TEXTS[3]), told("b", TEXTS[0])], "ok", 0, 0))
    collected.enter(Step("gdelt", [told("c", TEXTS[2], url="https://a.example/1")], "ok", 0, 0))
    items = as_of(collected.store, collected.clock.wall + DAY).seen
    assert [item.story for item in items] == [item.id for item in items] != []


@ON_A_FILE  # in Postgres readers have a lock of their own: see tests/storage/postgres/test_clock.py
@pytest.mark.usefixtures("kept_in")
def test_the_time_of_an_entry_is_taken_while_nobody_else_can_have_the_file(home: Path) -> None:
    database = Database(home / "claude_trader.duckdb")
    NewsStore(database).seen(0, NOON)

    def clock() -> int:
        with pytest.raises(TimeoutError):
            FileLock(f"{database.path}.lock").acquire(timeout=0)
        return NOON

    NewsStore(database, clock).enter(NewsFetch("coindesk", NOON, "ok", 0), feed())


def test_a_clock_that_is_set_back_goes_on_from_what_it_was() -> None:
    clock = SetClock()
    steady = clock.steady()
    clock.go_on(HOUR, 0)
    assert steady() == NOON + HOUR
    clock.go_on(0, -2 * HOUR)
    assert steady() == NOON + HOUR
    clock.go_on(MINUTE, 0)
    assert steady() == NOON + HOUR + MINUTE
    clock.go_on(0, 4 * HOUR)
    assert steady() == clock.wall == NOON + 3 * HOUR + MINUTE


def test_news_go_on_after_a_clock_was_wrong_by_years(database: JournalDatabase) -> None:
    collected = Collected(database)
    for step in (Step("coindesk", [told("a", TEXTS[0])], "ok", 0, 400 * DAY), Step("okx", [], "ok", 0, -400 * DAY)):
        collected.go_through([step])
    now = collected.clock.wall
    assert as_of(collected.store, now + 1).seen == []
    collected.enter(Step("coindesk", [told("a", TEXTS[0])], "ok", 0, 0))
    (item,) = as_of(collected.store, now + DAY).seen
    assert item.story == item.id
