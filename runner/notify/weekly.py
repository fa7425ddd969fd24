"""The weekly summary: the record of each strategy in one line, told once a week."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mcp_server.domain.text import change, counted, dollars, share
from runner.notify.events import Event, clean, iso_minute

WEEK = timedelta(days=7)
HOUR_UTC = 8

MOST_CHARACTERS = 1_600
"""All lines together: a notification is read on a small screen."""

EVIDENCE = {
    "too_few": "too few to say",
    "none_yet": "no evidence of skill yet",
    "skill": "evidence of skill",
    "no_skill": "its `stop` is reached",
    "unknown": "evidence unknown",
    "contaminated": "nothing counts, as the model may know what came next",
}


def week_of(now: datetime) -> datetime:
    """Return when the week of an aware moment began: Monday, 08:00 UTC."""
    monday = (now - timedelta(days=now.weekday())).replace(hour=HOUR_UTC, minute=0, second=0, microsecond=0)
    return monday if monday <= now else monday - WEEK


def weekly_summary(records: Iterable[Mapping[str, Any]], now: datetime) -> Event | None:
    """Return the event of this week, the same one all week long; None where no strategy has run on schedule.

    Args:
        records: a record for each strategy, with the keys of `get_performance`.
        now: an aware moment in UTC.
    """
    ran = sorted((record for record in records if record["runs"]), key=lambda record: record["strategy_name"])
    if not ran:
        return None
    week = week_of(now)
    lines = [f"{record['strategy_name']}: {_line(record)}" for record in ran]
    fields = {"week": f"{week:%Y-%m-%d}", "as_of": iso_minute(now), "strategies": _fitting(lines)}
    return Event("summary", f"summary {week:%Y-%m-%d}", fields)


def _line(record: Mapping[str, Any]) -> str:
    signals, judged = record["signals"], record["judged"]
    parts = [f"{signals:,} {'signal' if signals == 1 else 'signals'}", f"{judged:,} judged"]
    if judged:
        parts += [_right(record), f"mean net {_known(record['mean_net_pct'], change)}"]
    parts.append(f"cost {_cost(record)}")
    if judged:
        parts.append(_evidence(record))
    return ", ".join(parts)


def _right(record: Mapping[str, Any]) -> str:
    rate, base = (_known(record[name], share) for name in ("hit_rate", "base_rate"))
    return f"{record['right']:,} right ({rate}, base rate {base})"


def _evidence(record: Mapping[str, Any]) -> str:
    """Return what the record shows; being right more often is not called a gain unless that is shown, too."""
    words, interval = EVIDENCE.get(record["evidence"], clean(str(record["evidence"]), 60)), record["mean_net_ci95"]
    gains = interval is not None and interval[0] > 0
    return words if gains or record["evidence"] != "skill" else f"{words}, not of a gain"


def _cost(record: Mapping[str, Any]) -> str:
    """Return what is known of the cost, and how many runs are not in it."""
    spent, unknown = record["cost_usd"], record.get("cost_unknown")
    if spent is None:
        return "unknown"
    return f"{dollars(spent)} USD" + (f" and {counted(unknown, 'run')} of unknown cost" if unknown else "")


def _known(value: float | None, write: Callable[[float], str]) -> str:
    return "unknown" if value is None else write(value)


def _fitting(lines: list[str]) -> str:
    """Join lines as far as there is room, and say how many are left out."""
    shown, used = 0, 0
    for line in lines:
        used += len(line) + 1
        if used > MOST_CHARACTERS:
            break
        shown += 1
    more = len(lines) - shown
    return "\n".join([*lines[:shown], *([f"and {more} more: `claude-trader score` lists all"] if more else [])])
