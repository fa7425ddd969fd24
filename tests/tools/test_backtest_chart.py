"""`draw_chart` and `backtest_strategy` with a backtest_id: the recorded backtest, simulated anew from its candles."""

import base64
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from mcp import Client
from mcp_types import ImageContent
from PIL import Image

from mcp_server.app import build_server
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_simulation
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import timeframe_ms, to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.backtests import BacktestRow, Backtests, Family
from tests.rigs.random_walk import START_MS, random_walk
from tests.tools.conftest import NOW, Ask, Told, answer_of

CONFIG = {
    "trading_pair": "BTC/USD",
    "interval": "1h",
    "rules": {"indicators": ["ema(10)"], "buy": "crosses_above(close, ema_10)", "sell": "crosses_below(close, ema_10)"},
}
SERIES = Series("coinbase", "BTC/USD", "1h")
WALK = random_walk(1_500)
START = datetime.fromtimestamp((START_MS + 500 * timeframe_ms("1h")) / 1000, UTC)
END = datetime.fromtimestamp((START_MS + 1_500 * timeframe_ms("1h")) / 1000, UTC)
MADE = END + timedelta(hours=3)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    return ServerSettings(home=tmp_path_factory.mktemp("home"), exchange="simulated")


@pytest.fixture(scope="module")
def database(settings: ServerSettings) -> Database:
    """The home's database, which has all candles."""
    database = Database(Home(settings.home).database, prepare=Home(settings.home).prepare)
    keep(database, WALK)
    return database


@pytest.fixture(scope="module")
async def client(settings: ServerSettings) -> AsyncIterator[Client]:
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        yield client


def keep(database: Database, candles: Candles) -> None:
    CandleStore(database).save(SERIES, candles, (START_MS, to_ms(END)), begins=True, replace=True)


def record(database: Database, **others: Any) -> int:
    """Enter a backtest as it is computed from the candles."""
    assumed = Assumptions(side="both", fee_bps=7.0, slippage_bps=3.0, stake_pct=40.0)
    task = BacktestTask(
        parse_strategy("cross", CONFIG, None), "coinbase", "BTC/USD", WALK, to_ms(START), to_ms(END), assumed
    )
    equity = run_simulation(task).simulation.equity
    row = {
        "family": Family("coinbase", "BTC/USD", "cross"), "decision_version": "0", "config": CONFIG, "start": START,
        "end": END, "side": "both", "fee_bps": 7.0, "slippage_bps": 3.0, "stake_pct": 40.0, "sharpe_per_period": None,
        "figures": {"return_pct": float(f"{equity[-1] * 100 - 100:.10g}"), "candles": 1_000}, "created_at": MADE,
    }  # fmt: skip
    (entered,) = Backtests(database).record([BacktestRow(**{**row, **others})])
    return entered.id


async def test_the_picture_is_of_the_recorded_backtest_and_the_text_says_what_it_shows(
    client: Client, database: Database
) -> None:
    backtest_id = record(database)
    result = await client.call_tool("draw_chart", {"backtest_id": backtest_id})
    facts = answer_of(result)
    (image,) = [block for block in result.content if isinstance(block, ImageContent)]
    assert Image.open(io.BytesIO(base64.b64decode(image.data))).size[0] == 1_200
    assert facts["backtest_id"] == backtest_id
    names = ("strategy_name", "symbol", "exchange", "timeframe", "start", "end", "candles")
    assert {name: facts[name] for name in names} == {
        "strategy_name": "cross", "symbol": "BTC/USD", "exchange": "coinbase", "timeframe": "1h",
        "start": "2026-01-21T20:00Z", "end": "2026-03-04T12:00Z", "candles": 1_000,
    }  # fmt: skip
    assert facts["trades"] > 50
    held = WALK.close[500:]
    assert facts["buy_and_hold_pct"] == pytest.approx(float(held[-1] / held[0] - 1) * 100)
    assert "note" not in facts
    assert f"{facts['trades'] + 1} trades" in facts["drawn"] or f"{facts['trades']} trades" in facts["drawn"]


@pytest.mark.usefixtures("in_this_process")
async def test_what_backtest_strategy_has_recorded_is_drawn_with_the_figures_of_its_answer(ask: Ask) -> None:
    told = await ask(
        "backtest_strategy", strategy_name="rsi-reversion", start="2026-02-01T00:00Z", end="2026-05-01T00:00Z"
    )
    facts = await ask("draw_chart", backtest_id=told["backtest_id"])
    assert "note" not in facts
    for name in ("start", "end", "candles", "trades", "symbol", "exchange", "timeframe", "strategy_name"):
        assert facts[name] == told[name], name
    for name in ("return_pct", "buy_and_hold_pct", "max_drawdown_pct"):
        assert facts[name] == told[name], f"{name}: the same to the last digit"


@pytest.mark.usefixtures("in_this_process")
async def test_a_recorded_backtest_is_told_again_with_its_curve_and_trades_and_counts_no_trial(
    ask: Ask, database: Database
) -> None:
    range_ = {"start": "2026-02-01T00:00Z", "end": "2026-05-01T00:00Z"}
    told = await ask("backtest_strategy", strategy_name="rsi-reversion", **range_, trades=500)
    rows = "SELECT count(*) FROM backtests"
    before = database.read(lambda connection: connection.execute(rows).fetchone())
    again = await ask("backtest_strategy", backtest_id=told["backtest_id"], trades=500)
    assert database.read(lambda connection: connection.execute(rows).fetchone()) == before
    curve = again.pop("curve")
    assert again == told
    assert len(curve) <= 400
    assert curve[-1][0] == told["end"]
    assert curve[-1][1:3] == pytest.approx([told["return_pct"], told["buy_and_hold_pct"]], rel=1e-5)
    assert max(row[3] for row in curve) == pytest.approx(told["max_drawdown_pct"], rel=1e-5)
    assert [row[0] for row in curve] == sorted(row[0] for row in curve)
    alone = await ask("backtest_strategy", backtest_id=told["backtest_id"])
    assert "rows" not in alone
    assert alone["summary"] == told["summary"]


async def test_the_curve_of_a_recorded_backtest_is_its_equity_at_closes(ask: Ask, database: Database) -> None:
    task = BacktestTask(
        parse_strategy("cross", CONFIG, None), "coinbase", "BTC/USD", WALK, to_ms(START), to_ms(END),
        Assumptions(side="both", fee_bps=7.0, slippage_bps=3.0, stake_pct=40.0),
    )  # fmt: skip
    equity = run_simulation(task).simulation.equity
    again = await ask("backtest_strategy", backtest_id=record(database))
    assert "note" not in again
    peak, place = 1.0, {}
    for number, value in enumerate(equity.tolist()):
        peak = max(peak, value)
        held = WALK.close[500 + number] / WALK.close[500]
        place[START_MS + (501 + number) * timeframe_ms("1h")] = (value - 1, held - 1, 1 - value / peak)
    for time, *values in again["curve"]:
        expected = place[to_ms(datetime.fromisoformat(time))]
        assert values == pytest.approx([100 * value for value in expected], rel=1e-5, abs=1e-9)
    lowest = min(value for value, *_ in place.values())
    assert min(row[1] for row in again["curve"]) == pytest.approx(100 * lowest, rel=1e-5)


async def test_beside_a_recorded_backtest_nothing_else_is_taken_and_no_later_one_is_told(
    ask: Ask, database: Database, settings: ServerSettings
) -> None:
    backtest_id = record(database)
    with pytest.raises(Told, match="told without end, strategy_name"):
        await ask("backtest_strategy", backtest_id=backtest_id, strategy_name="cross", end="2026-01-01")
    earlier = settings.model_copy(update={"as_of": MADE - timedelta(seconds=1)})
    async with Client(build_server(earlier, clock=lambda: NOW)) as client:
        result = await client.call_tool("backtest_strategy", {"backtest_id": backtest_id})
    with pytest.raises(Told, match=f"no backtest {backtest_id}"):
        answer_of(result)


async def test_a_backtest_of_the_rules_of_a_claude_strategy_is_drawn(ask: Ask, database: Database) -> None:
    of_rules = await ask("draw_chart", backtest_id=record(database))
    of_claude = await ask("draw_chart", backtest_id=record(database, config={**CONFIG, "engine": "claude"}))
    assert of_claude["return_pct"] == of_rules["return_pct"]


async def test_a_record_whose_rules_are_not_valid_any_more_is_refused(ask: Ask, database: Database) -> None:
    for config, problem in (({**CONFIG, "unheard": 1}, "unheard"), ({**CONFIG, "rules": None}, "rules")):
        with pytest.raises(Told, match=problem):
            await ask("draw_chart", backtest_id=record(database, config=config))


async def test_side_costs_and_stake_are_those_of_the_record(ask: Ask, database: Database) -> None:
    own = await ask("draw_chart", backtest_id=record(database))
    dear = await ask("draw_chart", backtest_id=record(database, fee_bps=50.0))
    long = await ask("draw_chart", backtest_id=record(database, side="long"))
    assert "note" not in own
    assert dear["return_pct"] < own["return_pct"] - 1
    assert long["trades"] < own["trades"]
    assert (await ask("draw_chart", backtest_id=record(database, stake_pct=None)))["return_pct"] != own["return_pct"]


async def test_a_backtest_from_the_first_candle_on_lacks_nothing(ask: Ask, database: Database) -> None:
    """There are no candles before it that could prepare its indicators."""
    first = datetime.fromtimestamp(START_MS / 1000, UTC)
    assert "note" not in await ask("draw_chart", backtest_id=record(database, start=first, figures={}))


async def test_where_candles_have_changed_since_the_answer_says_so_with_both_figures(
    ask: Ask, database: Database
) -> None:
    backtest_id = record(database)
    before = await ask("draw_chart", backtest_id=backtest_id)
    kept = np.delete(np.arange(len(WALK)), np.arange(900, 950))
    columns = (column[kept] for column in (WALK.open, WALK.high, WALK.low, WALK.close, WALK.volume))
    keep(database, Candles(WALK.open_time_ms[kept], *columns))
    other = record(database, family=Family("coinbase", "BTC/USD", "other"))
    after = await ask("draw_chart", backtest_id=other)
    assert (await ask("backtest_strategy", backtest_id=other))["note"] == after["note"]
    keep(database, WALK)
    assert after["return_pct"] != pytest.approx(before["return_pct"], rel=1e-6)
    assert f"its return was {before['return_pct']:.6g} %" in after["note"]
    assert f"it comes out as {after['return_pct']:.6g} % today" in after["note"]
    assert "1,000 candles then and 950 now" in after["note"]


async def test_a_backtest_made_later_than_the_as_of_is_not_there(ask: Ask, database: Database) -> None:
    backtest_id = record(database)
    with pytest.raises(Told, match=f"no backtest {backtest_id}"):
        await ask("draw_chart", backtest_id=backtest_id, as_of=(MADE - timedelta(seconds=1)).isoformat())
    assert (await ask("draw_chart", backtest_id=backtest_id, as_of=MADE.isoformat()))["candles"] == 1_000
    for missing in (backtest_id + 1, 10**15):
        with pytest.raises(Told, match=f"no backtest {missing}"):
            await ask("draw_chart", backtest_id=missing)


@pytest.mark.parametrize(
    ("name", "value"), [("limit", 120), ("indicators", ["ema(50)", "rsi(14)"]), ("divergence_of", "rsi(14)")]
)
async def test_what_would_be_ignored_beside_a_backtest_is_refused(
    ask: Ask, database: Database, name: str, value: Any
) -> None:
    with pytest.raises(Told, match=f"drawn whole, without {name}"):
        await ask("draw_chart", backtest_id=record(database), **{name: value})


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("symbol", "BTC/USD", "ETH/USD"),
        pytest.param("exchange", "coinbase", "kraken", marks=pytest.mark.long),
        pytest.param("timeframe", "1h", "4h", marks=pytest.mark.long),
        pytest.param("strategy_name", "cross", "cro-ss", marks=pytest.mark.long),
    ],
)
async def test_what_says_the_same_as_the_backtest_is_taken_and_what_contradicts_it_is_refused(
    ask: Ask, database: Database, name: str, same: str, other: str
) -> None:
    backtest_id = record(database)
    assert (await ask("draw_chart", backtest_id=backtest_id, **{name: same}))["candles"] == 1_000
    with pytest.raises(Told, match=f"has {name} '{same}', not '{other}'.*Leave {name} out"):
        await ask("draw_chart", backtest_id=backtest_id, **{name: other})


async def test_null_and_blank_for_what_is_not_given_change_nothing(ask: Ask, database: Database) -> None:
    others = {"symbol": "", "limit": None, "indicators": None, "divergence_of": " ", "strategy_name": None}
    assert (await ask("draw_chart", backtest_id=record(database), **others))["candles"] == 1_000


async def test_without_a_symbol_and_a_backtest_there_is_nothing_to_draw(ask: Ask) -> None:
    with pytest.raises(Told, match="Neither symbol nor backtest_id"):
        await ask("draw_chart")


async def test_the_theme_is_honoured(client: Client, database: Database) -> None:
    backtest_id = record(database)
    pictures = []
    for theme in ("dark", "light"):
        result = await client.call_tool("draw_chart", {"backtest_id": backtest_id, "theme": theme})
        (image,) = [block for block in result.content if isinstance(block, ImageContent)]
        pictures.append(Image.open(io.BytesIO(base64.b64decode(image.data))).getpixel((2, 2)))
    assert pictures == [(0x10, 0x14, 0x1D), (0xFF, 0xFF, 0xFF)]


async def test_a_backtest_of_the_invented_market_says_so(ask: Ask, database: Database) -> None:
    simulated = {
        "family": Family("simulated", "BTC/USDT", "draft"), "config": {**CONFIG, "trading_pair": "BTC/USDT"},
        "start": NOW - timedelta(days=40), "end": NOW - timedelta(days=2), "created_at": NOW - timedelta(days=1),
    }  # fmt: skip
    facts = await ask("draw_chart", backtest_id=record(database, **simulated))
    assert facts["simulated"] is True
    assert "invented prices" in facts["drawn"]
    assert facts["strategy_name"] == "draft"
