"""Counts the requests of one question, however many others ask the same endpoints meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class RequestCounter:
    """How many requests were sent so far."""

    requests: int = 0


_CURRENT: ContextVar[RequestCounter | None] = ContextVar("counter", default=None)


@contextmanager
def counting_requests() -> Iterator[RequestCounter]:
    """Count the requests within the block, of this task and of those that it starts."""
    token = _CURRENT.set(counter := RequestCounter())
    try:
        yield counter
    finally:
        _CURRENT.reset(token)


def count_request() -> None:
    """Count one request, if a block is counting."""
    if (counter := _CURRENT.get()) is not None:
        counter.requests += 1
