"""The candle store: closed candles of any series, kept for good and given back for any moment of the past."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.timeframes import from_ms, timeframe_ms
from mcp_server.storage.database import Database

if TYPE_CHECKING:
    import duckdb

_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Series:
    """The name of one series of candles. `symbol` is exact."""

    exchange: str
    symbol: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of a range. `begins` says that the series has no candle before the first of these."""

    candles: Candles
    begins: bool


class CandleStore:
    """Closed candles in the home's database.

    A series is replaced range by range: what is saved stands for every candle between its first and its last one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, series: Series, candles: Candles, *, begins: bool = False) -> int:
        """Keep closed candles, in place of what the store had in their range; give how many the series has now.

        Args:
            series: which series they are of.
            candles: closed candles only; the caller has cut off the forming one.
            begins: the series is known to have no candle before the first of these.

        Raises:
            Retryable, Misconfigured: as `Database.write`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> int:
            series_id = _series_id(connection, series)
            if len(candles):
                _replace(connection, series_id, candles)
            if begins and len(candles):
                connection.execute(
                    "UPDATE series SET begins_at = ? WHERE id = ?", [_stamp(int(candles.open_time_ms[0])), series_id]
                )
            row = connection.execute("SELECT count(*) FROM candles WHERE series_id = ?", [series_id]).fetchone()
            return int(row[0]) if row else 0

        return self._database.write(work)

    def load(self, series: Series, start_ms: int, end_ms: int) -> Stored:
        """Give what is kept of [start_ms, end_ms) (open times in Unix ms), oldest first.

        Raises:
            Retryable, Misconfigured: as `Database.read`.
        """

        def work(connection: "duckdb.DuckDBPyConnection") -> Stored:
            found = _find_series(connection, series)
            if found is None:
                return Stored(Candles.empty(), begins=False)
            series_id, begins_ms = found
            arrays = connection.execute(
                "SELECT epoch_ms(open_time) AS open_time, open, high, low, close, volume FROM candles "
                "WHERE series_id = ? AND open_time >= ? AND open_time < ? ORDER BY open_time",
                [series_id, _stamp(start_ms), _stamp(end_ms)],
            ).fetchnumpy()
            candles = Candles(
                np.asarray(arrays["open_time"], dtype=np.int64),
                *(np.asarray(arrays[name], dtype=np.float64) for name in _COLUMNS),
            )
            return Stored(candles, begins=begins_ms is not None and start_ms <= begins_ms)

        return self._database.read(work)

    def timeframes(self, exchange: str, symbol: str) -> list[str]:
        """List the timeframes of which the store has candles of this symbol, shortest first."""

        def work(connection: "duckdb.DuckDBPyConnection") -> list[str]:
            rows = connection.execute(
                "SELECT timeframe FROM series WHERE exchange = ? AND symbol = ?", [exchange, symbol]
            ).fetchall()
            return sorted((row[0] for row in rows), key=timeframe_ms)

        return self._database.read(work)


def _find_series(connection: "duckdb.DuckDBPyConnection", series: Series) -> tuple[int, int | None] | None:
    row = connection.execute(
        "SELECT id, epoch_ms(begins_at) FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?",
        [series.exchange, series.symbol, series.timeframe],
    ).fetchone()
    return None if row is None else (int(row[0]), None if row[1] is None else int(row[1]))


def _series_id(connection: "duckdb.DuckDBPyConnection", series: Series) -> int:
    found = _find_series(connection, series)
    if found is not None:
        return found[0]
    row = connection.execute(
        "INSERT INTO series (exchange, symbol, timeframe) VALUES (?, ?, ?) RETURNING id",
        [series.exchange, series.symbol, series.timeframe],
    ).fetchone()
    assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    return int(row[0])


def _replace(connection: "duckdb.DuckDBPyConnection", series_id: int, candles: Candles) -> None:
    first, last = int(candles.open_time_ms[0]), int(candles.open_time_ms[-1])
    connection.execute(
        "DELETE FROM candles WHERE series_id = ? AND open_time BETWEEN ? AND ?",
        [series_id, _stamp(first), _stamp(last)],
    )
    connection.register(
        "incoming",
        {
            "open_time_ms": candles.open_time_ms,
            "open": candles.open,
            "high": candles.high,
            "low": candles.low,
            "close": candles.close,
            "volume": candles.volume,
        },
    )
    connection.execute(
        "INSERT INTO candles "
        "SELECT ?, make_timestamp(open_time_ms * 1000), open, high, low, close, volume FROM incoming",
        [series_id],
    )
    connection.unregister("incoming")


def _stamp(at_ms: int) -> object:
    return from_ms(at_ms).replace(tzinfo=None)
