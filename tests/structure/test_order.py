"""Which tests `make test` runs and in what order: the slowest files first, by the seconds that were measured."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers

from tests import durations
from tests.conftest import pytest_collection_modifyitems, pytest_xdist_make_scheduler


def test_each_file_that_was_measured_is_there() -> None:
    measured = {file for seconds in durations.measured().values() for file in seconds}
    assert [file for file in measured if not (durations.TESTS / file).is_file()] == []


def _ordered(config: pytest.Config, *tests: tuple[str, set[str]]) -> list[str]:
    items = [SimpleNamespace(path=durations.TESTS / file, keywords=keywords) for file, keywords in tests]
    pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]
    return [item.path.name for item in items]


def test_the_slowest_files_begin_and_a_file_that_was_not_measured_comes_after_them(
    pytestconfig: pytest.Config,
) -> None:
    slowest, *_, quickest = (file for file in durations.measured()["test"] if not file.startswith("page/"))
    tests = [(file, set[str]()) for file in ("structure/test_new.py", quickest, slowest)]
    assert _ordered(pytestconfig, *tests) == [Path(slowest).name, Path(quickest).name, "test_new.py"]


def test_the_files_of_the_page_come_one_after_another_so_that_one_browser_serves_them(
    pytestconfig: pytest.Config,
) -> None:
    slowest = next(file for file in durations.measured()["test"] if not file.startswith("page/"))
    tests = [(file, set[str]()) for file in (slowest, "page/test_new.py", "page/test_login.py")]
    assert _ordered(pytestconfig, *tests) == ["test_login.py", "test_new.py", Path(slowest).name]


def test_one_worker_gets_all_files_of_the_page() -> None:
    config: Any = SimpleNamespace(getoption={"dist": "loadfile"}.__getitem__, getvalue=lambda _: ["popen"])
    scheduler = pytest_xdist_make_scheduler(config, None)
    assert scheduler is not None
    files = [file.relative_to(durations.TESTS).as_posix() for file in durations.TESTS.glob("page/test_*.py")]
    assert {scheduler._split_scope(f"tests/{file}::test_x[page]") for file in files} == {"page"}
    assert scheduler._split_scope("tests/structure/test_order.py::test_x") == "tests/structure/test_order.py"
    config.getoption = {"dist": "load"}.__getitem__
    assert pytest_xdist_make_scheduler(config, None) is None


def test_a_test_of_hypothesis_tries_a_sixteenth_of_its_examples_where_long_tests_are_left_out() -> None:
    tried: list[int] = []

    @settings(max_examples=80, database=None)
    @given(integers())
    def whole(number: int) -> None:
        tried.append(number)

    durations.with_fewer_examples([SimpleNamespace(obj=whole, keywords={"hypothesis"})])  # type: ignore[list-item]
    whole()
    assert len(tried) == 5


def test_a_measurement_replaces_what_ran_keeps_the_rest_and_forgets_what_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "durations.json"
    known = {"test_gone.py": 9.0, "structure/test_order.py": 8.0, "structure/test_imports.py": 3.0}
    file.write_text(json.dumps({"test": known, "long": known}))
    monkeypatch.setattr(durations, "FILE", file)
    stopwatch = durations.Stopwatch()
    for seconds, marks in ((1.0, ()), (4.0, ()), (7.0, ("long",))):
        keywords = dict.fromkeys(("test_x", *marks), 1)
        report = SimpleNamespace(nodeid="tests/structure/test_order.py::test_x", duration=seconds, keywords=keywords)
        stopwatch.pytest_runtest_logreport(report)  # type: ignore[arg-type]
    stopwatch.pytest_sessionfinish()

    imports = {"structure/test_imports.py": 3.0}
    assert json.loads(file.read_text()) == {
        "test": {"structure/test_order.py": 5.0} | imports,
        "long": {"structure/test_order.py": 7.0} | imports,
    }


@pytest.mark.parametrize(
    ("arguments", "mark", "left"),
    [
        (["tests"], "not live", ["small"]),
        (["tests/structure"], "not live", ["small"]),
        (["tests"], "long", ["small", "whole"]),  # of which pytest takes the whole one
        (["tests"], "long or not live", ["small", "whole"]),
        (["tests/structure/test_order.py"], "not live", ["small", "whole"]),
        (["tests", "tests/structure/test_order.py::whole"], "not live", ["small", "whole"]),
    ],
)
def test_a_long_test_is_left_out_unless_long_ones_are_asked_for_or_a_file_is_named(
    arguments: list[str], mark: str, left: list[str]
) -> None:
    left_out: list[SimpleNamespace] = []

    def pytest_deselected(items: list[SimpleNamespace]) -> None:
        left_out.extend(items)

    hook = SimpleNamespace(pytest_deselected=pytest_deselected)
    config = SimpleNamespace(args=arguments, getoption={"-m": mark}.__getitem__, hook=hook)
    file = durations.TESTS / "structure/test_order.py"
    small, whole = (
        SimpleNamespace(path=file, name=name, keywords={name, *marks})
        for name, marks in (("small", ()), ("whole", ("long",)))
    )
    items = [small, whole]
    pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]
    assert [item.name for item in items] == left
    assert [item.name for item in [*items, *left_out]] == ["small", "whole"]
