"""What the store knows of every series: ranges, revisions, and a mark by which others' writes are seen."""

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.errors import Retryable
from mcp_server.storage.candles.ranges import Range, holes, joined
from mcp_server.storage.candles.store import CandleStore, Known
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import SHORT_PATIENCE_S
from mcp_server.storage.schema import migrations, schema_version
from tests.rigs.forked_script import ForkedScript
from tests.rigs.sampled import sampled
from tests.storage.conftest import HOUR, OTHER, PARTS, SERIES, candles, hours, runs, span
from tests.storage.test_database import held_by_a_shell

FOR_EVER_S = 10_000.0


# Ranges as such


@settings(deadline=None)
@given(st.lists(PARTS))
def test_joined_ranges_are_what_they_cover_together_and_never_touch(parts: list[tuple[int, int]]) -> None:
    ranges: tuple[Range, ...] = ()
    covered: set[int] = set()
    for start, length in parts:
        ranges = joined(ranges, (start, start + length))
        covered |= set(range(start, start + length))
        assert ranges == runs(covered)


@settings(deadline=None)
@given(st.lists(PARTS), PARTS)
def test_holes_are_what_no_range_covers(parts: list[tuple[int, int]], wanted: tuple[int, int]) -> None:
    covered = {number for start, length in parts for number in range(start, start + length)}
    asked = set(range(wanted[0], sum(wanted)))
    assert tuple(holes((wanted[0], sum(wanted)), list(runs(covered)))) == runs(asked - covered)


@settings(deadline=None)
@given(st.lists(PARTS), PARTS)
def test_what_is_joined_has_no_hole_where_it_was_joined(parts: list[tuple[int, int]], new: tuple[int, int]) -> None:
    before = runs({number for start, length in parts for number in range(start, start + length)})
    assert holes((new[0], sum(new)), list(joined(before, (new[0], sum(new))))) == []


# The index


def test_nothing_is_known_at_first(store: CandleStore) -> None:
    assert store.index(5) == {}


def test_the_index_has_the_ranges_of_every_series_in_order_of_time(store: CandleStore) -> None:
    store.add(
        [(SERIES, candles(20), span(20, 22)), (OTHER, candles(3, 4), span(3, 5)), (SERIES, candles(), span(5, 9))]
    )
    store.add([(SERIES, candles(22), span(22, 23))])
    assert store.index(5) == {
        SERIES: Known(0, (span(5, 9), span(20, 23))),
        OTHER: Known(0, (span(3, 5),)),
    }


def test_an_import_counts_the_revision_up_and_an_addition_does_not(store: CandleStore) -> None:
    revisions = []
    for change in (
        lambda: store.add([(SERIES, candles(1), span(1, 2))]),
        lambda: store.save(SERIES, candles(1, close=120), span(1, 2)),
        lambda: store.add([(SERIES, candles(2), span(2, 3))]),
        lambda: store.save(SERIES, candles(7), span(7, 8), begins=True),
        lambda: store.save(OTHER, candles(1), span(1, 2)),
    ):
        change()
        revisions.append(store.index(5)[SERIES].revision)
    assert revisions == [0, 1, 1, 2, 2]


# The mark


def test_there_is_no_mark_without_a_database(store: CandleStore) -> None:
    assert store.stamp() is None


def test_the_mark_changes_with_every_write_and_with_no_read(store: CandleStore) -> None:
    marks = []
    for change in (
        lambda: store.index(5),
        lambda: store.add([(SERIES, candles(1), span(1, 2))]),
        lambda: store.add([(SERIES, candles(2), span(2, 3))]),
        lambda: store.save(SERIES, candles(1, close=120), span(1, 2)),
    ):
        change()
        marks.append(store.stamp())
        store.load(SERIES, span(0, 9))
        store.index(5)
        assert store.stamp() == marks[-1]
    assert None not in marks
    assert len(set(marks)) == 4


WRITE = """
import sys
from pathlib import Path
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from tests.storage.conftest import SERIES, candles, span
CandleStore(Database(Path(sys.argv[1]))).save(SERIES, candles(1, close=120), span(1, 2))
"""


def test_the_mark_and_the_revision_show_what_another_process_wrote(store: CandleStore, home: Path) -> None:
    store.add([(SERIES, candles(1), span(1, 2))])
    before = store.stamp()
    with ForkedScript(WRITE, str(home / "claude_trader.duckdb")) as writer:
        assert writer.wait(60) == 0
    assert store.stamp() != before
    assert store.index(5)[SERIES].revision == 1


# Whoever holds the file


def test_the_index_gives_up_on_a_held_file_long_before_a_transaction_would(home: Path) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb", patience_s=FOR_EVER_S))
    store.add([(SERIES, candles(1), span(1, 2))])
    with (
        held_by_a_shell(home / "claude_trader.duckdb") as pid,
        pytest.raises(Retryable, match=f"in use: process {pid}"),
    ):
        store.index(0.1)
    assert set(store.index(0.1)) == {SERIES}


def test_that_the_index_gave_up_makes_no_write_less_patient(home: Path) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb", patience_s=FOR_EVER_S))
    store.add([(SERIES, candles(1), span(1, 2))])
    done = threading.Event()

    def write() -> None:
        store.add([(SERIES, candles(2), span(2, 3))])
        done.set()

    with held_by_a_shell(home / "claude_trader.duckdb"):
        with pytest.raises(Retryable):
            store.index(0.1)
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(SHORT_PATIENCE_S * 2)
        assert thread.is_alive()
    thread.join(30)
    assert done.is_set()


# An older database


@pytest.mark.parametrize("first", sampled(["load", "index", "add", "save"], 2))
def test_a_database_of_the_first_schema_keeps_its_candles_whatever_comes_first(home: Path, first: str) -> None:
    file = home / "claude_trader.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute(migrations()[1])
        connection.execute("INSERT INTO schema_migrations (version) VALUES (1)")
        connection.execute("INSERT INTO series (exchange, symbol, timeframe) VALUES ('coinbase', 'BTC/USD', '1h')")
        connection.execute("INSERT INTO candles VALUES (1, '1970-01-01 05:00', 100, 200, 50, 123.5, 7)")
        connection.execute("INSERT INTO coverage VALUES (1, '1970-01-01 04:00', '1970-01-01 06:00')")
    store = CandleStore(Database(file))
    uses: dict[str, Callable[[], object]] = {
        "load": lambda: store.load(SERIES, span(0, 9)),
        "index": lambda: store.index(5),
        "add": lambda: store.add([(SERIES, candles(5, 6, close=150), span(5, 7))]),
        "save": lambda: store.save(SERIES, candles(8), span(8, 9)),
    }
    uses[first]()
    stored = store.load(SERIES, span(0, 6))
    assert (hours(stored.candles), stored.candles.close.tolist(), stored.missing) == ([5], [123.5], [span(0, 4)])
    known = store.index(5)[SERIES]
    assert (known.revision, known.ranges[0][0]) == (1 if first == "save" else 0, 4 * HOUR)
    assert Database(file).read(schema_version) == max(migrations())
    store.save(SERIES, candles(5), span(5, 6))
    assert store.index(5)[SERIES].revision == known.revision + 1
