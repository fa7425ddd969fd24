"""The calendar: when a strategy comes due. Pure arithmetic, in which every moment is an argument.

A slot is a moment at which a strategy is due: the close of a candle for an `interval`, a minute of the wall clock for a
`cron`. It is also the as-of of its run, which begins `offset_s` later, when the exchange has published the candle.

Where clocks change, a cron does almost as cron(8) does. A time that is skipped becomes a slot right after the gap. A
time that comes twice is one slot, unless the cron's minute or hour begins with `*`: such a schedule runs through both
hours.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import from_ms, timeframe_ms, to_ms


@dataclass(frozen=True, slots=True)
class Overdue:
    """Slots that have come due: how many, the first, and the last ones, oldest first. Times are aware UTC."""

    count: int
    first: datetime
    last: tuple[datetime, ...]


def slots(config: Config, after: datetime) -> Iterator[datetime]:
    """Yield the slots later than `after` (aware) as aware UTC; a schedule has no end."""
    if config.interval is None:
        yield from _cron_slots(config, after)
        return
    length = timeframe_ms(config.interval)
    at_ms = to_ms(after)
    while True:
        at_ms += length - at_ms % length
        yield from_ms(at_ms)


def _cron_slots(config: Config, after: datetime) -> Iterator[datetime]:
    from croniter import croniter

    assert config.cron is not None  # noqa: S101 (a config has an interval or a cron)
    goes_on = any(field.startswith("*") for field in config.cron.split()[:2])
    before = after.astimezone(UTC)
    for local in croniter(config.cron, after.astimezone(ZoneInfo(config.timezone))).all_next(datetime):
        moment = local.astimezone(UTC)
        if moment > before and (goes_on or not local.fold):
            before = moment
            yield moment


def due_at(config: Config, slot: datetime) -> datetime:
    """Return the moment at which a slot's run begins."""
    return slot + timedelta(seconds=config.offset_s)


def next_slot(config: Config, after: datetime) -> datetime:
    """Return the first slot later than `after` (aware)."""
    return next(slots(config, after))


def overdue(config: Config, after: datetime, now: datetime, *, keep: int = 1) -> Overdue | None:
    """Count the slots later than `after` that are due at `now`, and keep the last `keep` of them; None if none is due.

    For an interval this takes no time; for a cron it counts some 30,000 slots a second.
    """
    until = now - timedelta(seconds=config.offset_s)
    if config.interval is not None:
        return _overdue_candles(timeframe_ms(config.interval), to_ms(after), to_ms(until), keep)
    last: deque[datetime] = deque(maxlen=keep)
    first, count = None, 0
    for slot in slots(config, after):
        if slot > until:
            break
        first, count = first or slot, count + 1
        last.append(slot)
    return None if first is None else Overdue(count, first, tuple(last))


def _overdue_candles(length: int, after_ms: int, until_ms: int, keep: int) -> Overdue | None:
    first, last = after_ms // length + 1, until_ms // length
    if last < first:
        return None
    kept = range(max(first, last - keep + 1), last + 1)
    return Overdue(last - first + 1, from_ms(first * length), tuple(from_ms(number * length) for number in kept))
