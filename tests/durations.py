"""How many seconds each test file takes, as `make durations` measured it last: the longest begin first."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILE = TESTS / "durations.json"
LEAST_S = 1.0
"""A file that takes no longer is not listed; each that is not listed counts so much."""


def measured() -> dict[str, float]:
    """Read the seconds of each listed file, by its path within `tests`."""
    seconds: dict[str, float] = json.loads(FILE.read_text("utf-8"))
    return seconds


class Stopwatch:
    """A pytest plugin that adds up what each file takes and writes it down at the end, for the files that ran."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.split("::")[0].removeprefix("tests/")] += report.duration

    def pytest_sessionfinish(self) -> None:
        seconds = {file: known for file, known in measured().items() if (TESTS / file).is_file()}
        seconds |= {file: round(total, 1) for file, total in self._seconds.items()}
        slowest_first = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
        listed = {file: total for file, total in slowest_first if total > LEAST_S}
        FILE.write_text(json.dumps(listed, indent=1) + "\n", "utf-8")
