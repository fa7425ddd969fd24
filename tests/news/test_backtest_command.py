"""`claude-trader backtest` of rules that look at news: the same as the tool computes, and a sweep over hours."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcp_server.app import make_kit, tool_files
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import from_ms, iso, timeframe_ms, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.strict_tool import StrictTool
from mcp_server.trader.trader import Trader
from runner.backtest import grid
from runner.backtest.backtest import run
from runner.backtest.request import Options
from runner.cli.context import Context
from tests.news.collected import HOUR_MS, collect, database_of, every_half_hour
from tests.rigs.random_walk import START_MS, random_walk
from tests.tools.conftest import in_this_process

CANDLES = 300
START, END = (from_ms(START_MS + hours * timeframe_ms("1h")) for hours in (200, CANDLES))
RULES = {"indicators": ["news_per_hour(6)", "fear_greed"], "buy": "news_per_hour_6 > 0.1", "sell": "fear_greed > 60"}
CONFIG: dict[str, Any] = {"trading_pair": "BTC/USD", "exchange": "coinbase", "interval": "1h", "rules": RULES}

assert in_this_process


@pytest.fixture
def filled(home: Path) -> Path:
    """A home with candles, a strategy, and news of a part of that time."""
    store = CandleStore(database_of(home))
    candles = random_walk(CANDLES)
    store.save(Series("coinbase", "BTC/USD", "1h"), candles, (START_MS, to_ms(END)), begins=True, replace=True)
    StrategyFolders(Home(home), examples_folder()).write(parse_strategy("mine", CONFIG, None))
    since = START + timedelta(hours=20)
    stories = [
        (to_ms(since) + hours * HOUR_MS, [f"Bitcoin story {hours} of its own kind"]) for hours in (9, 25, 26, 61)
    ]
    indices = [(to_ms(since) + hours * HOUR_MS + 7, value) for hours, value in ((1, 30.0), (25, 65.0), (49, 20.0))]
    collect(home, [*every_half_hour(since, END), *stories, *indices])
    return home


def command(**options: Any) -> dict[str, Any]:
    return run(Context(), Options(name="mine", start=START, end=END, **options), Console(quiet=True))


@pytest.mark.long
@pytest.mark.usefixtures("in_this_process")
async def test_the_command_computes_what_the_tool_does(filled: Path) -> None:
    """In `make test`, `tests/runner/test_backtest.py` compares them without news, and the next test has news."""
    kit = make_kit(ServerSettings(home=filled), tool_files(), clock=lambda: datetime.now(UTC))
    tool = StrictTool.of(tool_files()["backtest_strategy"], kit)
    asked = {"strategy_name": "mine", "start": iso(to_ms(START)), "end": iso(to_ms(END))}
    answer = (await tool.answer(asked, {}, 60)).structured()
    await kit.close()
    with Trader(filled) as trader:
        report = trader.backtest("mine", start=START, end=END)
    told = command()
    assert report.figures["note"] is None, "simulated again, it comes out the same"
    assert report.figures["signals"] == answer["signals"]
    assert told["without_news"] == answer["without_news"] == 26
    assert told["signals"] == answer["signals"]
    assert told["signals"]["buy"] > 5 < told["signals"]["sell"]
    assert told["return_pct"] == answer["return_pct"]
    assert told["summary"][-1].startswith("News has been collected since")
    assert told["look_ahead"]["changed"] == answer["look_ahead"]["changed"] == 0


@pytest.mark.usefixtures("filled")
def test_a_sweep_over_hours_has_the_news_of_each_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "processes", lambda _workers: ThreadPoolExecutor(1))
    told = command(vary=("news_per_hour(6)=news_per_hour(3),news_per_hour(12)",))
    rows = {row["variant"]: row for row in told["variants"]}
    assert {row["error"] for row in rows.values()} == {None}
    assert len({row["return_pct"] for row in rows.values()}) == 3
    assert rows["as it is"]["return_pct"] == command()["return_pct"]
