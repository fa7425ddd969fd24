"""The command line with versions of typer that are built otherwise than the one here, on which its quickness rests.

Each is made in its own process, before anything of the command line is imported.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli.help import _AsGiven

READS_WITHOUT_PYDANTIC = """
of_typer = core._TyperParameter.get_runtime_param
del core._TyperParameter.get_runtime_param
def process_value(param, ctx, value):
    value = of_typer(param).coerce(value, param=param, ctx=ctx)
    return param.callback(ctx, param, value) if param.callback else value
core._TyperParameter.process_value = process_value
"""
"""As typer before 0.29: a parameter has no `get_runtime_param`."""

WITHOUT_ERRORS_OF_ITS_OWN = """
import types
click = types.ModuleType("click")
click.ClickException = sys.modules["typer.exceptions"].TyperException
sys.modules["click"], sys.modules["typer.exceptions"] = click, None
"""
"""As typer before it had its own copy of click."""

NEEDS_MORE_OF_RICH = """
import importlib.abc, importlib.util
class Changed(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "typer.rich_utils":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def more(module):
            from rich.markdown import Heading
            from rich.traceback import Trace
            run(module)
        spec.loader.exec_module = more
        return spec
sys.meta_path.insert(0, Changed())
"""
"""As a typer that asks `rich.markdown` and `rich.traceback` for what only rich's own have."""

PROGRAM = """
import sys
import typer.core as core
{other}
sys.argv[0] = "claude-trader"
from runner.__main__ import main
main()
"""


def run(other: str, home: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(other=other), *arguments],
        env={**os.environ, "TRADER_HOME": str(home)}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("other", [WITHOUT_ERRORS_OF_ITS_OWN, NEEDS_MORE_OF_RICH])
def test_a_refusal_is_as_ever(home: Path, other: str) -> None:
    """What is refused needs what these versions lack; a command that works does not."""
    code, refusal = run(other, home, "signals", "--limit", "0")
    assert (code, "Usage: claude-trader signals" in refusal, "--limit" in refusal) == (2, True, True)


@pytest.mark.parametrize(
    "other",
    [
        READS_WITHOUT_PYDANTIC,
        *(pytest.param(other, marks=pytest.mark.long) for other in (WITHOUT_ERRORS_OF_ITS_OWN, NEEDS_MORE_OF_RICH)),
    ],
)
def test_a_command_and_a_refusal_are_as_ever(home: Path, other: str) -> None:
    code, listing = run(other, home, "signals", "--limit", "3")
    assert (code, listing[:28]) == (0, "Nothing is recorded yet. `cl")
    code, refusal = run(other, home, "signals", "--limit", "0")
    assert (code, "Usage: claude-trader signals" in refusal, "--limit" in refusal) == (2, True, True)


def test_a_parameter_that_is_described_otherwise_is_typers_to_read() -> None:
    def coerce(value: str, **_: Any) -> int:
        return int(value)

    parameter: Any = SimpleNamespace(get_runtime_param=lambda: SimpleNamespace(coerce=coerce), multiple=False, nargs=1)
    assert _AsGiven(parameter).coerce("3", param=parameter, ctx=None) == 3
