"""A folder for temporary files in which nothing may be executed does not keep Claude from running."""

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runner.claude import session
from runner.claude.cli_folder import LAUNCHER, cli_folder
from runner.doctor import facts
from tests.rigs.noexec import can_forbid_execution, run_with_noexec
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import KEY, script, strategy

NO_CHAIN = json.dumps({"ethereum": "http://127.0.0.1:1"})


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    if not can_forbid_execution(folder):
        pytest.skip("this machine lets no test mount a folder")
    return folder


def _trader(scratch: Path, home: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    variables = {**os.environ, "TMPDIR": str(scratch), "TRADER_HOME": str(home), **environment}
    done = run_with_noexec(scratch, [sys.executable, "-m", "runner", *arguments, "--json"], variables)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.long
def test_a_run_by_claude_needs_no_temporary_folder_that_allows_execution(scratch: Path, home: Path) -> None:
    folder = home / "strategies" / "dip"
    folder.mkdir(parents=True)
    what = strategy(exchange="simulated")
    folder.joinpath("config.json").write_text(json.dumps(what.config_json()))
    folder.joinpath("agents.json").write_text(json.dumps(what.agents_json()))
    with ScriptedMessagesApi(script()) as api:
        credentials = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
        ended = _trader(scratch, home, "run", "dip", **credentials)
    assert (ended["status"], ended["signal"]) == ("success", "BUY"), ended


@pytest.mark.long
def test_doctor_starts_the_agent_cli_as_a_run_does(scratch: Path, home: Path) -> None:
    checks = _trader(scratch, home, "doctor", TRADER_EXCHANGE="simulated", TRADER_CHAIN_URLS=NO_CHAIN)["checks"]
    (agent,) = [check for check in checks if check["check"] == "agent"]
    assert agent["status"] == "ok"
    assert agent["said"].startswith("The agent CLI starts: 2.")


def test_nothing_that_a_run_starts_lies_in_its_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with cli_folder() as folder:
        variables = folder.launch(session.bundled_cli(""), ())
        started = [str(LAUNCHER), *(word for line in variables.values() for word in shlex.split(line))]
        assert folder.path.is_relative_to(tmp_path)
        kept = [file for file in folder.path.rglob("*") if file.is_file()]
    programs = [word for word in started if os.path.isfile(word)]
    assert len(programs) == 4, "the launcher, Python, what it runs, and the CLI"
    assert not [program for program in programs if Path(program).is_relative_to(tmp_path)]
    assert kept == []


def test_doctor_says_that_the_agent_cli_can_not_be_executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    launcher = tmp_path / "launch.sh"
    launcher.write_text("#!/bin/sh\n")
    monkeypatch.setattr(session, "LAUNCHER", launcher)
    (finding,) = facts.agent(["dip"])
    assert (finding.status, finding.sentence) == (
        "error",
        f"The agent CLI does not start: {launcher} cannot be executed.",
    )
    assert "noexec" in finding.remedy
    assert [finding.status for finding in facts.agent([])] == ["warning"], "no strategy needs it yet"
