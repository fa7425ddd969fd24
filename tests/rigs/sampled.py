"""Long tables of like cases: `make test` runs some of them, `make long` the rest."""

from collections.abc import Sequence
from typing import Any

import pytest


def sampled(values: Sequence[Any], every: int) -> list[Any]:
    """Return values as parameters of a test; all but the first of each so many are marked `long`."""
    marks = [[pytest.mark.long] if place % every else [] for place in range(len(values))]
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marked)
        for value, marked in zip(values, marks, strict=True)
    ]


def some_or_all(values: Sequence[Any], every: int) -> list[Any]:
    """Return two parameters for a test that takes many values at once: one of so many; all of them, marked `long`."""
    return [pytest.param(values[::every], id="some"), pytest.param(values, id="all", marks=pytest.mark.long)]
