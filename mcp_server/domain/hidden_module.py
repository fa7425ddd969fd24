"""Imports a library without one that it would take along if it is installed, and that we do not need from it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let a module look as if it were not installed, unless it is imported already.

    Whoever imports it must not do so in another thread meanwhile.
    """
    unknown = name not in sys.modules
    if unknown:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that it is not there
    try:
        yield
    finally:
        if unknown:
            del sys.modules[name]
