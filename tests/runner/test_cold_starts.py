"""Each command as people start it: in a Python that has imported nothing yet. Most other tests fork theirs (`warm`)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer.main

from runner.cli.app import app
from tests.rigs import sample_strategies as samples
from tests.rigs.hourly_candles import candle_lines
from tests.rigs.sample_home import sample_home
from tests.rigs.scripted_messages_api import ORCHESTRATOR, ScriptedMessagesApi, say
from tests.runner.claude_runs import KEY
from tests.structure.commands import _below

LIMIT_S = 300
NOWHERE = "http://127.0.0.1:9"
MONTH = ("--from", "2026-01-01", "--to", "2026-02-01")
MOMENT = ("--from", "2026-01-01T00:00Z", "--to", "2026-01-01T00:30Z")

ENDS = {
    "demo": (("demo",), 0),
    "run": (("run", samples.TREND), 0),
    "signals": (("signals", "--all"), 0),
    "backtest": (("backtest", samples.TREND, *MONTH), 0),
    "score": (("score", samples.TREND), 0),
    "replay": (("replay", samples.ANALYSTS, *MOMENT, "--max-usd", "5", "--contaminated"), 0),
    "build": (("build", "buy BTC when the 4h RSI turns up", "--yes"), 1),
    "strategies": (("strategies",), 0),
    "strategies add": (("strategies", "add", "rsi-reversion"), 0),
    "strategies check": (("strategies", "check", samples.TREND), 0),
    "strategies pause": (("strategies", "pause", samples.TREND), 0),
    "strategies resume": (("strategies", "resume", samples.TREND), 0),
    "strategies remove": (("strategies", "remove", samples.TREND, "--yes"), 0),
    "strategies restore": (("strategies", "restore", "rsi-reversion"), 2),
    "status": (("status",), 1),
    "notify": (("notify",), 1),
    "doctor": (("doctor",), 1),
    "backup": (("backup", "copy.tar.gz"), 0),
    "import-candles": (
        ("import-candles", "prices.csv", "--exchange", "kraken", "--symbol", "BTC/USD", "--timeframe", "1h"), 0,
    ),
    "journal prune": (("journal", "prune", "--before", "2020-01-01", "--yes"), 0),
    "journal move": (("journal", "move", "--to", "postgres", "--yes"), 2),
}  # fmt: skip
"""Command → how it is typed here, and its exit code. Beside them there are those that run until they are stopped."""

UNTIL_STOPPED = {"up", "mcp"}


def test_every_command_has_its_cold_start() -> None:
    names = {name.removeprefix("claude-trader ") for name, _ in _below(typer.main.get_command(app), "claude-trader")}
    assert names == ENDS.keys() | UNTIL_STOPPED


@pytest.fixture
def variables(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a home with a record, and of a model that only says that it cannot."""
    sample_home(home, datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)).close()
    (home / "prices.csv").write_text("".join(candle_lines()))
    with ScriptedMessagesApi({ORCHESTRATOR: [say("I cannot.")] * 5}) as api:
        own = {"TRADER_HOME": str(home), "TRADER_EXCHANGE": "simulated", "COLUMNS": "120"}
        own |= {"TRADER_CHAIN_URLS": json.dumps({"bitcoin": NOWHERE, "ethereum": NOWHERE})}
        yield {**os.environ, **own, "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}


@pytest.mark.long
@pytest.mark.parametrize(("typed", "code"), ENDS.values(), ids=ENDS)
def test_a_command_that_nothing_was_imported_for_ends_as_it_should(
    home: Path, variables: dict[str, str], typed: tuple[str, ...], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *typed], cwd=home, env=variables, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stdout + done.stderr
