"""Which moments a replay looks at, and which of them tell its price. Pure: the present is an argument.

A moment is the as-of of a run. For the strategy's own slots it is just the one that the scheduler gives that slot.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile

from mcp_server.domain.schedule.slots import due_at, slots
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.timeframes import first_open_ms, from_ms, iso, iso_second, timeframe_ms, to_ms
from mcp_server.errors import BadInput

MOST_MOMENTS = 20_000

PILOTS = 5

_GOLDEN = (math.sqrt(5) - 1) / 2
"""Where in its fifth of the range each pilot lies follows from this number, which no fraction comes near. Pilots that
were evenly spaced might all lie at the same hour of the day, or on the same weekday."""

_SECOND = timedelta(seconds=1)


def moments(
    config: Config, since: datetime, until: datetime, now: datetime, every: str | None = None
) -> tuple[datetime, ...]:
    """Return the moments from `since` to `until`, both included, oldest first, as aware UTC.

    A slot whose run would not have begun by `now` is left out.

    Args:
        config: the strategy's config; its schedule and `offset_s` count.
        since: the beginning (aware).
        until: the end (aware).
        now: the present (aware).
        every: a timeframe: then the moments are the closes of candles of that length in UTC, and not the slots.

    Raises:
        BadInput: the range ends in the future or before it begins, has no moment or has too many.
    """
    if until > now:
        raise BadInput(
            f"--to {_text(until)} is in the future.", f"Give a time in the past; now it is {iso_second(now)}."
        )
    if since >= until:
        raise BadInput(f"--from {_text(since)} is not before --to {_text(until)}.", "Give an earlier --from.")
    from_then_on = _slots(config, since) if every is None else _closes(every, since)
    begun = takewhile(lambda moment: moment <= until and due_at(config, moment) <= now, from_then_on)
    chosen = tuple(islice(begun, MOST_MOMENTS + 1))
    schedule = f"candle closes every {every}" if every else f"slots of its schedule ({config.interval or config.cron})"
    if not chosen:
        remedy = "Give a longer range, or a shorter --every." if every else "Give a longer range, or an --every."
        raise BadInput(f"There are no {schedule} from {_text(since)} to {_text(until)}.", remedy)
    if len(chosen) > MOST_MOMENTS:
        raise BadInput(
            f"There are more than {MOST_MOMENTS:,} {schedule} from {_text(since)} to {_text(until)}.",
            "Give a shorter range, or a longer --every, such as 4h.",
        )
    return chosen


def pilots(all_moments: Sequence[datetime]) -> tuple[datetime, ...]:
    """Return the moments to run first, as their costs tell those of the rest: one of each fifth of the range.

    The same moments have the same pilots, so that a replay that goes on does not choose others.
    """
    count = len(all_moments)
    if count <= PILOTS:
        return tuple(all_moments)
    bounds = [fifth * count // PILOTS for fifth in range(PILOTS + 1)]
    within = [(0.5 + fifth) * _GOLDEN % 1 for fifth in range(PILOTS)]
    chosen = (first + int(part * (end - first)) for (first, end), part in zip(pairwise(bounds), within, strict=True))
    return tuple(all_moments[position] for position in chosen)


def _slots(config: Config, since: datetime) -> Iterator[datetime]:
    """Yield the slots at or after a moment; the calendar itself begins after the one that it is given."""
    return (slot for slot in slots(config, since - _SECOND) if slot >= since)


def _closes(every: str, since: datetime) -> Iterator[datetime]:
    whole_ms = to_ms(since - timedelta.resolution) + 1  # the first millisecond that is not before it
    at_ms, length = first_open_ms(whole_ms, every), timeframe_ms(every)
    while True:
        yield from_ms(at_ms)
        at_ms += length


def _text(moment: datetime) -> str:
    return iso(to_ms(moment))
