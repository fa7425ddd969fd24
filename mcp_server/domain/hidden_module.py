"""Imports a library without one that it would take along if it is installed, and that we do not need from it."""

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def without(name: str, importing: Callable[[], T]) -> T:
    """Return what a call returns to which a module looks as if it were not installed, unless it is imported already.

    A version of the library that cannot do without it is given it: the call is made again.
    Whoever imports the module must not do so in another thread meanwhile.
    """
    if name in sys.modules:
        return importing()
    sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that it is not there
    try:
        return importing()
    except ImportError:
        del sys.modules[name]
        return importing()
    finally:
        if sys.modules.get(name, ...) is None:
            del sys.modules[name]
