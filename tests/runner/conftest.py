"""The command line, as a person or a scheduler runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rigs import in_process, warm
from tests.rigs.forked_server import forking
from tests.rigs.journal_databases import with_journal

LIMIT_S = 120


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Command = Callable[..., Done]


def trader_in(home: Path, folder: Path | None = None, program: str = "runner", *, own_process: bool = False) -> Command:
    """Return what runs `claude-trader` on a home: in the test's process, or one of its own where it has to be.

    Args:
        home: of the command.
        folder: where it runs; None: in the home.
        program: its module.
        own_process: the process is the point, or the time that it takes with everything imported.
    """

    def run(*arguments: str, **environment: str) -> Done:
        variables = with_journal(home, {**os.environ, "TRADER_HOME": str(home), "COLUMNS": "120", **environment})
        if not own_process and in_process.possible(program, variables):
            return Done(*in_process.run(arguments, variables, folder or home, program))
        if warm.can_run(variables):
            return Done(*warm.run(arguments, variables, folder or home, LIMIT_S, program))
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env=variables,
            cwd=folder or home,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def trader(home: Path) -> Command:
    """Run `claude-trader` on this test's home; keywords are environment variables."""
    return trader_in(home)


@pytest.fixture
def forked_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tool servers that the test itself starts be forked from a process that has imported everything."""
    monkeypatch.setattr("runner.tool_server.server_process.Popen", forking(subprocess.Popen))
