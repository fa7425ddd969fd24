"""MCP's types are built when they are first used, in the server and in the runner: a process uses a dozen of them."""

import subprocess
import sys
import threading
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from mcp_server.domain.late_models import built_when_used

BUILT = """
import sys
import {module}
from pydantic import BaseModel, TypeAdapter

found, below = set(), [BaseModel]
while below:
    below += (classes := below.pop().__subclasses__())
    found |= {{one for one in classes if one.__module__.startswith("mcp_types.")}}
adapters = [
    one
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in ("mcp", "mcp_types")
    for one in vars(module).values()
    if isinstance(one, TypeAdapter)
]
print(sum(one.__pydantic_complete__ for one in found), len(found))
print(sum(one.pydantic_complete for one in adapters), len(adapters))
"""


SPOKEN = """
import sys
import mcp_server.app
from mcp_types.methods import serialize_server_result, validate_client_request

def versions():
    return sorted(name.removeprefix("mcp_types._v") for name in sys.modules if name.startswith("mcp_types._v"))

print(*versions())
validate_client_request("tools/list", "2025-06-18", {})
serialize_server_result("tools/list", "2025-06-18", {"tools": []})
print(*versions())
"""


def test_of_the_protocols_versions_a_server_imports_what_a_host_speaks() -> None:
    """It takes a second: in this process all is imported already."""
    done = subprocess.run([sys.executable, "-c", SPOKEN], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "2025_11_25"]


@pytest.mark.parametrize(
    "module", [pytest.param("mcp_server.app", marks=pytest.mark.long), "runner.tool_server.client"]
)
def test_hardly_any_of_mcps_types_is_built_before_one_is_used(module: str) -> None:
    """It takes a second: in this process all is imported already. `test_server_imports.py` has it of the server."""
    done = subprocess.run(
        [sys.executable, "-c", BUILT.format(module=module)], capture_output=True, text=True, check=True
    )
    check_built(*done.stdout.splitlines())


def check_built(types: str, of_adapters: str) -> None:
    """Check how many of the types, and of the adapters, were built, of how many."""
    (built, known), (built_adapters, adapters) = (map(int, line.split()) for line in (types, of_adapters))
    assert known > 150
    assert built < 10
    assert adapters > 10
    assert built_adapters == 0


def test_a_model_is_built_when_it_is_first_used_and_any_other_at_once() -> None:
    with built_when_used():

        class Late(BaseModel):
            price: float

    class Early(BaseModel):
        price: float

    assert not Late.__pydantic_complete__
    assert Early.__pydantic_complete__
    assert Late(price=1.5).price == 1.5
    assert Late.__pydantic_complete__


OF_EACH_OTHER = """
from __future__ import annotations
from pydantic import BaseModel

class Order(BaseModel):
    fills: list[Fill]

class Fill(BaseModel):
    price: float

Order.model_rebuild()
"""


@pytest.mark.parametrize("late", [True, False])
def test_a_model_that_its_module_completes_is_built_when_it_is_first_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    name = f"orders_{late}".lower()
    (tmp_path / f"{name}.py").write_text(OF_EACH_OTHER)
    monkeypatch.syspath_prepend(str(tmp_path))
    with built_when_used() if late else nullcontext():
        module = import_module(name)
    assert module.Order.__pydantic_complete__ is not late
    assert module.Order(fills=[{"price": "1.5"}]).fills[0].price == 1.5


def test_a_model_that_names_what_is_defined_beside_it_in_a_function_is_completed_at_once() -> None:
    with built_when_used():

        class Order(BaseModel):
            fills: "list[Fill]"

        class Fill(BaseModel):
            price: float

        Order.model_rebuild()
        assert Order.__pydantic_complete__
        used = TypeAdapter(list[Order]).validate_python([{"fills": [{"price": 2}]}])
    assert used[0].fills[0].price == 2.0
    assert "model_rebuild" in vars(BaseModel)
    assert BaseModel.model_rebuild.__func__.__module__ == "pydantic.main"  # type: ignore[attr-defined]


def test_after_two_imports_at_once_models_are_built_at_once_again() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with built_when_used():
            begun.set()
            go_on.wait(30)

    thread = threading.Thread(target=other)
    with built_when_used():
        thread.start()
        assert not begun.wait(0.05)
    assert begun.wait(30)
    go_on.set()
    thread.join()
    assert TypeAdapter(dict[str, float]).pydantic_complete
    assert not BaseModel.model_config.get("defer_build")


def test_an_adapter_is_built_when_it_is_first_used_and_any_other_at_once() -> None:
    class Priced(BaseModel):
        price: float

    with built_when_used():
        late = TypeAdapter(dict[str, float])
        of_a_model = TypeAdapter(Priced)  # which takes no other configuration than its own
    early = TypeAdapter(dict[str, float])
    assert (late.pydantic_complete, early.pydantic_complete) == (False, True)
    assert late.validate_json('{"price": 1.5}') == {"price": 1.5}
    assert late.pydantic_complete
    assert of_a_model.validate_python({"price": 1.5}) == Priced(price=1.5)
