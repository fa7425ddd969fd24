"""Commands that only tell something, beside Python with the two libraries that every command prints with.

Processor time, of a program and its floor in turn: nothing here waits for another process or a network.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.benchmarks.test_guard import CLI, PRINTING, of_program
from tests.benchmarks.touches import report
from tests.rigs.sample_home import sample_home

TURNS = 15


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with strategies and two months of signals."""
    sample = sample_home(tmp_path_factory.mktemp("full"), datetime.now(UTC))
    yield sample.root
    sample.close()


@pytest.mark.parametrize("command", ["--help", "--version", "strategies", "signals", "status"])
def test_it_tells_in_little_more_than_the_time_of_these_libraries(
    full: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TRADER_HOME", str(full))
    report(command, [of_program([CLI, command]) / of_program(PRINTING) for _ in range(TURNS)])
