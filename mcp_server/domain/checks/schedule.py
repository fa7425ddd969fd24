"""How often a strategy comes due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mcp_server.domain.finding import Finding, warning
from mcp_server.domain.strategy import Config
from mcp_server.domain.timeframes import TIMEFRAMES

_DAYS = 28
_MOST_SLOTS = 2_000
_FAR_DAYS = 366
_DAY_MS = TIMEFRAMES["1d"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a schedule comes due: slots per day, on average, and the days until the first."""

    per_day: float
    first_days: float


def pace(config: Config, now: datetime) -> Pace:
    """Give how often a strategy comes due from `now` (aware) on; of a cron, over its next four weeks or 2,000 slots."""
    if config.interval is not None:
        per_day = _DAY_MS / TIMEFRAMES[config.interval]
        return Pace(per_day, 1 / per_day)
    from croniter import croniter

    start = now.astimezone(ZoneInfo(config.timezone))
    dates = croniter(config.cron, start)
    first = last = dates.get_next(datetime)
    slots, end = 1, first + timedelta(days=_DAYS)
    while slots < _MOST_SLOTS and (following := dates.get_next(datetime)) < end:
        slots, last = slots + 1, following
    first_days = (first - start) / timedelta(days=1)
    if slots == _MOST_SLOTS:
        return Pace((slots - 1) / ((last - first) / timedelta(days=1)), first_days)
    return Pace(slots / max(_DAYS, first_days), first_days)


def schedule_findings(config: Config, now: datetime) -> list[Finding]:
    """Find a schedule that is valid, and yet hardly ever comes due."""
    days = pace(config, now).first_days
    if days <= _FAR_DAYS:
        return []
    problem = f"{config.cron!r} comes due first in {days:.0f} days."
    return [warning("config.json cron", problem, "Loosen its day, month or weekday.")]
