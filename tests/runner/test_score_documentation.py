"""The commands of the page on performance, as a reader types them one after the other."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.app import build_server
from mcp_server.domain.scoring import pace
from mcp_server.domain.scoring.base_rate import HORIZONS
from mcp_server.domain.scoring.window import smallest_edge
from mcp_server.http.serve import mcp_app
from mcp_server.settings import ServerSettings
from tests.rigs.loopback import served
from tests.runner.conftest import Done, trader_in
from tests.scoring.test_pace import standing
from tests.structure.outcome_picture import COST, DECIDED, judged

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "performance.md").read_text()
EVIDENCE = (ROOT / "docs" / "explanation" / "evidence.md").read_text()
RUNNING = (ROOT / "docs" / "guides" / "running.md").read_text()
LAST = ("score", "rsi-reversion", "--runs", "manual")


def commands(text: str) -> list[list[str]]:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines if line.startswith("claude-trader ")]
    return [arguments for _, *arguments in split if arguments[0] in ("run", "score")]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, ...], Done]]:
    """What each command says, in the order of the page; the last one also as JSON, and as of the picture's day."""
    home = tmp_path_factory.mktemp("reader")
    run = trader_in(home)
    as_of = ("--as-of", "2026-04-30", "--since", "2026-04-28")
    typed = [*commands(PAGE), [*LAST, "--json"], [*LAST, *as_of, "--json"]]
    with served(mcp_app(build_server(ServerSettings(home=home)))) as url:
        yield {tuple(arguments): run(*arguments, TRADER_SERVER_URL=f"{url}/mcp") for arguments in typed}


def test_every_command_of_the_documentation_does_what_it_says(said: dict[tuple[str, ...], Done]) -> None:
    assert [(done.code, done.err) for done in said.values()] == [(0, "")] * len(said)
    assert len(said) == 8
    assert {tuple(arguments) for arguments in commands(RUNNING) if arguments[0] == "score"} <= set(said)
    assert "Only 2 judged signals are too few to say." in said[LAST].out
    assert re.search(r"^  right +1  of 2: they gained after costs$", said[LAST].out, re.MULTILINE)


def test_the_picture_shows_the_signal_that_the_page_runs(said: dict[tuple[str, ...], Done]) -> None:
    as_of = DECIDED.strftime("%Y-%m-%dT%H:%MZ")
    assert said["run", "rsi-reversion", "--as-of", as_of].out.startswith("BUY")
    (score,) = (done.json for arguments, done in said.items() if "--since" in arguments)
    assert (score["judged"], score["right"], score["cost_bps"]) == (1, 1, COST * 10_000)
    assert abs(score["mean_net_pct"] - 100 * (judged().r - COST)) < 1e-5
    assert score["horizon_s"] == 24 * 3600


def test_the_page_says_after_how_many_signals_skill_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r"^\| (\d+) points \| ([\d,]+) \|$", EVIDENCE, re.MULTILINE)
    assert len(rows) == 4
    for points, signals in rows:
        monkeypatch.setattr(pace, "EDGE", int(points) / 100)
        needed = pace.time_to_show(standing(0.476, HORIZONS), 0.476, per_day=1.0).outcomes
        assert needed == pytest.approx(int(signals.replace(",", "")), rel=0.03)


def test_the_page_says_which_edge_a_window_shows() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (?:(\d+) points|none.*) \|$", EVIDENCE, re.MULTILINE)
    assert len(rows) == 7
    for signals, points in rows:
        shown = smallest_edge(int(signals.replace(",", "")), 0.476, HORIZONS)
        assert shown == (int(points) if points else None)
