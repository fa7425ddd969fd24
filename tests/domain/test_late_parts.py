"""A part that comes late is imported when it is called; a library that needs more of it is imported as it is."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from mcp_server.domain.late_parts import MODELS, LatePart, given_when_asked, import_with_late_parts, late_parts

PARTS = {"heavy.part": ("thing",)}

PRICES = """
from pydantic import BaseModel

class Price(BaseModel):
    price: float

class Free(BaseModel):
    free: bool

Any = Price | Free
"""


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library that needs `thing` of a heavy one."""
    for name, files in {
        "heavy": {"__init__": "", "part": "def thing():\n    return 'done'\n\n\nmore = 1\n"},
        "library": {
            "__init__": "from library import first, second\n",
            "first": "from heavy.part import thing\n",
            "second": "",
        },
    }.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "library"
    for name in [name for name in sys.modules if name.partition(".")[0] in ("heavy", "library")]:
        del sys.modules[name]


def test_a_late_part_is_imported_when_it_is_called() -> None:
    import_with_late_parts("library", PARTS)
    thing = import_module("library.first").thing
    assert isinstance(thing, LatePart)
    assert "heavy.part" not in sys.modules
    assert thing() == "done"
    assert import_module("heavy.part").thing is not thing


def test_of_a_library_that_needs_more_nothing_keeps_what_stands_for_a_part(library: Path) -> None:
    (library / "second.py").write_text("from heavy.part import more\n")
    import_with_late_parts("library", PARTS)
    assert import_module("library").second.more == 1
    assert import_module("library.first").thing is import_module("heavy.part").thing


def test_a_library_that_needs_more_of_a_module_that_comes_late_as_a_whole_is_imported_as_it_is(library: Path) -> None:
    (library / "second.py").write_text("from heavy.part import more\n")
    import_with_late_parts("library", PARTS, {"heavy.part": "heavy.part"})
    assert import_module("library").second.more == 1


def test_models_that_come_late_are_imported_with_the_first_that_is_used_and_each_is_built_for_itself(
    library: Path,
) -> None:
    (library / "first.py").write_text("import library.wire as wire\nprice, price_or_free = wire.Price, wire.Any\n")
    (library / "wire.py").write_text(PRICES)
    import_with_late_parts("library", {"library.wire": MODELS})
    first = import_module("library").first
    assert "library.wire" not in sys.modules
    with pytest.raises(ValidationError):
        first.price.model_validate({"price": "much"})
    wire = import_module("library.wire")
    assert (wire.Price.__pydantic_complete__, wire.Free.__pydantic_complete__) == (True, False)
    adapter = TypeAdapter[object](first.price_or_free)
    assert adapter.validate_python({"free": True}) == wire.Free(free=True)
    assert adapter.dump_python(wire.Price(price=2)) == {"price": 2.0}
    with pytest.raises(ValidationError):
        adapter.validate_python({"cost": 2})


def test_who_asks_a_package_for_a_late_part_or_for_its_module_gets_it_as_without_us(library: Path) -> None:
    (library / "__init__.py").write_text("from library.sub.tool import Tool\nfrom library.main import main, run\n")
    (library / "main.py").write_text("def main(): ...\ndef run(): ...\n")
    (library / "sub").mkdir()
    (library / "sub" / "tool.py").write_text("class Tool: ...\n")
    late = {"library.sub.tool": ("Tool",), "library.main": ("main", "run")}
    import_with_late_parts("library", late)
    package = import_module("library")
    given_when_asked(package, late)
    assert "library.sub.tool" not in sys.modules
    assert package.sub.tool.Tool is package.Tool is import_module("library.sub.tool").Tool
    assert package.run is import_module("library.main").run
    assert package.main is import_module("library.main").main, "not the module, which has its name"
    with pytest.raises(AttributeError, match="module 'library' has no attribute 'other'"):
        _ = package.other


def test_what_is_imported_already_is_not_hidden() -> None:
    real = import_module("heavy.part")
    with late_parts(PARTS):
        assert import_module("heavy.part") is real
    assert import_module("heavy.part") is real
