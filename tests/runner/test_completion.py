"""What a shell completes: commands, options and the names of strategies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runner.conftest import LIMIT_S

PROGRAM = Path(sys.executable).with_name("claude-trader")


def completed(home: Path, *words: str) -> list[str]:
    """Ask as bash does once its completion is installed."""
    asked = {"COMP_WORDS": " ".join(("claude-trader", *words)), "COMP_CWORD": str(len(words))}
    variables = {**os.environ, "TRADER_HOME": str(home), "_CLAUDE_TRADER_COMPLETE": "complete_bash", **asked}
    done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=LIMIT_S, check=False, env=variables)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("command", [["run"], ["score"], ["strategies", "remove"]])
def test_names_of_strategies_and_examples_are_completed(home: Path, command: list[str]) -> None:
    (home / "strategies" / "rsi-mine").mkdir(parents=True)
    assert completed(home, *command, "rsi-") == ["rsi-mine", "rsi-reversion"]


def test_commands_are_completed(home: Path) -> None:
    assert completed(home, "sig") == ["signals"]
