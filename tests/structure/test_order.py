"""The order in which the tests run: the slowest files first, by the seconds that were measured."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import durations
from tests.conftest import pytest_collection_modifyitems


def test_each_file_that_was_measured_is_there() -> None:
    assert [file for file in durations.measured() if not (durations.TESTS / file).is_file()] == []


def test_the_slowest_files_begin_and_a_file_that_was_not_measured_comes_after_them() -> None:
    slowest, *_, quickest = durations.measured()
    items = [SimpleNamespace(path=durations.TESTS / file) for file in ("structure/test_new.py", quickest, slowest)]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]

    assert [item.path.name for item in items] == [Path(slowest).name, Path(quickest).name, "test_new.py"]


def test_a_measurement_replaces_what_ran_keeps_the_rest_and_forgets_what_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "durations.json"
    file.write_text('{"test_gone.py": 9.0, "structure/test_order.py": 8.0, "structure/test_imports.py": 3.0}')
    monkeypatch.setattr(durations, "FILE", file)
    stopwatch = durations.Stopwatch()
    for seconds in (1.0, 4.0):
        report = SimpleNamespace(nodeid="tests/structure/test_order.py::test_x", duration=seconds)
        stopwatch.pytest_runtest_logreport(report)  # type: ignore[arg-type]
    stopwatch.pytest_sessionfinish()

    assert json.loads(file.read_text()) == {"structure/test_order.py": 5.0, "structure/test_imports.py": 3.0}
