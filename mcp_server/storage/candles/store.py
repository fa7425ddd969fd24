"""The candle store: closed candles of any series, kept for good and read for any moment of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_server.domain.timeframes import from_ms, naive, timeframe_ms
from mcp_server.storage.candles.ranges import Range, holes
from mcp_server.storage.database import Database

if TYPE_CHECKING:
    import duckdb

    from mcp_server.domain.candles import Candles

_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Series:
    """The name of one series of candles. `symbol` is exact."""

    exchange: str
    symbol: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of a range: its candles, and the parts of the range that it does not know."""

    candles: Candles
    missing: list[Range]


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a series: the ranges that it holds completely, in order of time.

    `revision` counts the imports that replaced what it held before.
    """

    revision: int
    ranges: tuple[Range, ...]


Index = dict[Series, Known]


@dataclass(frozen=True, slots=True)
class Saved:
    """What an import did: how many candles the series has now, and how many stored ones the file did not have."""

    held: int
    others: int


@dataclass(frozen=True, slots=True)
class Added:
    """What an addition met: the database's stamp before it, and the series that it found partly known already."""

    stamp: tuple[int, int] | None
    known_before: frozenset[Series]


class CandleStore:
    """Closed candles in the home's database, and which ranges of each series are known completely.

    A range can be known and hold fewer candles than would fit: where nothing was traded there is none. Every method
    that reads or writes raises what `Database.read` and `Database.write` raise.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, series: Series, candles: Candles, known: Range, *, begins: bool = False, replace: bool = False
    ) -> Saved:
        """Put closed candles in place of those that the store had at the same times.

        Args:
            series: which series they are of.
            candles: closed candles only, all within `known`; the caller has cut off the forming one.
            known: the range that is known completely from now on.
            begins: unless the store has earlier candles, the series is taken to begin with `known`. Candles that
                arrive later and are earlier take this back: what lies between is unknown again.
            replace: also remove what the store has in the range at other times; else it stays.
        """

        def work(connection: duckdb.DuckDBPyConnection) -> Saved:
            series_id = _series_id(connection, series)
            if len(candles):
                _take_back_beginning(connection, series_id, int(candles.open_time_ms[0]))
            others = _replace(connection, series_id, candles, known, keep_others=not replace)
            first = 0 if begins and not _has_before(connection, series_id, known[0]) else known[0]
            _cover(connection, series_id, (first, known[1]))
            connection.execute("UPDATE series SET revision = revision + 1 WHERE id = ?", [series_id])
            row = connection.execute("SELECT count(*) FROM candles WHERE series_id = ?", [series_id]).fetchone()
            return Saved(int(row[0]) if row else 0, others)

        return self._database.write(work, anyway=True)

    def add(self, parts: Sequence[tuple[Series, Candles, Range]]) -> Added:
        """Keep closed candles where the store did not know them yet; what it knows stays as it is.

        Args:
            parts: series, its closed candles in a range, and that range, of which these are all that there are.
        """

        def work(connection: duckdb.DuckDBPyConnection) -> Added:
            stamp, known_before = self.stamp(), set()
            for series, candles, known in parts:
                series_id = _series_id(connection, series)
                if len(candles):
                    _take_back_beginning(connection, series_id, int(candles.open_time_ms[0]))
                new = holes(known, _known(connection, series_id, known))
                if new != [known]:
                    known_before.add(series)
                for hole in new:
                    _replace(connection, series_id, candles.between(*hole), hole)
                _cover(connection, series_id, known)
            return Added(stamp, frozenset(known_before))

        return self._database.write(work, anyway=True)

    def index(self, patience_s: float) -> Index:
        """Return what the store knows, of every series; wait at most `patience_s` seconds for the file."""

        def work(connection: duckdb.DuckDBPyConnection) -> Index:
            rows = connection.execute(
                "SELECT exchange, symbol, timeframe, any_value(revision), "
                "list(epoch_ms(start_time) ORDER BY start_time) FILTER (start_time IS NOT NULL), "
                "list(epoch_ms(end_time) ORDER BY start_time) FILTER (end_time IS NOT NULL) "
                "FROM series LEFT JOIN coverage ON series_id = id GROUP BY ALL"
            ).fetchall()
            return {
                Series(*names): Known(revision or 0, tuple(zip(starts or (), ends or (), strict=True)))
                for *names, revision, starts, ends in rows
            }

        return self._database.read(work, patience_s=patience_s, anyway=True)

    def stamp(self) -> tuple[int, int] | None:
        """Return a mark that changes when anybody writes to the database; None where there is no database yet."""
        try:
            status = self._database.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def load(self, series: Series, wanted: Range) -> Stored:
        """Return what is kept of a range, oldest first."""
        import numpy as np

        from mcp_server.domain.candles import Candles, possible_rows

        def work(connection: duckdb.DuckDBPyConnection) -> Stored:
            series_id = _find_series(connection, series)
            if series_id is None:
                return Stored(Candles.empty(), [wanted])
            arrays = connection.execute(
                "SELECT epoch_ms(open_time) AS open_time, open, high, low, close, volume FROM candles "
                "WHERE series_id = ? AND open_time >= ? AND open_time < ? ORDER BY open_time",
                [series_id, *_stamps(wanted)],
            ).fetchnumpy()
            times = np.asarray(arrays["open_time"], dtype=np.int64)
            values = [np.asarray(arrays[name], dtype=np.float64) for name in _COLUMNS]
            # A home may hold candles that cannot be, from before they were refused: they count as unknown.
            possible = possible_rows(*values)
            length = timeframe_ms(series.timeframe)
            impossible = [(opened, opened + length) for opened in times[~possible].tolist()]
            known = [part for whole in _known(connection, series_id, wanted) for part in holes(whole, impossible)]
            candles = Candles(times[possible], *(column[possible] for column in values))
            return Stored(candles, holes(wanted, known))

        return self._database.read(work, anyway=True)


def _find_series(connection: duckdb.DuckDBPyConnection, series: Series) -> int | None:
    row = connection.execute(
        "SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?",
        [series.exchange, series.symbol, series.timeframe],
    ).fetchone()
    return None if row is None else int(row[0])


def _series_id(connection: duckdb.DuckDBPyConnection, series: Series) -> int:
    series_id = _find_series(connection, series)
    if series_id is not None:
        return series_id
    row = connection.execute(
        "INSERT INTO series (exchange, symbol, timeframe) VALUES (?, ?, ?) RETURNING id",
        [series.exchange, series.symbol, series.timeframe],
    ).fetchone()
    assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    return int(row[0])


def _replace(
    connection: duckdb.DuckDBPyConnection, series_id: int, candles: Candles, known: Range, *, keep_others: bool = False
) -> int:
    """Replace the candles of a range; return how many there were at other times, which may be kept."""
    import numpy as np

    within = "FROM candles WHERE series_id = ? AND open_time >= ? AND open_time < ?"
    where = [series_id, *_stamps(known)]
    stored = connection.execute(f"SELECT epoch_ms(open_time) AS at_ms {within}", where).fetchnumpy()["at_ms"]
    others = int(np.isin(stored, candles.open_time_ms, invert=True).sum())
    columns = {name: getattr(candles, name) for name in ("open_time_ms", *_COLUMNS)}
    connection.register("incoming", columns)
    same = "open_time IN (SELECT make_timestamp(open_time_ms * 1000) FROM incoming)"
    connection.execute(f"DELETE {within}{f' AND {same}' if keep_others else ''}", where)
    connection.execute(
        "INSERT INTO candles "
        "SELECT ?, make_timestamp(open_time_ms * 1000), open, high, low, close, coalesce(volume, 'NaN'::DOUBLE) "
        "FROM incoming",  # a NaN of an array arrives as NULL
        [series_id],
    )
    connection.unregister("incoming")
    return others


def _has_before(connection: duckdb.DuckDBPyConnection, series_id: int, moment_ms: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM candles WHERE series_id = ? AND open_time < ? LIMIT 1", [series_id, *_stamps((0, moment_ms))[1:]]
    ).fetchone()
    return row is not None


def _take_back_beginning(connection: duckdb.DuckDBPyConnection, series_id: int, candle_ms: int) -> None:
    """Forget that nothing came before the earliest candle kept, if one at `candle_ms` did."""
    row = connection.execute("SELECT epoch_ms(min(open_time)) FROM candles WHERE series_id = ?", [series_id]).fetchone()
    if row is None or row[0] is None or candle_ms >= int(row[0]):
        return
    earliest = int(row[0])
    for start, end in _known(connection, series_id, (0, 1)):
        connection.execute(
            "DELETE FROM coverage WHERE series_id = ? AND start_time = ?", [series_id, *_stamps((start, end))[:1]]
        )
        if end > earliest:
            connection.execute("INSERT INTO coverage VALUES (?, ?, ?)", [series_id, *_stamps((earliest, end))])


def _cover(connection: duckdb.DuckDBPyConnection, series_id: int, known: Range) -> None:
    """Add a range to what is known, joined with those that it overlaps or touches."""
    joined = _known(connection, series_id, (known[0] - 1, known[1] + 1))
    start = min([known[0], *(begin for begin, _ in joined)])
    end = max([known[1], *(finish for _, finish in joined)])
    connection.execute(
        "DELETE FROM coverage WHERE series_id = ? AND start_time >= ? AND end_time <= ?",
        [series_id, *_stamps((start, end))],
    )
    connection.execute("INSERT INTO coverage VALUES (?, ?, ?)", [series_id, *_stamps((start, end))])


def _known(connection: duckdb.DuckDBPyConnection, series_id: int, within: Range) -> list[Range]:
    rows = connection.execute(
        "SELECT epoch_ms(start_time), epoch_ms(end_time) FROM coverage "
        "WHERE series_id = ? AND end_time > ? AND start_time < ? ORDER BY start_time",
        [series_id, *_stamps(within)],
    ).fetchall()
    return [(int(start), int(end)) for start, end in rows]


def _stamps(times: Range) -> list[datetime]:
    """Return times as the database keeps them."""
    return [naive(from_ms(at_ms)) for at_ms in times]
