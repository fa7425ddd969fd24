"""Tables that are multiplied: `make test` runs a part in which each pair of values meets, `make long` the rest."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest


def combined(*axes: Mapping[str, Any]) -> list[Any]:
    """Return all combinations of the axes' values as parameters, by their names; all but a part are marked `long`.

    Of all combinations that agree in everything but the last axis, one is not long, of another value each time. So the
    part has each value of an axis with each of the last, where the others are long enough.
    """
    return [
        pytest.param(
            *(value for _, (_, value) in row),
            id="-".join(name for _, (name, _) in row),
            marks=[pytest.mark.long] if sum(place for place, _ in row) % len(axes[-1]) else [],
        )
        for row in itertools.product(*(enumerate(axis.items()) for axis in axes))
    ]
