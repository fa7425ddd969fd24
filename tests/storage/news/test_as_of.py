"""As of a moment: what an answer told then is what every later answer as of that moment tells."""

import shutil
import tempfile
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
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, feed, told

KINDS: dict[str, NewsKind] = {"coindesk": "press", "gdelt": "news", "okx": "announcement", "fear_greed": "index"}
TEXTS = ("Bitcoin falls below $60,000", "BITCOIN FALLS BELOW $60K", "Bitcoin falls below $50,000", "Rates fall", "🚀")

ITEMS = st.builds(
    told,
    st.sampled_from("abcde"),
    st.sampled_from(TEXTS),
    st.one_of(st.none(), st.integers(NOON - 3 * DAY, NOON + 3 * DAY), st.just(4 * 10**12), st.integers()),
    st.sampled_from([None, "https://a.example/1", "http://www.a.example/1/?utm_source=x", "https://a.example/"]),
)
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
    """A home that collects, and the answers that were given meanwhile."""

    path: Path
    clock: SetClock = field(default_factory=SetClock)
    given: list[AsOf] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = NewsStore(Database(self.path), self.clock.steady())

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


def check_answers_stay(stream: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Collected(Path(folder, "home.duckdb"))
        home.go_through(stream)
        for answer in home.given:
            assert as_of(home.store, answer.until_ms) == answer


def check_cut(stream: Sequence[Step], at: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Collected(Path(folder, "home.duckdb"))
        home.go_through(stream)
        moments = sorted({answer.until_ms for answer in home.given})
        cut_ms = moments[at % len(moments)]
        cut = cut_at(cut_ms, home.path, Path(folder, "cut.duckdb"))
        for moment in [moment for moment in moments if moment <= cut_ms]:
            answer = as_of(home.store, moment)
            assert as_of(cut, moment) == answer
            items = [*answer.seen, *answer.numbers]
            assert all(item.first_seen_ms <= moment for item in items)
            assert {item.story for item in items} <= {item.id for item in items}


def cut_at(moment_ms: int, path: Path, target: Path) -> NewsStore:
    """Return the store of a copy of a home without all that is later than a moment."""
    shutil.copyfile(path, target)
    database, moment = Database(target), naive(from_ms(moment_ms))
    for table, column in (("news", "first_seen_at"), ("news_fetches", "fetched_at")):
        delete = f"DELETE FROM {table} WHERE {column} > ?"
        database.write(lambda c, delete=delete: c.execute(delete, [moment]))  # type: ignore[misc]
    return NewsStore(database)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(steps(TURNS))
def test_no_answer_changes_by_what_is_seen_later_whatever_the_clock_does(stream: list[Step]) -> None:
    check_answers_stay(stream)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(steps(st.one_of(TURNS, JUMPS)), st.integers(0, 6))
def test_a_home_that_ends_at_a_moment_answers_as_of_it_as_the_whole_does(stream: list[Step], at: int) -> None:
    check_cut(stream, at)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(steps(TURNS))
def test_no_answer_changes_by_what_is_seen_later_in_many_streams(stream: list[Step]) -> None:
    check_answers_stay(stream)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(steps(st.one_of(TURNS, JUMPS)), st.integers(0, 6))
def test_a_home_that_ends_at_a_moment_answers_alike_in_many_streams(stream: list[Step], at: int) -> None:
    check_cut(stream, at)


def test_a_story_rests_on_what_was_seen_before_alone(home: Path) -> None:
    collected = Collected(home / "claude_trader.duckdb")
    later = Step("coindesk", [told("a", TEXTS[0], url="https://a.example/1")], "ok", 0, 400 * DAY)
    collected.go_through([later, Step("okx", [], "ok", 0, -400 * DAY)])
    collected.enter(Step("coindesk", [told("a", TEXTS[3]), told("b", TEXTS[0])], "ok", 0, 0))
    collected.enter(Step("gdelt", [told("c", TEXTS[2], url="https://a.example/1")], "ok", 0, 0))
    items = as_of(collected.store, collected.clock.wall + DAY).seen
    assert [item.story for item in items] == [item.id for item in items] != []


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


def test_news_go_on_after_a_clock_was_wrong_by_years(home: Path) -> None:
    collected = Collected(home / "claude_trader.duckdb")
    for step in (Step("coindesk", [told("a", TEXTS[0])], "ok", 0, 400 * DAY), Step("okx", [], "ok", 0, -400 * DAY)):
        collected.go_through([step])
    now = collected.clock.wall
    assert as_of(collected.store, now + 1).seen == []
    collected.enter(Step("coindesk", [told("a", TEXTS[0])], "ok", 0, 0))
    (item,) = as_of(collected.store, now + DAY).seen
    assert item.story == item.id
