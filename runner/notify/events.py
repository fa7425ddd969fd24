"""Events that are worth telling a person who is elsewhere. Each has a key: what has the same key is the same event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mcp_server.domain.outcome import SignalName, Status
from mcp_server.domain.text import cleaned, dollars, number, shortened, significant
from mcp_server.domain.timeframes import iso, to_ms

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended
    from mcp_server.domain.strategy.strategy import Strategy

Kind = Literal[
    "signal", "failure", "paused", "no_skill", "budget", "broken", "server", "not_judged", "differ", "summary", "test"
]

FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "signal": (
        "strategy",
        "symbol",
        "signal",
        "before",
        "confidence",
        "price",
        "as_of",
        "reasoning",
        "record",
        "execution_id",
    ),
    "failure": ("strategy", "symbol", "status", "error", "as_of", "execution_id"),
    "paused": ("strategy", "failures", "error"),
    "no_skill": ("strategy", "judged", "mean_net_pct", "minimum_edge_pct", "e_value", "limit", "chance_pct"),
    "budget": ("strategy", "spent_usd", "limit_usd", "day"),
    "broken": ("strategy", "error"),
    "server": ("problem", "since"),
    "not_judged": ("problem", "since"),
    "differ": ("problem", "since"),
    "summary": ("week", "as_of", "strategies"),
    "test": (),
}
"""Kind → the names that its template may use."""

MOST_CHARACTERS = 600
"""Length of one field at most: a notification is read on a small screen, and the report has the rest."""

NONE = "-"
"""What a field without a value shows."""


class Event(NamedTuple):
    """One event. Events of one key are the same event, however often they are seen."""

    kind: Kind
    key: str
    fields: Mapping[str, str]


def signal_changed(strategy: Strategy, ended: Ended, before: SignalName | None, record: str = "") -> Event | None:
    """Return the event of a signal that differs from the strategy's last one; None where it does not.

    The first signal of all is news when it is not HOLD. `record` is the strategy's record so far, if it is known.
    """
    signal = ended.outcome.signal
    if signal is None or signal.signal == (before or "HOLD"):
        return None
    return Event(
        "signal",
        _of_run("signal", strategy, ended),
        {
            **_about(strategy, ended),
            "signal": signal.signal,
            "before": before or "no signal",
            "confidence": NONE if signal.confidence is None else f"{signal.confidence:f}",
            "price": NONE if signal.price is None else f"{Decimal(repr(signal.price)):f}",
            "reasoning": clean(signal.reasoning),
            "record": f"Record so far: {clean(record)}." if record else "",
        },
    )


def run_failed(strategy: Strategy, ended: Ended) -> Event | None:
    """Return the event of a run that ended in an error or ran out of time; None where it ended in another way."""
    outcome = ended.outcome
    if outcome.status not in (Status.ERROR, Status.TIMEOUT):
        return None
    fields = {**_about(strategy, ended), "status": str(outcome.status), "error": clean(outcome.error or NONE)}
    return Event("failure", _of_run("failure", strategy, ended), fields)


def strategy_paused(strategy: Strategy, ended: Ended, failures: int) -> Event:
    """Return the event of a strategy that was paused after failures in a row, of which `ended` is the last."""
    error = clean(ended.outcome.error or NONE)
    fields = {"strategy": strategy.name, "failures": str(failures), "error": error}
    return Event("paused", _of_run("paused", strategy, ended), fields)


def no_skill(strategy: Strategy, record: Mapping[str, Any], since: datetime) -> Event:
    """Return the event of a strategy that its `stop` has paused; for each time that it was made active it is one event.

    Args:
        strategy: the strategy.
        record: its record since it was made active, with the keys of `get_performance`.
        since: when it was made active (aware).
    """
    stop = record["stop"]
    fields = {
        "strategy": strategy.name,
        "judged": str(stop["judged"]),
        "mean_net_pct": _figure(stop["mean_net_pct"]),
        "minimum_edge_pct": _figure(stop["minimum_edge_pct"]),
        "e_value": _figure(stop["highest"]),
        "limit": _figure(stop["limit"]),
        "chance_pct": _figure(100 / stop["limit"]),
    }
    return Event("no_skill", f"no_skill {strategy.name} {since.isoformat()}", fields)


def budget_reached(strategy: str, spent_usd: Decimal, limit_usd: Decimal, day: date) -> Event:
    """Return the event of a day's budget that is spent; `strategy` is a name, or says whose budget it is."""
    fields = {
        "strategy": clean(strategy),
        "spent_usd": dollars(spent_usd),
        "limit_usd": dollars(limit_usd),
        "day": str(day),
    }
    return Event("budget", f"budget {strategy} {day}", fields)


def broken_edit(strategy: str, error: str) -> Event:
    """Return the event of a strategy's folder that cannot be read any more; the same mistake is one event."""
    fields = {"strategy": clean(strategy), "error": clean(error)}
    mistake = hashlib.sha256(error.encode(errors="replace")).hexdigest()[:16]
    return Event("broken", f"broken {strategy} {mistake}", fields)


def server_trouble(problem: str, since: datetime) -> Event:
    """Return the event of something that holds up runs since an aware moment; for each such moment it is one event."""
    fields = {"problem": clean(problem), "since": iso_minute(since)}
    return Event("server", f"server {since.isoformat()}", fields)


def runners_differ(problem: str, since: datetime) -> Event:
    """Return the event of runners that do not have the same since an aware moment; for each it is one event."""
    fields = {"problem": clean(problem), "since": iso_minute(since)}
    return Event("differ", f"differ {since.isoformat()}", fields)


def not_judged(problem: str, since: datetime) -> Event:
    """Return the event of signals that cannot be judged since an aware moment; for each such moment it is one event."""
    fields = {"problem": clean(problem), "since": iso_minute(since)}
    return Event("not_judged", f"not_judged {since.isoformat()}", fields)


def clean(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text of a model or an outside system such that nothing in it steers, links, or calls people by name."""
    return shortened(cleaned(text, most, addresses=False).replace("@", "@\u200b"), most)


def _about(strategy: Strategy, ended: Ended) -> dict[str, str]:
    return {
        "strategy": strategy.name,
        "symbol": clean(strategy.config.trading_pair),
        "as_of": iso_minute(ended.as_of),
        "execution_id": str(ended.execution_id),
    }


def _of_run(kind: str, strategy: Strategy, ended: Ended) -> str:
    return f"{kind} {strategy.name} {ended.execution_id} {ended.as_of.isoformat()}"


def _figure(value: float | None) -> str:
    return NONE if value is None else number(significant(value, 3))


def iso_minute(moment: datetime) -> str:
    """Write a moment to the minute, as ISO 8601 in UTC."""
    return iso(to_ms(moment) // 60_000 * 60_000)
