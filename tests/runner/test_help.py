"""What a newcomer sees first: help that teaches, in a terminal of 80 columns, and which version this is."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.runner.conftest import Command

COMMANDS = [
    "demo",
    "run",
    "signals",
    "strategies",
    "build",
    "up",
    "status",
    "notify",
    "doctor",
    "backup",
    "mcp",
    "score",
    "replay",
]


def test_both_programs_tell_their_version(trader: Command) -> None:
    told = trader("--version")
    assert (told.code, told.out, told.err) == (0, f"claude-trader {version('claude-trader')}\n", "")
    server = subprocess.run([sys.executable, "-m", "mcp_server", "--version"], capture_output=True, check=True)
    assert server.stdout.decode() == f"claude-trader-mcp {version('claude-trader')}\n"


def test_help_names_every_command_and_both_of_its_own_names_work(trader: Command) -> None:
    long, short = trader("--help"), trader("-h")
    assert (long.code, long.out) == (0, short.out)
    assert not [
        command for command in [*COMMANDS, "backup", "mcp", "import-candles"] if f"│ {command} " not in long.out
    ]
    assert "--version" in long.out


@pytest.mark.parametrize(
    "command",
    [["run"], ["score"], ["replay"], ["signals"], ["strategies"], ["strategies", "check"], ["import-candles"]],
)
def test_a_flag_and_a_name_show_no_type_of_python(trader: Command, command: list[str]) -> None:
    shown = trader(*command, "--help").out
    assert "--help" in shown
    assert not [type_ for type_ in ("<bool>", "<str>", "<path>", "BOOLEAN", "TEXT") if type_ in shown]
    assert "Example: claude-trader" in " ".join(shown.split()) or command == ["strategies", "check"]


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        (["score", "--runs", "bogus"], "'live', 'manual', 'replay', 'all'"),
        (["import-candles", "x.csv", "--exchange", "a", "--symbol", "b", "--timeframe", "bogus"], "'1m', '3m'"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(
    trader: Command, arguments: list[str], choices: str
) -> None:
    done = trader(*arguments)
    assert (done.code, done.out) == (2, "")
    refusal = " ".join(done.err.replace("│", " ").split())
    assert f"Invalid value for '{arguments[-2]}': 'bogus' is not one of {choices}" in refusal
