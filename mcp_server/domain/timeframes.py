"""Timeframes: the lengths a candle can have, and where candles of that length begin."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from mcp_server.errors import BadInput

Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

KNOWN_AFTER_MS = 10 * MINUTE_MS
"""So long after its close a candle is final, and what came of a signal is known: exchanges correct the last ones."""

TIMEFRAMES: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": WEEK_MS,
}
"""Timeframe name → length in milliseconds, shortest first."""

_MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday of Unix time: weekly candles open on Mondays, 00:00 UTC."""


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a timeframe in milliseconds.

    Raises:
        BadInput: for any other timeframe than those of `TIMEFRAMES`.
    """
    try:
        return TIMEFRAMES[timeframe]
    except KeyError:
        raise BadInput(f"Unknown timeframe {timeframe!r}.", f"Use one of {', '.join(TIMEFRAMES)}.") from None


def candle_open_ms(at_ms: int, timeframe: str) -> int:
    """Return the open time (Unix ms) of the candle that covers the moment `at_ms` (Unix ms)."""
    length = timeframe_ms(timeframe)
    origin = _MONDAY_MS if length == WEEK_MS else 0
    return at_ms - (at_ms - origin) % length


def first_open_ms(at_ms: int, timeframe: str) -> int:
    """Return the first open time (Unix ms) of a candle at or after the moment `at_ms` (Unix ms)."""
    opened = candle_open_ms(at_ms, timeframe)
    return opened if opened == at_ms else opened + timeframe_ms(timeframe)


def last_closed_open_ms(at_ms: int, timeframe: str) -> int:
    """Return the open time (Unix ms) of the last candle that is closed at the moment `at_ms` (Unix ms).

    A candle [open, open + length) is closed from open + length on, that instant included.
    """
    return candle_open_ms(at_ms, timeframe) - timeframe_ms(timeframe)


def to_ms(moment: datetime) -> int:
    """Convert an aware datetime to Unix milliseconds, exactly (no float on the way)."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def from_ms(at_ms: int) -> datetime:
    """Convert Unix milliseconds to an aware UTC datetime, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


def naive(moment: datetime) -> datetime:
    """Return a moment as the database keeps it: in UTC, without a time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def iso(at_ms: int) -> str:
    """Write Unix milliseconds as ISO 8601 in UTC, as short as it can be without losing anything.

    Whole minutes have no seconds (`2026-11-23T10:00Z`); seconds and milliseconds appear where they are not zero.
    """
    moment = from_ms(at_ms)
    if at_ms % 1000:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"
    return moment.strftime("%Y-%m-%dT%H:%MZ" if at_ms % MINUTE_MS == 0 else "%Y-%m-%dT%H:%M:%SZ")


def iso_second(moment: datetime) -> str:
    """Write an aware moment as ISO 8601 in UTC, without the fraction of its second."""
    return iso(to_ms(moment) // 1000 * 1000)


def parse_moment(text: str, *, name: str = "as_of") -> datetime:
    """Read an ISO 8601 moment with a zone; a date or time without one is taken as UTC.

    Raises:
        BadInput: when `text` is no moment; `name` says which argument it was.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        remedy = "Write ISO 8601 in UTC, for example '2026-01-31T12:00Z'."
        raise BadInput(f"{name} {text!r} is not a time.", remedy) from None
    if not 1970 <= moment.year <= 9998:
        raise BadInput(f"{name} {text!r} is out of range.", "Use a year from 1970 to 9998.")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
