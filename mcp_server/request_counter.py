"""Counts the requests of one question, however many others ask the same endpoints meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """How many requests were sent so far."""

    requests: int = 0


_CURRENT: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count what is sent within, by this task and those that it starts."""
    token = _CURRENT.set(tally := Tally())
    try:
        yield tally
    finally:
        _CURRENT.reset(token)


def count_request() -> None:
    """Count one request, if anybody wants to know."""
    if (tally := _CURRENT.get()) is not None:
        tally.requests += 1
