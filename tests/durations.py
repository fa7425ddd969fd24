"""Which tests `make test` runs, and in what order: the slowest files first, as `make durations` measured.

A test marked `long` is the whole form of one that `make test` runs: more repetitions, more data, all combinations.
`make long` runs those. Whoever names a file or a test gets all of it.
"""

import json
from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

TESTS = Path(__file__).parent
FILE = TESTS / "durations.json"
LEAST_S = 1.0
"""A file that takes no longer is not listed; each that is not listed counts so much."""


def measured() -> dict[str, dict[str, float]]:
    """Read the seconds of each listed file in `make test` and in `make long`, by its path within `tests`."""
    seconds: dict[str, dict[str, float]] = json.loads(FILE.read_text("utf-8"))
    return seconds


def target(keywords: Container[str]) -> str:
    """Return which of `make test` and `make long` runs a test."""
    return "long" if "long" in keywords else "test"


def left_out(config: pytest.Config) -> bool:
    """Tell whether tests marked `long` are left out: whole folders are asked for, and `-m` does not ask for them."""
    folders = not any(name.partition("::")[0].endswith(".py") for name in config.args)
    return folders and "long" not in config.getoption("-m")


class PageTogether(LoadFileScheduling):  # type: ignore[misc]
    """Gives each file to one worker, as `--dist loadfile` does, and all of the page to one: it starts a browser once.

    A browser, its first pages and the servers that they ask take four seconds of a core.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "page" if file.startswith(f"{TESTS.name}/page/") else file


def with_fewer_examples(items: Iterable[pytest.Item]) -> None:
    """Let each test of Hypothesis try a sixteenth of its examples; `make long` runs it whole, marked or not."""
    for item in items:
        if "hypothesis" in item.keywords:
            from hypothesis import settings

            test = item.obj  # type: ignore[attr-defined]
            whole = test._hypothesis_internal_use_settings
            fewer = settings(whole, max_examples=max(whole.max_examples // 16, 2))
            test._hypothesis_internal_use_settings = fewer


class Stopwatch:
    """A pytest plugin that adds up what each file takes and writes it down at the end, for the files that ran."""

    def __init__(self) -> None:
        self._seconds = {"test": defaultdict[str, float](float), "long": defaultdict[str, float](float)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0].removeprefix("tests/")
        self._seconds[target(report.keywords)][file] += report.duration

    def pytest_sessionfinish(self) -> None:
        FILE.write_text(json.dumps({name: self._listed(name) for name in self._seconds}, indent=1) + "\n", "utf-8")

    def _listed(self, name: str) -> dict[str, float]:
        seconds = {file: known for file, known in measured()[name].items() if (TESTS / file).is_file()}
        seconds |= {file: round(total, 1) for file, total in self._seconds[name].items()}
        slowest_first = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
        return {file: total for file, total in slowest_first if total > LEAST_S}
