"""How often a strategy comes due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mcp_server.domain.strategy.finding import Finding, warning
from mcp_server.domain.strategy.format import Config
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
    first = dates.get_next(datetime)
    slots, end = 1, first + timedelta(days=_DAYS)
    while (following := dates.get_next(datetime)) < end and slots < _MOST_SLOTS:
        slots += 1
    day = timedelta(days=1)  # up to the slot that follows: of a yearly one, until next year
    return Pace(slots / ((following - first) / day), (first - start) / day)


def schedule_findings(config: Config, now: datetime) -> list[Finding]:
    """Find a schedule that is valid, and yet hardly ever comes due."""
    days = pace(config, now).first_days
    if days <= _FAR_DAYS:
        return []
    problem = f"{config.cron!r} comes due first in {days:.0f} days."
    return [warning("config.json cron", problem, "Loosen its day, month or weekday.")]
