"""MCP's types are built when they are first used, in the server and in the runner: a process uses a dozen of them."""

import subprocess
import sys

import pytest
from pydantic import BaseModel

from mcp_server.domain.late_models import built_when_used

BUILT = """
import sys
import {module}
from pydantic import BaseModel

found, below = set(), [BaseModel]
while below:
    below += (classes := below.pop().__subclasses__())
    found |= {{one for one in classes if one.__module__.startswith("mcp_types.")}}
print(sum(one.__pydantic_complete__ for one in found), len(found))
"""


@pytest.mark.parametrize("module", ["mcp_server.app", "runner.tool_server.client"])
def test_hardly_any_of_mcps_types_is_built_before_one_is_used(module: str) -> None:
    """It takes a second: in this process all is imported already."""
    done = subprocess.run(
        [sys.executable, "-c", BUILT.format(module=module)], capture_output=True, text=True, check=True
    )
    built, known = map(int, done.stdout.split())
    assert known > 300
    assert built < 30


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
