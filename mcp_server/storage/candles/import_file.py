"""Candle files: read with nothing guessed, and put into the store."""

import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mcp_server.domain.candle_text import read_numbers, read_times
from mcp_server.domain.candles import CANDLE_COLUMNS, Candles, Floats, faults, gaps
from mcp_server.domain.exchange import ALIASES
from mcp_server.domain.text import counted
from mcp_server.domain.timeframes import MINUTE_MS, TIMEFRAMES, candle_open_ms, from_ms, iso, timeframe_ms, to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.candles.sheet import Sheet, read_sheet
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database_errors import first_sentence

HOUR_MS = 60 * MINUTE_MS

_EXCHANGE = re.compile(r"[a-z0-9][a-z0-9_]*")
_ASSET = r"""[^\s/:'"`]+"""
_SYMBOL = re.compile(rf"{_ASSET}/{_ASSET}(:{_ASSET})?")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a caller says about a file, where the file alone has two readings."""

    date_format: str | None = None
    decimal_mark: str | None = None
    volume: str | None = None


@dataclass(frozen=True, slots=True)
class CandleFile:
    """The candles of a file, sorted by time, and what a reader must know of how they were read."""

    candles: Candles
    notes: tuple[str, ...] = ()


def read_candle_file(
    file: Path, timeframe: str, *, base: str | None = None, dialect: Dialect | None = None, newest_year: int = 2100
) -> CandleFile:
    """Read a candle file. Nothing is guessed: what has two readings is refused.

    Args:
        file: CSV in any dialect, alone or in a zip or gzip; JSON; Parquet; Feather, if pyarrow is installed.
        timeframe: the length of its candles.
        base: the market's base asset, which tells its volume from that in quote.
        dialect: what the caller says of it.
        newest_year: years of two digits are not later.

    Raises:
        BadInput: the file cannot be read, lacks a column, or holds a candle that is none of this timeframe.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {str(file)!r}.", "Check the path.")
    dialect = dialect or Dialect()
    try:
        sheet = read_sheet(file, base, dialect.volume)
        candles, zoneless = _candles(sheet, dialect, newest_year)
    except BadInput as error:
        raise BadInput(f"{str(file)!r}: {error.problem} Nothing was imported.", error.remedy) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{str(file)!r} cannot be read: {first_sentence(error)}", "Get the file again.") from None
    _check_timeframe(candles, timeframe, file)
    notes = [*sheet.notes, *([sheet.layout.note] if sheet.layout.note else [])]
    if zoneless and (moment := _clock_change(candles, timeframe)) is not None:
        notes.append(
            f"The hour of {iso(moment)} is missing, just where clocks change: the times have no zone and count as UTC; "
            "are they local times?"
        )
    return CandleFile(candles, tuple(notes))


def _candles(sheet: Sheet, dialect: Dialect, newest_year: int) -> tuple[Candles, bool]:
    if not sheet.lines:
        raise BadInput("The file has no rows.")
    if sheet.mark is not None and dialect.decimal_mark not in (None, sheet.mark):
        raise BadInput(
            f"JSON writes decimals with {sheet.mark!r}, never with {dialect.decimal_mark!r}.",
            "Leave --decimal-mark out.",
        )
    cells = sheet.cells
    markets = list(dict.fromkeys(name for name in cells.get("market", ()) if name))
    if len(markets) > 1:
        listed = ", ".join(repr(name[:40]) for name in markets[:4])
        raise BadInput(f"It has several markets: {listed}.", "Make a file of each, and import that.")
    moments = cells["time"]
    if "clock" in cells:
        moments = [f"{day} {clock}" for day, clock in zip(moments, cells["clock"], strict=True)]
    times, zoneless = read_times(moments, sheet.where, dialect.date_format, newest_year=newest_year)
    named = {name: cells[name] for name in CANDLE_COLUMNS if name in cells}
    numbers = read_numbers(named, sheet.where, sheet.mark or dialect.decimal_mark)
    numbers.setdefault("volume", np.full(len(times), np.nan))
    columns = [numbers[name] for name in CANDLE_COLUMNS]
    for name, fault, bad in faults(*columns):
        if bad.any():
            at = int(np.argmax(bad))
            raise BadInput(
                f"{sheet.where(at)}, column {name!r}, value {cells[name][at]!r}: the candle at {iso(int(times[at]))} "
                f"{fault.format(name)}.",
                "Correct or drop it."
                if sheet.layout.names
                else "Correct or drop it, or name the columns in a first line: they may be in another order.",
            )
    if not sheet.layout.names:
        _check_order(columns)
    order = np.argsort(times, kind="stable")
    twice = np.flatnonzero(np.diff(times[order]) == 0)
    if len(twice):
        one, two = (int(order[twice[0] + step]) for step in (0, 1))
        raise BadInput(
            f"{sheet.where(two)}: the candle at {iso(int(times[two]))} is there already ({sheet.where(one)}): it is "
            "not later than the one before it.",
            "Drop one of them. Local times repeat an hour where clocks go back: export in UTC.",
        )
    return Candles(times[order], *(column[order] for column in columns)), zoneless


def _check_order(columns: list[Floats]) -> None:
    """Refuse columns without names if they could also be in the order of another exchange."""
    first, second, third, fourth, _ = columns
    orders = {"Bitfinex": (first, third, fourth, second), "Coinbase": (third, second, first, fourth)}
    for exchange, (opened, high, low, close) in orders.items():
        fits = (low <= opened) & (opened <= high) & (low <= close) & (close <= high)
        same = np.array_equal(high, second) and np.array_equal(low, third) and np.array_equal(close, fourth)
        if fits.all() and not same:
            raise BadInput(
                f"The file names no columns, and they could also be in {exchange}'s order.",
                "Begin it with a line that names them: timestamp,open,high,low,close,volume.",
            )


def _clock_change(candles: Candles, timeframe: str) -> int | None:
    """Return the open time of a gap of one hour early on a Sunday of a month in which clocks go forward."""
    for missing_ms, count in gaps(candles, timeframe):
        moment = from_ms(missing_ms)
        early = moment.weekday() == 6 and moment.hour <= 3 and moment.month in (3, 4, 9, 10)
        if early and count * timeframe_ms(timeframe) == HOUR_MS:
            return missing_ms
    return None


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


def import_candle_file(
    store: CandleStore,
    file: Path,
    series: Series,
    now: datetime,
    *,
    replace: bool = False,
    dialect: Dialect | None = None,
) -> str:
    """Put a file's closed candles in place of those that the store had at their times; return what was done.

    Stored candles at times that the file lacks stay, or are removed with `replace`.

    The file counts as complete: a candle that it lacks does not exist, and unless the store has earlier ones the
    series begins with its first. Candles that had not closed by `now` are left out, and stay unknown.

    Raises:
        BadInput: as `read_candle_file`; or no candle is closed, or a run cannot ask for this series.
        Retryable, Misconfigured: as `Database.write`; nothing was imported.
    """
    series = _askable(series)
    base = series.symbol.partition("/")[0]
    opened = read_candle_file(file, series.timeframe, base=base, dialect=dialect, newest_year=now.year)
    read = opened.candles
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
    return (
        f"{_summary(candles, series, len(read) - len(candles))}{others} The store has {saved.held} now. "
        f"{' '.join(opened.notes)}"
    ).rstrip()


def _askable(series: Series) -> Series:
    """Return the series as runs ask for it: ccxt's ids are lower case, its symbols upper case, its names ccxt's own."""
    parts = re.split(r"([/:])", re.sub(r"^([^/:_-]+)[_-](?=[^/_-]+$)", r"\1/", series.symbol.upper()))
    exchange, symbol = series.exchange.lower(), "".join(ALIASES.get(part, part) for part in parts)
    if not _EXCHANGE.fullmatch(exchange) or not _is_of_ccxt(exchange):
        raise BadInput(f"{series.exchange!r} is no exchange.", "Give a ccxt id, like 'coinbase'.")
    if exchange == "simulated":
        raise BadInput("The simulated exchange makes its own candles.", "Name the exchange that the file comes from.")
    if not _SYMBOL.fullmatch(symbol):
        raise BadInput(
            f"{series.symbol!r} is no symbol.",
            "Write BASE/QUOTE or BASE/QUOTE:SETTLE, like 'BTC/USD' or 'BTC/USDT:USDT'.",
        )
    return Series(exchange, symbol, series.timeframe)


def _is_of_ccxt(exchange: str) -> bool:
    """Return whether ccxt has an exchange of this id; another could never be asked for what is imported of it."""
    package = find_spec("ccxt")  # which imports nothing: that would take a second
    folders = (package.submodule_search_locations if package else None) or ()
    return exchange == "simulated" or any(
        (Path(folder, "async_support", f"{exchange}.py")).is_file() for folder in folders
    )


def _summary(candles: Candles, series: Series, left_out: int) -> str:
    missing = sum(count for _, count in gaps(candles, series.timeframe))
    first, last = (iso(int(moment)) for moment in candles.open_time_ms[[0, -1]])
    unclosed = f" Left out because not closed yet: {left_out}." if left_out else ""
    return (
        f"{counted(len(candles), 'candle')} of {series.symbol} {series.timeframe} on {series.exchange}, "
        f"{first} to {last}, {missing} missing in between.{unclosed}"
    )
