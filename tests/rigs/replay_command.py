"""`claude-trader replay` as a process of its own, against stand-ins."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp_server.domain.strategy.strategy import Strategy
from runner.tool_server.server import Address
from tests.rigs.replays import FIRST, end_of
from tests.rigs.warm import Warm
from tests.runner.claude_runs import KEY

LIMIT_S = 120


def write(home: Path, strategy: Strategy) -> Strategy:
    """Put a strategy into a home, and return it."""
    folder = home / "strategies" / strategy.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(strategy.config_json()))
    (folder / "agents.json").write_text(json.dumps(strategy.agents_json()))
    return strategy


def arguments(count: int) -> list[str]:
    """Return the command that replays the first moments."""
    options = ["--every", "1h", "--max-usd", "50", "--contaminated", "--json"]
    return ["replay", "dip", "--from", FIRST.isoformat(), "--to", end_of(count).isoformat(), *options]


def variables(home: Path, api_url: str, address: Address) -> dict[str, str]:
    """Return the settings of the command."""
    assert address.token is not None
    return {
        "TRADER_HOME": str(home),
        "TRADER_EXCHANGE": "simulated",
        "TRADER_SERVER_URL": address.url,
        "TRADER_TOKEN": address.token.get_secret_value(),
        "TRADER_MAX_CLAUDE_RUNS": "2",
        "ANTHROPIC_BASE_URL": api_url,
        "ANTHROPIC_API_KEY": KEY,
    }


@contextmanager
def replaying(home: Path, api_url: str, address: Address, count: int) -> Iterator[Warm]:
    """Start the command; it is killed at the end of the block. What it writes lies beside the home."""
    environment = {**os.environ, **variables(home, api_url, address)}
    with open(os.devnull) as nothing, _output(home).open("w") as out, _errors(home).open("a") as errors:
        streams = (nothing.fileno(), out.fileno(), errors.fileno())
        program = Warm("runner", arguments(count), environment, home, streams)
        try:
            yield program
        finally:
            program.kill()
            program.wait(LIMIT_S)


def output_of(home: Path) -> dict[str, Any]:
    """Return what the last command has answered."""
    answer: dict[str, Any] = json.loads(_output(home).read_text())
    return answer


def errors_of(home: Path) -> str:
    """Return what all commands wrote to standard error."""
    return _errors(home).read_text()


def _output(home: Path) -> Path:
    return home.with_name("output")


def _errors(home: Path) -> Path:
    return home.with_name("errors")
