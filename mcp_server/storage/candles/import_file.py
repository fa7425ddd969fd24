"""Candle files: CSV or Parquet with one row for each candle, read by DuckDB."""

import glob
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_server.domain.candles import Candles, gaps
from mcp_server.domain.error_hints import nearest
from mcp_server.domain.exchange import ALIASES
from mcp_server.domain.timeframes import MINUTE_MS, TIMEFRAMES, candle_open_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database_errors import first_sentence

if TYPE_CHECKING:
    import duckdb

TIME_NAMES = ("timestamp", "open_time", "time", "date", "datetime", "unix", "ts")
VALUE_NAMES = ("open", "high", "low", "close", "volume")

_MILLISECONDS_PER = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (float("inf"), 1e-6))
"""Below this size a Unix time is in s, ms, µs or ns: milliseconds in one of them."""

_EXCHANGE = re.compile(r"[a-z0-9_]+")
_SYMBOL = re.compile(r"[^\s/:]+/[^\s/:]+(:[^\s/:]+)?")


def read_candle_file(file: Path, timeframe: str) -> Candles:
    """Read candles, sorted by time.

    Columns are found by name, in any order and case: a time (`timestamp`, `open_time`, `time`, `date` …: Unix s, ms, µs
    or ns, or ISO 8601 taken as UTC), `open`, `high`, `low`, `close`, `volume`; others are ignored.

    Raises:
        BadInput: the file cannot be read, lacks a column, or holds a candle that is none of this timeframe.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {str(file)!r}.", "Check the path.")
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # else a cast to TIMESTAMP gives the local time of this machine
        try:
            rows = _rows(connection, file)
        except duckdb.Error as error:
            raise BadInput(f"{str(file)!r} cannot be read as CSV or Parquet: {first_sentence(error)}") from None
    candles = _candles(rows, file)
    _check_timeframe(candles, timeframe, file)
    return candles


def _rows(connection: "duckdb.DuckDBPyConnection", file: Path) -> dict[str, Any]:
    reader = "read_parquet(?)" if file.suffix.lower() in (".parquet", ".pq") else "read_csv(?, header = true)"
    path = glob.escape(str(file))  # the readers take a pattern
    described = connection.execute(f"DESCRIBE SELECT * FROM {reader}", [path]).fetchall()  # noqa: S608 (no input)
    names = {str(row[0]).strip().lower(): (str(row[0]), str(row[1])) for row in described}
    time, kind = next((names[name] for name in TIME_NAMES if name in names), (None, ""))
    if time is None:
        raise BadInput(
            f"{str(file)!r} has no time column.", f"Name one {', '.join(TIME_NAMES)}. {nearest('timestamp', names)}"
        )
    for name in VALUE_NAMES:
        if name not in names:
            raise BadInput(f"{str(file)!r} has no column {name!r}.", nearest(name, names))
    columns = ", ".join(f"CAST({_quoted(names[name][0])} AS DOUBLE) AS {name}" for name in VALUE_NAMES)
    when = _quoted(time)
    if any(number in kind for number in ("INT", "DOUBLE", "FLOAT", "DECIMAL")):
        moment = f"CAST({when} AS DOUBLE)"
    else:
        moment = f"CAST(epoch_ms(CAST({when} AS TIMESTAMP)) AS DOUBLE)"
    sql = f"SELECT {moment} AS moment, {columns} FROM {reader} ORDER BY 1"  # noqa: S608 (names are quoted)
    return connection.execute(sql, [path]).fetchnumpy()


def _candles(rows: dict[str, Any], file: Path) -> Candles:
    plain = {name: np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan) for name, values in rows.items()}
    plain["volume"] = np.where(np.isnan(plain["volume"]), np.inf, plain["volume"])  # one that a file lacks is refused
    moments = plain.pop("moment")
    if not len(moments):
        raise BadInput(f"{str(file)!r} has no rows.")
    if not np.isfinite(moments).all():
        raise BadInput(f"{str(file)!r} has a row without a time.")
    scale = next(factor for below, factor in _MILLISECONDS_PER if abs(moments[-1]) < below)
    try:
        return Candles(np.rint(moments * scale).astype(np.int64), *(plain[name] for name in VALUE_NAMES))
    except BadInput as error:
        raise BadInput(f"{str(file)!r}: {error} Nothing was imported.") from None


def _check_timeframe(candles: Candles, timeframe: str, file: Path) -> None:
    steps = np.diff(candles.open_time_ms)
    step = int(steps.min()) if len(steps) else timeframe_ms(timeframe)
    if step > timeframe_ms(timeframe):
        looks = next((name for name, length in TIMEFRAMES.items() if length == step), None)
        raise BadInput(
            f"{str(file)!r} does not hold {timeframe} candles: "
            + (
                f"it looks like {looks}."
                if looks
                else f"the shortest step between two is {step / MINUTE_MS:g} minutes."
            )
            + " Nothing was imported.",
            f"Give --timeframe {looks}." if looks else "Give the --timeframe of the file, and check its times.",
        )
    for moment in candles.open_time_ms:
        if candle_open_ms(int(moment), timeframe) != moment:
            raise BadInput(
                f"{str(file)!r} has a candle at {iso(int(moment))}, where no {timeframe} candle begins (UTC). "
                "Nothing was imported.",
                "Give the --timeframe of the file. Its times must be open times.",
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def import_candle_file(store: CandleStore, file: Path, series: Series, now: datetime, *, replace: bool = False) -> str:
    """Put a file's closed candles in place of those that the store had at their times; return what was done.

    Stored candles at times that the file lacks stay, or are removed with `replace`.

    The file counts as complete: a candle that it lacks does not exist, and unless the store has earlier ones the
    series begins with its first. Candles that had not closed by `now` are left out, and stay unknown.

    Raises:
        BadInput: as `read_candle_file`; or no candle is closed, or a run cannot ask for this series.
        Retryable, Misconfigured: as `Database.write`; nothing was imported.
    """
    series = _askable(series)
    read = read_candle_file(file, series.timeframe)
    candles = read.closed_by(to_ms(now), series.timeframe)
    if not len(candles):
        raise BadInput(
            f"{str(file)!r} has no closed {series.timeframe} candle: the first opens at "
            f"{iso(int(read.open_time_ms[0]))}, and it is {iso(to_ms(now))}.",
            "Import it after that candle has closed.",
        )
    known = (int(candles.open_time_ms[0]), int(candles.open_time_ms[-1]) + timeframe_ms(series.timeframe))
    saved = store.save(series, candles, known, begins=True, replace=replace)
    others = ""
    if saved.others and replace:
        others = f" Removed because the file lacks them: {saved.others}."
    elif saved.others:
        others = f" Kept although the file lacks them: {saved.others}; --replace would remove them."
    return f"{_summary(candles, series, len(read) - len(candles))}{others} The store has {saved.held} now."


def _askable(series: Series) -> Series:
    """Return the series as runs ask for it: ccxt's ids are lower case, its symbols upper case, its names ccxt's own."""
    parts = re.split(r"([/:])", re.sub(r"^([^/:_-]+)[_-](?=[^/_-]+$)", r"\1/", series.symbol.upper()))
    exchange, symbol = series.exchange.lower(), "".join(ALIASES.get(part, part) for part in parts)
    if not _EXCHANGE.fullmatch(exchange):
        raise BadInput(f"{series.exchange!r} is no exchange.", "Give a ccxt id, like 'coinbase'.")
    if exchange == "simulated":
        raise BadInput("The simulated exchange makes its own candles.", "Name the exchange that the file comes from.")
    if not _SYMBOL.fullmatch(symbol):
        raise BadInput(
            f"{series.symbol!r} is no symbol.",
            "Write BASE/QUOTE or BASE/QUOTE:SETTLE, like 'BTC/USD' or 'BTC/USDT:USDT'.",
        )
    return Series(exchange, symbol, series.timeframe)


def _summary(candles: Candles, series: Series, left_out: int) -> str:
    missing = sum(count for _, count in gaps(candles, series.timeframe))
    first, last = (iso(int(moment)) for moment in candles.open_time_ms[[0, -1]])
    unclosed = f" Left out because not closed yet: {left_out}." if left_out else ""
    return (
        f"{len(candles)} candles of {series.symbol} {series.timeframe} on {series.exchange}, {first} to {last}, "
        f"{missing} missing in between.{unclosed}"
    )
