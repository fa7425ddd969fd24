"""Numbers and dates as people's candle files write them: read where they have one reading, else refused."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import BadInput

Where = Callable[[int], str]
"""Position of a row → how its place in the file is named, like 'line 7'."""

_UNIX_DIGITS = {10: 1000.0, 13: 1.0, 16: 1e-3, 19: 1e-6}
"""How many digits a Unix time of 2001 to 2286 has in s, ms, µs and ns → milliseconds in one of them."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?)?"
_REST = rf"(?:[T ,]+{_CLOCK}(?:[ -]?(?P<half>[AP])\.?M\.?)?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
_DATES = {
    "ymd": rf"(?P<y>\d{{4}})(?P<sep>[-/.])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_REST}",
    "compact": r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?:[T ]?(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?)?",
    "three": rf"(?P<a>\d{{1,2}})(?P<sep>[-/. ])(?P<b>\d{{1,2}})(?P=sep)(?P<c>\d{{4}}|\d\d){_REST}",
    "named": rf"(?P<d>\d{{1,2}})[- .]+(?P<name>[A-Z]{{3,9}})[- .,]+(?P<y>\d{{4}}){_REST}",
    "american": rf"(?P<name>[A-Z]{{3,9}})\.? (?P<d>\d{{1,2}}),? (?P<y>\d{{4}}){_REST}",
}
_PATTERNS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _DATES.items()}

_MISSING = {"", "null", "nan", "na", "n/a", "none", "-", "\\n"}
_SPACES = " '\u2019\u00a0\u202f\u2009"
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9}


def read_times(
    cells: Sequence[str], where: Where, date_format: str | None = None, *, newest_year: int = 2100
) -> tuple[Times, bool]:
    """Read moments; return them in Unix ms, and whether they had no zone and were taken as UTC.

    Args:
        cells: Unix times in s, ms, µs or ns, or dates in ISO 8601 or another order.
        where: names a row's place.
        date_format: how dates are written, as `strptime` takes it.
        newest_year: a year of two digits is not later.

    Raises:
        BadInput: a cell is no date, or the dates of the file can be read in two ways.
    """
    if date_format is not None:
        return _formatted(cells, where, date_format)
    if len(cells) and cells[0].partition(".")[0].isdigit() and len(cells[0].partition(".")[0]) in _UNIX_DIGITS:
        return np.array([_unix(cell, index, where) for index, cell in enumerate(cells)], dtype=np.int64), False
    kind = next((kind for kind, pattern in _PATTERNS.items() if cells and pattern.fullmatch(cells[0])), None)
    if kind is None:
        raise _no_time(cells[0], 0, where)
    matches = [_PATTERNS[kind].fullmatch(cell) for cell in cells]
    dates = [match for match in matches if match is not None]
    if len(dates) < len(cells):
        at = matches.index(None)
        raise _no_time(cells[at], at, where)
    zoneless = kind == "compact" or any(match["zone"] is None for match in dates)
    if kind == "three":
        return np.array(_one_reading(cells, dates, where, newest_year), dtype=np.int64), zoneless
    moments = _moments(dates, "", newest_year)
    if len(moments) < len(cells):
        raise _no_time(cells[len(moments)], len(moments), where)
    return np.array(moments, dtype=np.int64), zoneless


def _one_reading(cells: Sequence[str], dates: Sequence[re.Match[str]], where: Where, newest_year: int) -> list[int]:
    """Read dates in the one order of day, month and year that fits them all."""
    readings = [_moments(dates, order, newest_year) for order in ("dmy", "mdy", "ymd")]
    whole = [reading for reading in readings if len(reading) == len(dates)]
    if not whole:
        raise BadInput("The dates of the file fit no one order of day, month and year.", _FORMAT)
    for other in whole[1:]:
        for index, (one, two) in enumerate(zip(whole[0], other, strict=True)):
            if one != two:
                raise BadInput(f"{where(index)}: {cells[index]!r} can be {iso(one)} or {iso(two)}.", _FORMAT)
    return whole[0]


_FORMAT = "Say how dates are written, for example --date-format '%d/%m/%Y %H:%M'."


def _no_time(cell: str, index: int, where: Where) -> BadInput:
    problem = f"{where(index)}: the time {cell[:40]!r} cannot be read like the first."
    if index == 0:
        problem = f"{where(index)}: the time {cell[:40]!r} cannot be read."
    return BadInput(problem, "Write ISO 8601 (2024-03-05T13:00Z) or Unix time, or use --date-format.")


def _unix(cell: str, index: int, where: Where) -> int:
    whole, _, part = cell.partition(".")
    scale = _UNIX_DIGITS.get(len(whole))
    if not whole.isdigit() or scale is None or (part and not part.isdigit()):
        raise _no_time(cell, index, where)
    number = float(f"0.{part}") if part else 0.0
    if scale >= 1:
        return round((int(whole) + number) * scale)
    return int(whole) // round(1 / scale)


def _formatted(cells: Sequence[str], where: Where, date_format: str) -> tuple[Times, bool]:
    moments, zoneless = [], False
    for index, cell in enumerate(cells):
        try:
            moment = datetime.strptime(cell, date_format)  # noqa: DTZ007 (a zone is given below)
        except ValueError:
            problem = f"{where(index)}: the time {cell[:40]!r} does not fit --date-format {date_format!r}."
            raise BadInput(problem, _FORMAT) from None
        if not 1970 <= moment.year <= 2100:  # without %Y or %y, strptime says 1900
            problem = (
                f"{where(index)}: {cell[:40]!r} read by --date-format {date_format!r} is in the year {moment.year}."
            )
            raise BadInput(problem, _FORMAT)
        zoneless |= moment.tzinfo is None
        moments.append(to_ms(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment))
    return np.array(moments, dtype=np.int64), zoneless


def _moments(matches: Sequence[re.Match[str]], order: str, newest_year: int) -> list[int]:
    """Read the dates in an order of day, month and year, up to the first that is none in it."""
    moments = []
    for match in matches:
        try:
            moments.append(_moment(match.groupdict(), order, newest_year))
        except ValueError:
            break
    return moments


def _moment(parts: dict[str, str | None], order: str, newest_year: int) -> int:
    if order:
        parts |= dict(zip(order, (parts["a"], parts["b"], parts["c"]), strict=True))
    year = int(parts["y"] or "")
    if order and len(parts["y"] or "") < 4:
        year += 2000
        if len(parts["y"] or "") != 2 or not 2009 <= year <= newest_year:
            raise ValueError
    elif not 1970 <= year <= 2100:
        raise ValueError
    name = parts.get("name")
    month = _MONTHS.index(name.lower()[:3]) + 1 if name else int(parts["m"] or "")
    hour = int(parts["hour"] or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half.upper() == "P" else 0)
    elif parts["hour"] and parts["minute"] is None:
        raise ValueError
    fraction = int((parts.get("part") or "0").ljust(6, "0")[:6])
    clock = (hour, int(parts["minute"] or 0), int(parts["second"] or 0), fraction)
    return to_ms(datetime(year, month, int(parts["d"] or ""), *clock, tzinfo=_zone(parts.get("zone"))))


def _zone(text: str | None) -> timezone:
    if text is None or text[0] not in "+-":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))


def read_numbers(columns: Mapping[str, Sequence[str]], where: Where, mark: str | None = None) -> dict[str, Floats]:
    """Read the numbers of a file, in which one decimal mark holds throughout.

    Args:
        columns: name → cells. Only the volume may be written like 1.2K.
        where: names a row's place.
        mark: the decimal mark, if it is known.

    Raises:
        BadInput: a cell is no number, or with either decimal mark all are numbers, but other ones.
    """
    misfits: dict[str, BadInput] = {}
    readings: dict[str, dict[str, Floats]] = {}
    for tried in (mark,) if mark else (".", ","):
        try:
            readings[tried] = {name: _column(name, cells, tried, where) for name, cells in columns.items()}
        except BadInput as error:
            misfits[tried] = error
    if not readings:
        raise next(iter(misfits.values()))
    first, *others = readings.values()
    for other in others:
        for name, values in first.items():
            if len(different := np.flatnonzero(values != other[name])):
                at = int(different[0])
                problem = (
                    f"{where(at)}, column {name!r}: {columns[name][at]!r} can be {values[at]:.15g} or "
                    f"{other[name][at]:.15g}; the rest of the file does not decide it."
                )
                raise BadInput(problem, "Say which: --decimal-mark . or --decimal-mark ,")
    return first


def _column(name: str, cells: Sequence[str], mark: str, where: Where) -> Floats:
    text = "\n".join(cells)
    if mark == "." and re.search(r"[^0-9.\n]", text) is None:
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            pass  # the loop below names the cell
    pattern = _number(mark)
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        bare = re.sub(r"^[$€£¥₿]\s?|\s?[$€£¥₿]$", "", cell.strip())
        match = pattern.fullmatch(bare)
        if match is None or (match["scale"] and name != "volume"):
            missing = cell.strip().lower() in _MISSING
            fault = "the value is missing or not finite" if missing else f"{cell[:40]!r} is no number"
            remedy = "Correct or drop the line."
            if re.fullmatch(r"-?[\d.,]+[eE]\+?\d+", bare):
                fault += " with all its digits"
                remedy = "A program has rounded it: export the numbers again without exponents."
            raise BadInput(f"{where(index)}, column {name!r}: {fault}.", remedy)
        digits = re.sub(rf"[^\d{re.escape(mark)}]", "", match["digits"]).replace(mark, ".")
        value = float(f"{match['sign']}{digits}{match['power'] or ''}")
        scale = _SCALES.get((match["scale"] or "").upper(), 1.0)
        values[index] = float(np.format_float_positional(value * scale, 15, fractional=False)) if scale > 1 else value
    return values


def _number(mark: str) -> re.Pattern[str]:
    """Match a number: groups of three digits have one separator throughout; 9.4E+04 has lost digits and is none."""
    group = "," if mark == "." else "."
    digits = rf"\d+|[1-9]\d{{0,2}}(?P<sep>[{group}{_SPACES}])\d{{3}}(?:(?P=sep)\d{{3}})*"
    whole = rf"(?P<sign>-?)(?P<digits>(?:{digits})?(?:{re.escape(mark)}\d+)?(?<=\d))"
    return re.compile(rf"{whole}(?P<power>[eE](?:-\d{{1,3}}|\+?(?:1[6-9]|2\d)))?\s?(?P<scale>[KMBkmb])?")
