"""The moment that a question is about and the time that its answer has: the same for exchanges, chains and news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import anyio

from mcp_server.domain.strategy.format import MAX_TIMEOUT_S
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import NotSupported, Retryable

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime."""

WORK_S = 29.0
"""No call of a tool takes longer."""

DEADLINE_S = 26.0
"""Of these, no question to the outside world takes longer, whatever it consists of."""

LIVE_S = MAX_TIMEOUT_S
"""What exists only now is answered for an as-of up to this long ago: the longest a run may take."""


@contextmanager
def deadline(seconds: float, problem: str, remedy: str) -> Iterator[None]:
    """Give up the work within the block after so many seconds.

    Raises:
        Retryable: the time is over; `problem` and `remedy` are its parts.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise Retryable(problem, remedy) from None


def is_now(as_of: datetime, clock: Clock) -> bool:
    """Return whether an as-of is so lately ago that the present answers for it."""
    return clock() - as_of <= timedelta(seconds=LIVE_S)


def check_now(as_of: datetime, clock: Clock, subject: str, remedy: str) -> None:
    """Refuse an as-of of the past for a subject, in the singular, that exists only now.

    Raises:
        NotSupported: the as-of is more than 15 minutes ago.
    """
    if not is_now(as_of, clock):
        raise NotSupported(f"{subject} exists only now: there is none as of {iso(to_ms(as_of))}.", remedy)
