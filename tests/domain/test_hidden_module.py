"""A library is imported without one that it would take along, where it can do without."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from mcp_server.domain.hidden_module import without


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken_along.py").write_text("")
    (tmp_path / "does_without.py").write_text("try: import taken_along\nexcept ImportError: taken_along = None\n")
    (tmp_path / "needs_it.py").write_text("import taken_along\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("taken_along", "does_without", "needs_it"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_what_a_library_would_take_along_is_not_imported_and_can_be_imported_later() -> None:
    assert without("taken_along", lambda: import_module("does_without")).taken_along is None
    assert "taken_along" not in sys.modules
    assert import_module("taken_along") is sys.modules["taken_along"]


def test_a_library_that_needs_it_has_it() -> None:
    assert without("taken_along", lambda: import_module("needs_it")).taken_along is sys.modules["taken_along"]


def test_what_is_imported_already_stays() -> None:
    there = import_module("taken_along")
    assert without("taken_along", lambda: import_module("does_without")).taken_along is there
    assert sys.modules["taken_along"] is there


def test_what_is_missing_is_told_and_hides_nothing() -> None:
    with pytest.raises(ImportError, match="nowhere"):
        without("taken_along", lambda: import_module("nowhere"))
    assert "taken_along" not in sys.modules
