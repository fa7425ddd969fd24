"""A strategy has gone only when its folder has: one that cannot be looked at for a moment is as it was."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.scheduler.strategy_watch import StrategyWatch
from tests.scheduler.slot_homes import Machine, hourly, write


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_folder_that_cannot_be_looked_at_for_a_moment_is_as_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    machine = Machine(home)
    write(home, hourly())
    watch = StrategyWatch(machine.home, machine.folders)
    assert watch.look({}) == ["s"]
    look = os.stat

    def failing(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        if os.fspath(path).endswith("strategies/s"):
            raise error
        return look(path, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", failing)
        assert watch.look({}) == []
    assert [*watch.folder_states] == ["s"]
    shutil.rmtree(home / "strategies" / "s")
    assert watch.look({}) == ["s"]
    assert [*watch.folder_states] == []
