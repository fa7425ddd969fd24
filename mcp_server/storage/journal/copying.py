"""Copies the journal from one place into another, in batches, and compares both by counts and checksums.

A checksum is one of values, whichever database they were read from: floats to the last bit, money to the last digit,
times to the microsecond, JSON as it is written. It is a sum over rows, so their order makes no difference.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from mcp_server.domain.text import cleaned
from mcp_server.errors import Misconfigured, Retryable
from mcp_server.storage.sql import JournalDatabase, SqlConnection, unnested

T = TypeVar("T")
Row = tuple[Any, ...]
Tell = Callable[[str, int, int], None]
"""Is told a table, how many of its rows are done, and of how many."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "strategies": ("id",),
    "executions": ("id",),
    "analysis_results": ("execution_id",),
    "outcomes": ("execution_id",),
    "backtests": ("id",),
    "replays": ("id",),
    "news": ("id",),
    "news_fetches": ("fetched_at", "source"),
}
"""The tables of the journal, and by which columns their rows are ordered: no two rows have the same there."""

STAYING = {
    "schema_migrations": "each place has its own",
    "journal_place": "each place has its own",
    "candles": "each machine keeps its own",
    "series": "each machine keeps its own",
    "coverage": "each machine keeps its own",
    "fundings": "each machine keeps its own",
    "funding_coverage": "each machine keeps its own",
}
"""Every other table, and why it is not copied."""

SEQUENCES = {
    "strategy_ids": "strategies",
    "execution_ids": "executions",
    "signal_ids": "analysis_results",
    "backtest_ids": "backtests",
    "news_ids": "news",
}
"""Where the next ids come from, and of which table."""

MOST_ROWS, MOST_BYTES = 5_000, 8_000_000
"""A batch has no more rows than this, and no more bytes if they are of the usual size in their table."""

_CHECKSUMS = 1 << 256


@dataclass(frozen=True, slots=True)
class TableSum:
    """How many rows a table has, and their checksum."""

    rows: int = 0
    checksum: int = 0

    def plus(self, rows: Sequence[Row]) -> "TableSum":
        """Add rows. What Python writes for a value is the same whichever database it came from."""
        digests = (int.from_bytes(sha256(repr(row).encode()).digest(), "big") for row in rows)
        return TableSum(self.rows + len(rows), (self.checksum + sum(digests)) % _CHECKSUMS)

    @property
    def digest(self) -> str:
        """The checksum, as 64 hex digits."""
        return f"{self.checksum:064x}"


class ReadWork(Protocol):
    """Runs work on a connection that reads, and returns what it returns."""

    def __call__(self, work: Callable[[SqlConnection], T], /) -> T:
        """Run it."""


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table, as it is read and written in batches.

    Args:
        name: the table.
        types: the type of each column, by its name.
    """

    name: str
    types: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        """The columns, in quotes: some are words of SQL."""
        return [f'"{column}"' for column in self.types]

    def count(self, connection: SqlConnection) -> int:
        """Return how many rows it has."""
        return _number(connection, f"SELECT count(*) FROM {self.name}")  # noqa: S608 - ours

    def bytes(self, connection: SqlConnection) -> int:
        """Return about how many bytes its values have."""
        texts = [f'"{name}"' for name, kind in self.types.items() if kind in ("VARCHAR", "JSON")]
        lengths = " + ".join(f"coalesce(bit_length(CAST({text} AS VARCHAR)), 0)" for text in texts)
        in_texts = _number(connection, f"SELECT CAST(coalesce(sum({lengths}), 0) / 8 AS BIGINT) FROM {self.name}")  # noqa: S608
        return in_texts + 8 * (len(self.types) - len(texts)) * self.count(connection)

    def batches(self, read: ReadWork) -> Iterator[Sequence[Row]]:
        """Yield all rows in the order of their key; each batch is read when it is asked for."""
        count, size = read(lambda connection: (self.count(connection), self.bytes(connection)))
        most = max(1, min(MOST_ROWS, MOST_BYTES * count // max(size, 1)))
        at = [[*self.types].index(key) for key in TABLES[self.name]]
        after: list[Any] | None = None
        while True:
            rows = read(self._batch(after, most))
            if rows:
                yield rows
            if len(rows) < most:
                return
            after = [rows[-1][column] for column in at]

    def _batch(self, after: Sequence[Any] | None, most: int) -> Callable[[SqlConnection], Sequence[Row]]:
        keys = ", ".join(TABLES[self.name])
        later = "" if after is None else f"WHERE ({keys}) > ({', '.join('?' * len(after))}) "
        query = f"SELECT {', '.join(self.columns)} FROM {self.name} {later}ORDER BY {keys} LIMIT {most}"  # noqa: S608 - ours
        return lambda connection: connection.execute(query, after or []).fetchall()

    def sum(self, read: ReadWork, tell: Callable[[int], None] = lambda rows: None) -> TableSum:
        """Return the sum of all rows."""
        total = TableSum()
        for rows in self.batches(read):
            total = total.plus(rows)
            tell(total.rows)
        return total

    def insert(self, target: JournalDatabase, rows: Sequence[Row]) -> None:
        """Write rows in one transaction.

        Raises:
            Misconfigured: the target does not keep one of them, which is named.
        """
        types = {f'"{name}"': kind for name, kind in self.types.items()}
        query = f"INSERT INTO {self.name} ({', '.join(types)}) SELECT {unnested(types)}"
        values = [[*column] for column in zip(*rows, strict=True)]
        try:
            target.write(lambda connection: connection.execute(query, values), anyway=True)
        except target.refusals as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                self.insert(target, rows[:middle])
                self.insert(target, rows[middle:])
                return
            key = dict(zip(self.types, rows[0], strict=True))
            named = ", ".join(f"{column} {str(key[column])!r}" for column in TABLES[self.name])
            raise Misconfigured(
                f"A row of {self.name} cannot be kept there ({named}): {cleaned(str(error).splitlines()[0], 200)}.",
                "Correct the row where it is, and go on.",
            ) from None

    def copy(self, read: ReadWork, target: JournalDatabase, tell: Callable[[int], None]) -> TableSum:
        """Put all rows of the source in the place of the target's; return the sum of what was read."""
        target.write(lambda connection: connection.execute(f"DELETE FROM {self.name}"), anyway=True)  # noqa: S608
        total = TableSum()
        for rows in self.batches(read):
            self.insert(target, rows)
            total = total.plus(rows)
            tell(total.rows)
        return total


_TYPES = {"CHARACTER VARYING": "VARCHAR", "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP", "DOUBLE": "DOUBLE PRECISION"}
"""What a type is called, where one of the databases calls it otherwise."""


def tables_of(connection: SqlConnection) -> list[TableCopy]:
    """Return the tables of the journal with their columns."""
    query = (
        "SELECT column_name, upper(data_type), numeric_precision, numeric_scale FROM information_schema.columns "
        "WHERE table_catalog = current_database() AND table_schema = current_schema() AND table_name = ? "
        "ORDER BY ordinal_position"
    )
    rows = {name: connection.execute(query, [name]).fetchall() for name in TABLES}
    return [TableCopy(name, {column: _type(*kind) for column, *kind in rows[name]}) for name in TABLES]


def _type(kind: str, digits: int | None, scale: int | None) -> str:
    """Return a type by a name that both databases know."""
    return f"DECIMAL({digits}, {scale})" if kind.startswith(("DECIMAL", "NUMERIC")) else _TYPES.get(kind, kind)


def copy_journal(
    tables: Sequence[TableCopy], read: ReadWork, target: JournalDatabase, tell: Tell = lambda *_: None
) -> dict[str, TableSum]:
    """Copy all tables, and have the next ids go on after the source's; return the sum of each table.

    A table that the target holds already, to the last value, stays as it is.

    Raises:
        Retryable: the target did not keep what was written, or the source changed meanwhile.
        Misconfigured: as `TableCopy.insert`.
    """

    def there(work: Callable[[SqlConnection], T]) -> T:
        return target.read(work, anyway=True)

    sums = {}
    for table in tables:
        count = read(table.count)

        def told(rows: int, name: str = table.name, of: int = count) -> None:
            tell(name, rows, of)

        told(0)
        if there(table.count) == count and (kept := table.sum(there)) == table.sum(read, told):
            sums[table.name] = kept
            continue
        sums[table.name] = table.copy(read, target, told)
        if table.sum(there) != sums[table.name] or count != sums[table.name].rows:
            raise Retryable(f"The table {table.name} was not copied as it is.", "Give the same command again.")
    last_ids = read(lambda connection: {name: _last_id(connection, name) for name in SEQUENCES})
    target.write(lambda connection: _go_on_after(connection, last_ids), anyway=True)
    return sums


def save_journal(source: JournalDatabase, file: JournalDatabase) -> None:
    """Put the journal, as it is at one moment, in the place of the one in a file, which can be used at once.

    Raises:
        Retryable, Misconfigured: as `copy_journal`.
    """

    def work(connection: SqlConnection) -> None:
        def read(asked: Callable[[SqlConnection], T]) -> T:
            return asked(connection)

        copy_journal(tables_of(connection), read, file)

    file.write(lambda connection: connection.execute("DELETE FROM journal_place"), anyway=True)
    source.read(work)


def _last_id(connection: SqlConnection, sequence: str) -> int:
    """Return the last id that was given; 0: none was."""
    highest = _number(connection, f"SELECT coalesce(max(id), 0) FROM {SEQUENCES[sequence]}")  # noqa: S608 - ours
    in_file = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'candles'").fetchone()
    query = (
        "SELECT last_value FROM duckdb_sequences() WHERE database_name = current_database() AND sequence_name = ?"
        if in_file
        else "SELECT last_value FROM pg_sequences WHERE schemaname = current_schema() AND sequencename = ?"
    )
    row = connection.execute(query, [sequence]).fetchone()
    return max(highest, int(row[0] or 0) if row else 0)


def _go_on_after(connection: SqlConnection, last_ids: Mapping[str, int]) -> None:
    for sequence, last in last_ids.items():
        if last:  # DuckDB keeps what an id was taken from, and not what was set alone
            connection.execute(f"SELECT setval('{sequence}', {last}, false)").fetchall()
            connection.execute(f"SELECT nextval('{sequence}')").fetchall()


def _number(connection: SqlConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
