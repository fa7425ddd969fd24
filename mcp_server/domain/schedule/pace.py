"""How often a strategy comes due, counted by the calendar that the scheduler itself goes by."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.strategy.finding import Finding, warning
from mcp_server.domain.strategy.format import Config

_DAYS = 28
_MOST_SLOTS = 2_000
_FAR_DAYS = 366
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many slots there are from the first one (aware UTC) up to `until`, a later slot that is not counted.

    `days` is the time between the two as the calendar of the schedule's zone counts it: a day that has an hour more
    or less is one day.
    """

    slots: int
    first: datetime
    until: datetime
    days: float

    @property
    def per_day(self) -> float:
        """Slots per day, on average."""
        return self.slots / self.days


def pace(config: Config, now: datetime) -> Pace:
    """Return how often a strategy comes due after `now` (aware): over the next four weeks, or 2,000 slots if sooner.

    A slot that comes less often than that is counted up to the one that follows it.
    """
    zone = ZoneInfo("UTC" if config.interval is not None else config.timezone)
    moments = slots(config, now)
    first, count = next(moments), 1
    start = first.astimezone(zone)
    end = start + timedelta(days=_DAYS)
    while (following := next(moments)) < end and count < _MOST_SLOTS:
        count += 1
    return Pace(count, first, following, (following.astimezone(zone) - start) / _DAY)  # one zone: by its wall clock


def schedule_findings(config: Config, now: datetime) -> list[Finding]:
    """Find a schedule that is valid but hardly ever comes due."""
    days = (pace(config, now).first - now) / _DAY
    if days <= _FAR_DAYS:
        return []
    problem = f"{config.cron!r} comes due first in {days:.0f} days."
    return [warning("config.json cron", problem, "Loosen its day, month or weekday.")]
