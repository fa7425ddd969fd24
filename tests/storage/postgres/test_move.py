"""A journal that is moved into Postgres and back: all of it arrives, whatever stops it, and one place alone goes on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import sleep
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import BadInput, Misconfigured, Retryable, TraderError
from mcp_server.storage.candles.store import CandleStore
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal import copying
from mcp_server.storage.journal.copying import SEQUENCES, STAYING, TABLES, tables_of
from mcp_server.storage.journal.move import LOCK, JournalMove
from mcp_server.storage.journal.place import Moved, PlaceKind
from mcp_server.storage.journal.rows import mirror
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slots import SlotStore
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.schema import migrations
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url
from tests.rigs.random_journal import contents, fill, next_ids
from tests.storage.test_journal import BOUGHT, NOON, claim, end

pytestmark = IN_POSTGRES


@dataclass
class Places:
    """A home's file with a journal in it, and a database that is empty."""

    home: Home
    file: Database
    postgres: PostgresDatabase

    def move(self, to: PlaceKind) -> JournalMove:
        return JournalMove.of(self.home, self.file, self.postgres, to)

    @property
    def usable(self) -> list[str]:
        """In which places a journal can be used."""
        usable = []
        for name, database in (("file", self.file), ("postgres", self.postgres)):
            try:
                database.write(lambda _: None)
            except Moved:
                continue
            usable.append(name)
        return usable


@contextmanager
def places(root: Path, *, migrated: bool = True) -> Iterator[Places]:
    home = Home(root)
    postgres = PostgresDatabase(PostgresAddress.of(postgres_url(migrated=migrated)), patience_s=5.0)
    try:
        yield Places(home, Database(home.database, prepare=home.prepare), postgres)
    finally:
        postgres.close()


@pytest.fixture(scope="module")
def four_rows(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a home, with four random rows in each table."""
    home = Home(tmp_path_factory.mktemp("filled"))
    database = Database(home.database, prepare=home.prepare)
    fill(database, 0, 4)
    database.close()
    return home.database.read_bytes()


@pytest.fixture
def filled(home: Path, four_rows: bytes) -> Iterator[Places]:
    with places(home) as both:
        both.home.prepare()
        both.home.database.write_bytes(four_rows)
        yield both


def of_schema(database: Any, kind: str) -> set[str]:
    query = (
        f"SELECT {kind}_name FROM information_schema.{kind}s "
        f"WHERE {kind}_catalog = current_database() AND {kind}_schema = current_schema()"
    )
    return {name for (name,) in database.read(lambda c: c.execute(query).fetchall())}


def test_every_table_and_every_sequence_of_the_schema_is_moved_or_stays_for_a_reason(filled: Places) -> None:
    assert of_schema(filled.file, "table") == {*TABLES, *STAYING}
    assert of_schema(filled.postgres, "table") == {*TABLES, "schema_migrations", "journal_place", "runners"}
    assert of_schema(filled.postgres, "sequence") == {*SEQUENCES}
    query = "SELECT sequence_name FROM duckdb_sequences() WHERE database_name = 'file'"
    assert {name for (name,) in filled.file.read(lambda c: c.execute(query).fetchall())} == {*SEQUENCES, "series_ids"}
    types = [{table.name: table.types for table in side.read(tables_of)} for side in (filled.file, filled.postgres)]
    columns = [{name: {*kinds.items()} for name, kinds in side.items()} for side in types]
    assert columns[0] == columns[1]


@pytest.mark.long
@pytest.mark.parametrize(("seed", "rows", "most"), [(1, 5, 2), (2, 300, 100), (3, 1, 1), (4, 0, 5), (5, 15, 4)])
def test_a_random_journal_is_the_same_in_postgres_and_back_in_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, seed: int, rows: int, most: int
) -> None:
    """In `make test`, the next test moves four rows of each table there and back."""
    monkeypatch.setattr(copying, "MOST_ROWS", most)
    with places(home) as both:
        fill(both.file, seed, rows)
        before = contents(both.file)
        progress: list[tuple[str, int, int]] = []
        sums = both.move("postgres").move(lambda *news: progress.append(news))
        assert contents(both.postgres) == contents(both.file) == before
        assert {name: of.rows for name, of in sums.items()} == dict.fromkeys(TABLES, rows)
        assert {name: (done, of) for name, done, of in progress} == dict.fromkeys(TABLES, (rows, rows))
        assert both.usable == ["postgres"]
        assert both.move("file").move() == sums
        assert contents(both.file) == before
        assert both.usable == ["file"]


def test_where_the_journal_was_everybody_is_told_where_it_is_and_candles_and_ids_go_on(
    filled: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_ROWS", 3)
    given, before = {name: 12 + number for number, name in enumerate(SEQUENCES)}, contents(filled.file)
    progress: list[tuple[str, int, int]] = []
    sums = filled.move("postgres").move(lambda *news: progress.append(news))
    assert contents(filled.postgres) == contents(filled.file) == before
    assert {name: (done, of) for name, done, of in progress} == dict.fromkeys(TABLES, (4, 4))
    assert {name: of.rows for name, of in sums.items()} == dict.fromkeys(TABLES, 4)
    assert next_ids(filled.postgres) == {name: last + 1 for name, last in given.items()}, "also where its row is gone"
    told = f"it is in {filled.postgres.address}. Set TRADER_DATABASE_URL"
    for use in (
        Journal(filled.file, filled.home).entries,
        lambda: claim(Journal(filled.file, filled.home)),
        SlotStore(filled.file, filled.home).open,
    ):
        with pytest.raises(Moved) as refused:
            use()
        assert told in str(refused.value)
        assert "claude-trader journal move --to file" in refused.value.remedy
    assert CandleStore(filled.file).index(1.0) == {}
    assert filled.move("file").move() == sums
    assert contents(filled.file) == before
    assert next_ids(Database(filled.home.database)) == {name: last + 2 for name, last in given.items()}
    with pytest.raises(Moved, match="with that home, where TRADER_DATABASE_URL is unset"):
        SlotStore(filled.postgres, filled.home).open()
    assert claim(Journal(filled.file, filled.home)).execution_id


def test_an_outcome_that_comes_while_the_journal_is_elsewhere_waits_and_is_entered_there(home: Path) -> None:
    with places(home) as both:
        there = Journal(both.file, both.home)
        claimed = claim(there)
        assert claimed.liveness is not None
        claimed.liveness.close(forget=True)
        both.file.write(lambda c: c.execute("UPDATE executions SET answer_by = TIMESTAMP '2999-01-01'"))
        both.move("postgres").move()
        ended = there.finish(claimed, BOUGHT, claimed.run.started_at)
        assert "the journal is not here any more" in str(ended.waiting).lower()
        Journal(both.postgres, both.home).settle(claimed.run.started_at)
        (entry,) = Journal(both.postgres, both.home).entries()
        assert (entry.execution_id, entry.signal) == (claimed.execution_id, "BUY")


class Killed(BaseException):
    """Ends a process at some moment, as far as this process can tell."""


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Let the process be killed right after so many transactions that write."""

    @contextmanager
    def killing(writes: int) -> Iterator[None]:
        left = writes

        def counted(write: Callable[..., Any], self: Any, work: Any, **options: Any) -> Any:
            nonlocal left
            done = write(self, work, **options)
            left -= 1
            if left == 0:
                raise Killed
            return done

        with monkeypatch.context() as patched:
            for kind in (Database, PostgresDatabase):
                write = kind.write
                patched.setattr(kind, "write", lambda self, work, write=write, **o: counted(write, self, work, **o))
            with pytest.raises(Killed):
                yield

    return killing


WRITES = 29
"""So many transactions write: two mark both sides; three copy each table; then ids go on, and both are marked anew."""


@pytest.mark.parametrize(
    "writes", [7, 28, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3, 8, 20, 27, 29))]
)
def test_a_move_that_is_killed_at_any_moment_goes_on_and_one_place_at_most_can_be_used(
    filled: Places, killed_after: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """In `make test`, the kill just before the last mark; the next test has one in the midst of a table."""
    monkeypatch.setattr(copying, "MOST_ROWS", 2)
    before = contents(filled.file)
    with killed_after(writes):
        filled.move("postgres").move()
    assert "file" not in filled.usable
    if writes > 1:  # a database without a mark is a new one, and has nothing
        assert filled.usable == (["postgres"] if writes == WRITES else [])
    if writes == WRITES:
        with pytest.raises(Moved):
            filled.move("postgres").move()
    else:
        filled.move("postgres").move()
    assert contents(filled.postgres) == before
    assert filled.usable == ["postgres"]


MOVES = """
import sys
from pathlib import Path
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal import copying
from mcp_server.storage.journal.move import JournalMove
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
copying.MOST_ROWS = 20
home = Home(Path(sys.argv[1]))
postgres = PostgresDatabase(PostgresAddress.of(sys.argv[2]))
print("begins", flush=True)
JournalMove.of(home, Database(home.database), postgres, sys.argv[3]).move(lambda *news: print(*news, flush=True))
"""


@pytest.mark.long
def test_processes_that_are_killed_at_random_moments_lose_and_double_nothing(home: Path) -> None:
    random, url = Random(3), postgres_url()  # noqa: S311 (no secret)
    postgres = PostgresDatabase(PostgresAddress.of(url))
    both, kills = Places(Home(home), Database(Home(home).database, prepare=Home(home).prepare), postgres), 0
    fill(both.file, 3, 100)
    before = contents(both.file)
    for to in ("postgres", "file"):
        for lines in (2, 3, 9, 20, 30, 40, 1_000):
            with ForkedScript(MOVES, str(home), url, to) as program:
                told = sum(1 for _, _ in zip(range(lines), program.stdout, strict=False))
                if told == lines:
                    sleep(random.random() / 50)
                    program.kill()
                    kills += 1
                program.wait()
            assert len(both.usable) <= 1
        assert both.usable == [to]
        assert contents(both.file) == contents(both.postgres) == before
    assert kills >= 10
    postgres.close()


def test_what_arrived_before_a_kill_is_not_copied_again(
    filled: Places, killed_after: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first table, which arrived whole; the second one, of which a part did, is begun anew."""
    monkeypatch.setattr(copying, "MOST_ROWS", 2)
    before = contents(filled.file)
    with killed_after(7):
        filled.move("postgres").move()
    assert filled.usable == []
    written: list[str] = []
    insert = copying.TableCopy.insert

    def noted(self: copying.TableCopy, *arguments: Any) -> None:
        written.append(self.name)
        insert(self, *arguments)

    monkeypatch.setattr(copying.TableCopy, "insert", noted)
    filled.move("postgres").move()
    assert [*dict.fromkeys(written)] == [*TABLES][1:]
    assert contents(filled.postgres) == before
    assert filled.usable == ["postgres"]


def test_a_move_is_taken_back_by_the_other_direction_and_can_begin_again(
    filled: Places, killed_after: Callable[[int], Any]
) -> None:
    before = contents(filled.file)
    with killed_after(5):
        filled.move("postgres").move()
    back = filled.move("file")
    assert back.is_taken_back()
    back.take_back()
    assert filled.usable == ["file"]
    with pytest.raises(Moved, match="Only a part"):
        filled.postgres.read(lambda _: None)
    claimed = claim(Journal(filled.file, filled.home))
    end(Journal(filled.file, filled.home), claimed)
    filled.move("postgres").move()
    after = contents(filled.postgres)
    assert {name: len(rows) - len(before[name]) for name, rows in after.items() if rows != before[name]} == {
        "strategies": 1,
        "executions": 1,
        "analysis_results": 1,
    }
    assert after == contents(filled.file)


def test_a_move_that_was_taken_back_while_it_went_on_frees_nothing(filled: Places) -> None:
    def take_back(table: str, done: int, of: int) -> None:
        if (table, done) == ("news_fetches", of):
            other = Database(filled.home.database)
            other.write(lambda c: c.execute("UPDATE journal_place SET state = 'here'"), anyway=True)

    with pytest.raises(Retryable, match="taken back meanwhile"):
        filled.move("postgres").move(take_back)
    assert filled.usable == ["file"]


def test_a_value_that_changes_on_its_way_is_noticed(filled: Places) -> None:
    filled.postgres.write(
        lambda c: c.execute(
            "CREATE FUNCTION rounded() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.fee_bps := CAST(NEW.fee_bps AS REAL); RETURN NEW; END $$; "
            "CREATE TRIGGER rounded BEFORE INSERT ON backtests FOR EACH ROW EXECUTE FUNCTION rounded()"
        )
    )
    filled.file.write(lambda c: c.execute("UPDATE backtests SET fee_bps = 0.1"))
    with pytest.raises(Retryable, match="backtests was not copied as it is"):
        filled.move("postgres").move()
    assert filled.usable == []


def test_a_row_that_postgres_cannot_keep_is_named_and_nothing_is_lost(filled: Places) -> None:
    filled.file.write(lambda c: c.execute("UPDATE executions SET error_message = 'a' || chr(0) WHERE id = 7"))
    with pytest.raises(Misconfigured, match=r"row of executions .*\(id '7'\): .*NUL"):
        filled.move("postgres").move()
    assert filled.move("file").is_taken_back()


def refused(both: Places, to: PlaceKind, error: type[TraderError], words: str) -> None:
    """A move is refused before it has changed anything."""
    usable = both.usable
    with pytest.raises(error, match=words):
        both.move(to).sizes()
    with pytest.raises(error, match=words):
        both.move(to).move()
    assert both.usable == usable


def test_another_programs_locks_in_the_database_keep_nothing_from_being_moved(filled: Places) -> None:
    other = PostgresDatabase(filled.postgres.address)
    locks = "SELECT pg_advisory_lock(42), pg_advisory_lock(-1), pg_advisory_lock(1, 2), pg_advisory_lock_shared(7)"
    other.write(lambda c: c.execute(locks).fetchall())
    assert filled.move("postgres").sizes().keys() == TABLES.keys(), "nobody is at work, as a move asks first"
    other.close()


def test_nothing_is_moved_while_a_program_is_at_work_on_either_side(filled: Places) -> None:
    for database in (filled.file, filled.postgres):
        store = SlotStore(database, filled.home)
        store.open()
        refused(filled, "postgres", Retryable, "1 program of Claude Trader at work on .*: nothing was moved")
        store.close(forget=True)
        database.close()
    with Journal(filled.file, filled.home)._signs.hold("replay-1"):
        refused(filled, "postgres", Retryable, "1 program of Claude Trader at work")
    with Journal(filled.file, filled.home)._signs.hold(LOCK), pytest.raises(Retryable, match="Another"):
        filled.move("postgres").move()
    assert filled.usable == ["file", "postgres"]


def test_a_program_that_begins_at_the_last_moment_keeps_the_journal_where_it_is(
    filled: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, settle = SlotStore(filled.file, filled.home), Journal.settle
    with ExitStack() as ends:

        def begins(self: Journal) -> None:
            settle(self)
            store.open()
            ends.callback(store.close, forget=True)

        monkeypatch.setattr(Journal, "settle", begins)
        with pytest.raises(Retryable, match="at work"):
            filled.move("postgres").move()
    assert filled.usable == ["file", "postgres"]


def test_a_target_with_a_journal_of_its_own_is_refused(filled: Places, tmp_path: Path) -> None:
    end(journal := Journal(filled.postgres, filled.home), claim(journal))
    refused(filled, "postgres", BadInput, "is not empty. Its rows: 1 in strategies, 1 in executions")
    refused(filled, "file", BadInput, "claude_trader.duckdb is not empty")
    with places(tmp_path / "new", migrated=False) as other:
        for to in ("postgres", "file"):
            with pytest.raises(BadInput, match="There is no journal in "):
                other.move(to).move()


def test_where_up_was_started_once_the_journals_strategies_take_the_place_of_its_rows(filled: Places) -> None:
    """As long as there is nothing else that a move would lose."""
    before = contents(filled.file)

    def started_once(*names: str) -> None:
        config = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}
        filled.postgres.write(lambda c: [mirror(c, parse_strategy(name, config, None), NOON) for name in names])

    started_once(f"{1:032x}", "only-here")
    refused(filled, "postgres", BadInput, "2 in strategies. Strategies of which the other has none: only-here.")
    filled.postgres.write(lambda c: c.execute("DELETE FROM strategies WHERE name = 'only-here'"))
    assert contents(filled.postgres)["strategies"] != []
    filled.move("postgres").move()
    assert contents(filled.postgres) == before


def test_the_half_of_another_homes_journal_is_refused(
    filled: Places, tmp_path: Path, killed_after: Callable[[int], Any]
) -> None:
    with killed_after(7):
        filled.move("postgres").move()
    home = Home(tmp_path / "other")
    other = Places(home, Database(home.database, prepare=home.prepare), filled.postgres)
    fill(other.file, 1, 1)
    refused(other, "postgres", Moved, "Only a part of the journal is here: its move from .* has not ended")
    elsewhere = Places(filled.home, filled.file, PostgresDatabase(PostgresAddress.of(postgres_url())))
    with pytest.raises(Moved, match="is being moved to"):
        elsewhere.move("postgres").move()
    elsewhere.postgres.close()
    filled.move("postgres").move()
    assert contents(filled.postgres) == contents(filled.file)


def test_a_schema_that_is_newer_than_this_program_is_refused_on_either_side(filled: Places) -> None:
    newer = f"INSERT INTO schema_migrations (version) VALUES ({max(migrations()) + 1})"
    filled.postgres.write(lambda c: c.execute(newer))
    with pytest.raises(Misconfigured, match="written by a newer claude-trader"):
        filled.move("postgres").move()
    assert contents(filled.file)["executions"]
    filled.file.write(lambda c: c.execute(newer))
    with pytest.raises(Misconfigured, match="written by a newer claude-trader"):
        filled.move("postgres").sizes()


def test_a_role_without_the_rights_is_told_so_and_the_move_goes_on_later(filled: Places) -> None:
    filled.postgres.read(lambda _: None)
    address = filled.postgres.address
    denied = r"permission denied"
    with psycopg.connect(make_conninfo("", **address.parameters), autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        try:
            reader = PostgresDatabase(PostgresAddress({**address.parameters, "user": "reader"}, address.hosts))
            with pytest.raises(Misconfigured, match=denied):
                Places(filled.home, filled.file, reader).move("postgres").move()
            reader.close()
            assert filled.usable == ["postgres"], "the file is on its way"
            filled.move("postgres").move()
        finally:
            owner.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert contents(filled.postgres) == contents(filled.file)


def test_a_question_of_how_much_there_is_changes_nothing(home: Path) -> None:
    with places(home, migrated=False) as filled:
        fill(filled.file, 0, 4)
        _ask_for_sizes(filled)


def _ask_for_sizes(filled: Places) -> None:
    written = filled.home.database.read_bytes()
    sizes = filled.move("postgres").sizes()
    assert {name: size.rows for name, size in sizes.items()} == dict.fromkeys(TABLES, 4)
    texts = sum(len(text.encode()) for row in rows_of(filled.file, "news") for text in row if isinstance(text, str))
    assert 0 <= sizes["news"].bytes - texts <= 4 * 13 * 8
    assert filled.postgres.untouched()
    assert filled.home.database.read_bytes() == written


def rows_of(database: Any, table: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = database.read(lambda c: c.execute(f"SELECT * FROM {table}").fetchall())
    return rows
