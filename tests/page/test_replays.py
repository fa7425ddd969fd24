"""Replays in a real browser: their runs stand apart from all others, labelled, and their costs beside the rest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.http.conftest import guarded
from tests.page.conftest import NOW
from tests.page.opening import SIZES
from tests.page.test_costs import NO_LIMIT, table
from tests.rigs.browser import PHONE, Browser, OpenPage
from tests.scoring.journal import database_of

ID = "1a2b3c4d"
CONFIG = {"trading_pair": "ETH/USDT", "exchange": "simulated", "interval": "4h", "engine": "claude"}
AGENTS = {"one": {"description": "Looks", "prompt": "Use get_price.", "tools": ["get_price"]}}
ASKED = parse_strategy("asked", {**CONFIG, "synthesis_logic": "Decide."}, AGENTS)
CLEAN = Outcome(
    Status.SUCCESS,
    Signal("BUY", Decimal(60), "It rose.", 100.0),
    cost_usd=Decimal("0.25"),
    recorded_usd=Decimal("0.75"),
    knowledge_cutoff="2026-03",
    contaminated=False,
)


def _replayed(home: Path) -> None:
    """Fill a home with a strategy that never ran, but in a replay: a clean moment, and one that is contaminated."""
    folders, journal = StrategyFolders(Home(home), examples_folder()), Journal(database_of(home), Home(home))
    folders.write(ASKED)
    for days, outcome in ((20, CLEAN), (90, replace(CLEAN, contaminated=True, cost_usd=Decimal(0)))):
        as_of, began = NOW - timedelta(days=days), NOW - timedelta(hours=1)
        run = Run(ASKED, "replay", as_of, "claude", began, "simulated", replay_id=ID)
        journal.finish(journal.claim(run), outcome, began + timedelta(seconds=9))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("replayed")
    _replayed(home)
    with guarded(ServerSettings(home=home, exchange="simulated"), clock=lambda: NOW) as up:
        yield f"http://127.0.0.1:{up.port}/#/"


@SIZES
def test_the_runs_of_a_replay_stand_apart_with_their_costs_and_say_which_of_them_show_no_skill(
    url: str, chromium: Browser, size: tuple[int, int]
) -> None:
    with chromium.open(f"{url}strategy/asked", size, dark=size == PHONE, now=NOW) as opened:
        expect(opened.page.get_by_text("It has not run yet.")).to_be_visible()
        expect(opened.page.get_by_text("claude-trader run asked")).to_be_visible()
        opened.page.get_by_role("button", name="By hand").click()
        expect(opened.page.get_by_text("No run was started by hand.")).to_be_visible()
        opened.page.get_by_role("button", name="Replays").click()
        rows = opened.page.locator("table.runs tbody tr:not(.detail)")
        expect(rows).to_have_count(2)
        contaminated, clean = rows.all_inner_texts()
        assert f"replay {ID} contaminated" in " ".join(contaminated.split())
        assert f"replay {ID}" in " ".join(clean.split())
        assert "contaminated" not in clean
        assert f"{ID}0" not in clean, "a table has 0 where it is false"
        assert ("$0.00" in contaminated, "$0.25" in clean) == (True, True)
        rows.first.get_by_role("button").click()
        detail = opened.page.locator("tr.detail")
        expect(detail).to_contain_text("so this run shows no skill")
        expect(detail).to_contain_text("the model knows the world up to 2026-03 · its replies once cost $0.75")
        assert opened.violations("table.runs") == []
        opened.page.get_by_role("button", name="All runs").click()
        expect(rows).to_have_count(0)
        opened.run("location.hash = '#/costs'")
        what_they_cost_stands_beside_the_rest_and_in_no_budget(opened)
        assert opened.complaints == []
        assert not opened.is_wider_than_the_screen()


def what_they_cost_stands_beside_the_rest_and_in_no_budget(opened: OpenPage) -> None:
    """Assert that of the view of costs."""
    assert table(opened, "Costs by strategy") == {"asked": ["0", "$0.00", "none", NO_LIMIT, "$0.25"]}
    assert table(opened, "Costs by day (UTC)") == {"2026-05-20": ["0", "$0.00", "none", NO_LIMIT, "$0.25"]}
    totals = opened.page.locator("[data-key=totals]").inner_text()
    assert "$0.00 of $5.00" in totals
    assert "$0.25\nat most; beside all this, and in no budget of a day" in totals
    assert opened.violations("main table, [data-key=totals]") == []
