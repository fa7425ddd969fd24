"""The guard of speed: three tries, and then it fails."""

from collections.abc import Iterator

import pytest

from tests.benchmarks.test_guard import PAIRS, TRIES, holds


def _in_turn(*tries: float) -> Iterator[float]:
    return iter([figure for one in tries for figure in [one] * PAIRS])


def test_a_busy_moment_is_tried_again_and_the_first_try_that_holds_ends_it() -> None:
    figures = _in_turn(9.0, 9.0, 1.4)
    holds("a start", 1.0, lambda: next(figures), lambda: 1.0)
    assert not list(figures)
    figures = _in_turn(1.5, 9.0)
    holds("a start", 1.0, lambda: next(figures), lambda: 1.0)
    assert list(figures) == [9.0] * PAIRS


def test_what_is_slow_each_time_fails_with_its_figures() -> None:
    figures = _in_turn(*[1.6] * TRIES)
    with pytest.raises(AssertionError, match=r"a start: 1\.60 1\.60 1\.60"):
        holds("a start", 1.0, lambda: next(figures), lambda: 1.0)


def test_one_slow_neighbour_decides_nothing() -> None:
    figures = iter([9.0, 1.0, 1.0])
    holds("a start", 1.0, lambda: next(figures), lambda: 1.0)
