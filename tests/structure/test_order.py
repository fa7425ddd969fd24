"""The order in which the tests run."""

from pathlib import Path

from tests.conftest import SLOWEST


def test_the_files_that_begin_first_are_there() -> None:
    assert [file for file in SLOWEST if not (Path(__file__).parents[1] / file).is_file()] == []
