"""What is worth telling a person who is elsewhere: each event with the key that makes it one, told once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from mcp_server.domain.outcome import SignalName, Status
from mcp_server.domain.text import cleaned, shortened
from mcp_server.domain.timeframes import iso, to_ms

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended
    from mcp_server.domain.strategy.strategy import Strategy

Kind = Literal["signal", "failure", "paused", "budget", "broken", "server", "test"]

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
        "execution_id",
    ),
    "failure": ("strategy", "symbol", "status", "error", "as_of", "execution_id"),
    "paused": ("strategy", "failures", "error"),
    "budget": ("strategy", "spent_usd", "limit_usd", "day"),
    "broken": ("strategy", "error"),
    "server": ("problem", "since"),
    "test": (),
}
"""Kind → the names that a template of it may use."""

MOST_CHARACTERS = 600
"""Of one field: a notification is read on a small screen, and the report has the rest."""

NONE = "-"
"""What stands where there is nothing to say."""


class Event(NamedTuple):
    """One event. Events of one key are the same event, however often they are seen."""

    kind: Kind
    key: str
    fields: Mapping[str, str]


def signal_changed(strategy: Strategy, executed: Ended, before: SignalName | None) -> Event | None:
    """Give the event of a signal that differs from the strategy's last one; None where it does not.

    The first signal of all is news when it is not HOLD.
    """
    signal = executed.outcome.signal
    if signal is None or signal.signal == (before or "HOLD"):
        return None
    return Event(
        "signal",
        _of_run("signal", strategy, executed),
        {
            **_about(strategy, executed),
            "signal": signal.signal,
            "before": before or "no signal",
            "confidence": NONE if signal.confidence is None else f"{signal.confidence:f}",
            "price": NONE if signal.price is None else f"{Decimal(repr(signal.price)):f}",
            "reasoning": clean(signal.reasoning),
        },
    )


def run_failed(strategy: Strategy, executed: Ended) -> Event | None:
    """Give the event of a run that ended in an error or ran out of time; None where it ended in another way."""
    outcome = executed.outcome
    if outcome.status not in (Status.ERROR, Status.TIMEOUT):
        return None
    said = {**_about(strategy, executed), "status": str(outcome.status), "error": clean(outcome.error or NONE)}
    return Event("failure", _of_run("failure", strategy, executed), said)


def strategy_paused(strategy: Strategy, executed: Ended, failures: int) -> Event:
    """Give the event of a strategy that was paused, as so many runs in a row failed, `executed` being the last."""
    error = clean(executed.outcome.error or NONE)
    said = {"strategy": strategy.name, "failures": str(failures), "error": error}
    return Event("paused", _of_run("paused", strategy, executed), said)


def budget_reached(strategy: str, spent_usd: Decimal, limit_usd: Decimal, day: date) -> Event:
    """Give the event of a day's budget that is spent; `strategy` is a name, or says whose budget it is."""
    said = {"strategy": clean(strategy), "spent_usd": f"{spent_usd:f}", "limit_usd": f"{limit_usd:f}", "day": str(day)}
    return Event("budget", f"budget {strategy} {day}", said)


def broken_edit(strategy: str, error: str) -> Event:
    """Give the event of a strategy's folder that cannot be read any more; the same mistake is told once."""
    said = {"strategy": clean(strategy), "error": clean(error)}
    return Event("broken", f"broken {strategy} {hashlib.sha256(error.encode()).hexdigest()[:16]}", said)


def server_trouble(problem: str, since: datetime) -> Event:
    """Give the event of a tool server that is down or keeps ending, since an aware moment: told once for each."""
    said = {"problem": clean(problem), "since": _minute(since)}
    return Event("server", f"server {since.isoformat()}", said)


def clean(text: str, most: int = MOST_CHARACTERS) -> str:
    """Give text of a model or an outside system as itself: nothing in it steers, links, or calls people by name."""
    return shortened(cleaned(text, most, addresses=False).replace("@", "@\u200b"), most)


def _about(strategy: Strategy, executed: Ended) -> dict[str, str]:
    return {
        "strategy": strategy.name,
        "symbol": clean(strategy.config.trading_pair),
        "as_of": _minute(executed.as_of),
        "execution_id": str(executed.execution_id),
    }


def _of_run(kind: str, strategy: Strategy, executed: Ended) -> str:
    return f"{kind} {strategy.name} {executed.execution_id} {executed.as_of.isoformat()}"


def _minute(moment: datetime) -> str:
    return iso(to_ms(moment) // 60_000 * 60_000)
