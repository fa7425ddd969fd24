"""Reads the moment at which a publisher says that an item appeared: only where the text leaves no doubt about it."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

LEAST_MS, LATEST_MS = 100_000_000_000, 253_402_300_799_999
"""March 1973, before which a number of milliseconds is rather one of seconds, and the end of the year 9999."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONES = {"gmt": 0, "utc": 0, "ut": 0, "z": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
          "pst": -8, "pdt": -7}  # fmt: skip
"""The names that RFC 822 defines, in hours, and UTC. Others mean several zones: IST, BST, AST."""

_FARTHEST_ZONE = timedelta(hours=14)

_MAIL = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s+)?(\d{1,2})\s+([a-z]{3})[a-z]{0,6}\s+(\d{4})\s+"
    r"(\d{1,2}):(\d\d)(?::(\d\d))?\s+([a-z]{1,3}|[+-]\d{4})",
    re.ASCII | re.IGNORECASE,
)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[t ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(z|[+-]\d\d(?::?\d\d)?)",
    re.ASCII | re.IGNORECASE,
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)(z)", re.ASCII | re.IGNORECASE)
_MOST_CHARACTERS = 64


def told_ms(text: str) -> int | None:
    """Read a date of RFC 822 or ISO 8601 that has a time of day and a zone, as Unix ms.

    Return None for any other text: a date without a zone, an unknown zone, words, two digits for a year, a weekday that
    is not that day's. A time later than now is returned as it stands.
    """
    text = text.strip()
    if len(text) > _MOST_CHARACTERS:
        return None
    if match := _MAIL.fullmatch(text):
        weekday, day, month, year, hour, minute, second, zone = match.groups()
        if month.lower() not in _MONTHS:
            return None
        moment = _moment(year, _MONTHS.index(month.lower()) + 1, day, hour, minute, second, "", zone)
        wrong_day = moment and weekday and _DAYS[moment.weekday()] != weekday.lower()
        return None if moment is None or wrong_day else _ms(moment)
    if match := _ISO.fullmatch(text):
        year, number, day, hour, minute, second, fraction, zone = match.groups()
        moment = _moment(year, int(number), day, hour, minute, second, fraction, zone)
        return None if moment is None else _ms(moment)
    return None


def compact_ms(text: object) -> int | None:
    """Read a time like `20260313T101500Z` as Unix ms; return None for anything else."""
    match = _COMPACT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    moment = _moment(year, int(month), day, hour, minute, second, "", zone)
    return None if moment is None else _ms(moment)


def number_ms(value: Any, *, unit_ms: int = 1) -> int | None:
    """Read a Unix time that is a whole number, or its digits, in units of `unit_ms`; return None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 15:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value * unit_ms if LEAST_MS <= value * unit_ms <= LATEST_MS else None


def _moment(
    year: str, month: int, day: str, hour: str, minute: str, second: str | None, fraction: str | None, zone: str
) -> datetime | None:
    offset = _offset(zone.lower())
    if offset is None:
        return None
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        return datetime(
            int(year), month, int(day), int(hour), int(minute), int(second or 0), micros, tzinfo=timezone(offset)
        )
    except ValueError:
        return None


def _offset(zone: str) -> timedelta | None:
    if zone[0] not in "+-":
        return timedelta(hours=_ZONES[zone]) if zone in _ZONES else None
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if offset > _FARTHEST_ZONE or int(digits[2:]) > 59:
        return None
    return -offset if zone[0] == "-" else offset


def _ms(moment: datetime) -> int | None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    ms = since // timedelta(milliseconds=1)
    return ms if LEAST_MS <= ms <= LATEST_MS else None
