"""The pictures in the documentation: charts of the invented market at a moment that stands still, and the page.

python -m tests.structure.pictures                    draws them anew
python -m tests.structure.pictures --real FOLDER      draws divergences on the recorded candles beside the checkout
"""

import base64
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import ImageContent

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.import_file import import_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.backtests import BacktestRow, Family
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.hourly_candles import RECORDED
from tests.structure.outcome_picture import draw_outcome
from tests.structure.page_pictures import FOLDER as PAGE_FOLDER
from tests.structure.page_pictures import draw_pages

FOLDER = Path(__file__).parents[2] / "docs" / "charts"
NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)

REAL_PICTURES: dict[str, dict[str, Any]] = {
    f"real-divergences-{as_of[:10]}.png": {
        "symbol": "BTC/USD",
        "exchange": "coinbase",
        "timeframe": timeframe,
        "as_of": as_of,
        "indicators": [],
        "divergence_of": oscillator,
    }
    for as_of, timeframe, oscillator in (
        ("2017-12-22T00:00Z", "1h", "rsi(14)"),
        ("2018-11-26T00:00Z", "1h", "macd(12,26,9).hist"),
        ("2019-06-28T00:00Z", "1h", "mfi(14)"),
    )
}

STRATEGY = "rsi-reversion"
SLOTS = 120
"""So many of its slots, four hours apart, are run before the picture of its signals is drawn."""

PICTURES: dict[str, dict[str, Any]] = {
    "bands-dark.png": {"symbol": "BTC/USDT", "indicators": ["bbands(20)", "ema(20) of volume", "rsi(14)", "macd"]},
    "patterns-light.png": {
        "symbol": "PEPE/USDT",
        "timeframe": "4h",
        "limit": 90,
        "theme": "light",
        "indicators": ["supertrend", "ema(200)", "stoch", "cdlengulfing", "cdlhammer"],
    },
    "signals-dark.png": {
        "symbol": "BTC/USDT",
        "timeframe": "4h",
        "as_of": "2026-05-08T12:17Z",
        "indicators": ["ema(50)", "rsi(14)"],
        "strategy_name": STRATEGY,
    },
    "divergences-dark.png": {
        "symbol": "ETH/USDT",
        "limit": 100,
        "indicators": [],
        "divergence_of": "rsi(14)",
    },
    "backtest-dark.png": {"backtest_id": 1},
}
"""Of docs/guides/charts.md: name → what `draw_chart` is asked for."""

OUTCOME = "outcome-dark.png"
"""Of docs/guides/performance.md."""


async def draw_all(folder: Path) -> None:
    """Draw every picture into a folder."""
    with tempfile.TemporaryDirectory() as home:
        async with Client(
            build_server(ServerSettings(home=Path(home), exchange="simulated"), clock=lambda: NOW)
        ) as client:
            await _run(client, Home(Path(home)), datetime.fromisoformat(PICTURES["signals-dark.png"]["as_of"]))
            _record(Home(Path(home)))
            await _draw(client, PICTURES, folder)
    (folder / OUTCOME).write_bytes(draw_outcome())


async def draw_real(folder: Path) -> None:
    """Draw divergences on recorded candles into a folder; the exchange is not asked for anything."""
    with tempfile.TemporaryDirectory() as home:
        database = Database(Home(Path(home)).database, prepare=Home(Path(home)).prepare)
        import_candle_file(CandleStore(database), RECORDED, Series("coinbase", "BTC/USD", "1h"), NOW)
        async with Client(
            build_server(ServerSettings(home=Path(home), exchange="coinbase"), clock=lambda: NOW)
        ) as client:
            await _draw(client, REAL_PICTURES, folder)


async def _draw(client: Client, pictures: dict[str, dict[str, Any]], folder: Path) -> None:
    for name, arguments in pictures.items():
        result = await client.call_tool("draw_chart", arguments)
        assert not result.is_error, result.content
        (image,) = [block for block in result.content if isinstance(block, ImageContent)]
        (folder / name).write_bytes(base64.b64decode(image.data))


def _record(home: Home) -> None:
    """Enter a backtest of the strategy over half a year."""
    strategy = StrategyFolders(home, examples_folder()).read(STRATEGY)
    row = BacktestRow(
        family=Family("simulated", strategy.config.trading_pair, STRATEGY),
        decision_version=strategy.decision_version("simulated"),
        config=strategy.config_json(),
        start=NOW - timedelta(days=180),
        end=NOW,
        side="long",
        fee_bps=strategy.config.costs.fee_bps,
        slippage_bps=strategy.config.costs.slippage_bps,
        stake_pct=None,
        sharpe_per_period=None,
        figures={},
        created_at=NOW,
    )
    Journal(Database(home.database, prepare=home.prepare), home).backtests.record([row])


async def _run(client: Client, home: Home, until: datetime) -> None:
    """Run the strategy at each of its slots and record what it said, oldest first."""
    strategy = StrategyFolders(home, examples_folder()).read(STRATEGY)
    journal = Journal(Database(home.database, prepare=home.prepare), home)
    last = until.replace(hour=until.hour // 4 * 4, minute=0, second=5)
    for slot in reversed(range(SLOTS)):
        as_of = last - timedelta(hours=4 * slot)
        asked = {"strategy_name": STRATEGY, "as_of": as_of.isoformat()}
        said = (await client.call_tool("evaluate_strategy", asked)).structured_content
        assert said is not None
        if said["signal"] != "HOLD":
            signal = Signal(said["signal"], Decimal(60), said["reasoning"], said["price"])
            run = journal.claim(Run(strategy, "replay", as_of, "rules", NOW))
            journal.finish(run, Outcome(Status.SUCCESS, signal), NOW)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--real", to]:
            anyio.run(draw_real, Path(to))
        case _:
            anyio.run(draw_all, FOLDER)
            draw_pages(PAGE_FOLDER)
