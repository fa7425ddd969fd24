"""A home with an invented record of a strategy by Claude: something to look at before there is a real one."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_server.adapters.simulated import path
from mcp_server.domain.backtest.run import compiled_rules
from mcp_server.domain.candles import iso_times
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, SignalName, SlotRow, Status
from mcp_server.domain.rules.series import SIGNALS
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import from_ms, last_closed_open_ms, parse_moment, timeframe_ms, to_ms
from mcp_server.errors import BadInput, Misconfigured
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.ends import enter_all
from mcp_server.storage.journal.rows import Claimed, Run, ended_run, mirror
from mcp_server.storage.journal.slot_rows import NewRow, insert_slots
from mcp_server.storage.settings import is_set
from mcp_server.storage.strategies.folders import StrategyFolders

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from mcp_server.domain.candles import Candles
    from mcp_server.domain.strategy.strategy import Strategy

NAME = "invented-analyst"
EXCHANGE = "simulated"
MODEL = "invented"
SLOTS = 180
LATE, TOOK = timedelta(seconds=5), timedelta(seconds=20)

_CONFIG: dict[str, Any] = {
    "description": "Invented: no model was ever asked. Its answers are its rules' own, or thrown by dice.",
    "trading_pair": "BTC/USDT", "exchange": EXCHANGE, "interval": "4h", "horizon": "24h", "engine": "claude",
    "synthesis_logic": "BUY when momentum has turned up, SELL in the mirror case, else HOLD.",
    "rules": {"timeframe": "4h", "indicators": ["rsi(14)"], "buy": "rsi_14 < 45", "sell": "rsi_14 > 55"},
}  # fmt: skip
_AGENTS = {
    "momentum": {
        "description": "Says whether momentum has turned",
        "prompt": "Use calculate_rsi with timeframe 4h. Report as JSON.",
        "tools": ["calculate_rsi"],
    }
}


def invented_home(folder: str | Path, *, until: str | datetime, seed: int = 1) -> str:
    """Fill an empty folder with a home in which a strategy by Claude has run for 30 days, and return its name.

    All of it is invented, and says so: the market is the simulated one, the model is called `invented`, and half of its
    answers are those of the strategy's rules, the others are thrown by dice. The same moment and seed give the same.

    Args:
        folder: a folder that is empty, or not there yet.
        until: the last run was at or before this moment.
        seed: of the dice.

    Raises:
        BadInput: the folder is not empty, or `until` is no moment.
        Misconfigured: the folder cannot be written, or TRADER_DATABASE_URL is set: there is the record of real runs.
    """
    root, until_ms = Path(folder).expanduser().absolute(), to_ms(parse_moment(str(until), name="until") - LATE - TOOK)
    if root.exists() and any(root.iterdir()):
        raise BadInput(f"{str(root)!r} is not empty.", "Name another folder: what is invented stays apart.")
    if is_set("TRADER_DATABASE_URL", root):
        raise Misconfigured(
            "TRADER_DATABASE_URL is set: invented runs would stand among the real ones of that database.",
            "Unset it in this program; the journal of what is invented is then in the folder.",
        )
    home, strategy = Home(root), parse_strategy(NAME, _CONFIG, _AGENTS)
    home.prepare()
    StrategyFolders(home, examples_folder()).write(strategy)
    rules = compiled_rules(strategy)
    candles = _candles(strategy, until_ms, SLOTS + rules.history)
    twins = [SIGNALS[code] for code in rules.series(candles).signals().tolist()]
    seen = candles.slice(-SLOTS, None)
    outcomes = _outcomes(seen, twins[-SLOTS:], random.Random(seed))  # noqa: S311 - no secret
    slots = [from_ms(at + timeframe_ms(strategy.timeframe)) for at in seen.open_time_ms.tolist()]
    Database(home.database, prepare=home.prepare).write(partial(_enter, strategy, slots, outcomes))
    return NAME


def _candles(strategy: Strategy, until_ms: int, count: int) -> Candles:
    end_ms = last_closed_open_ms(until_ms, strategy.timeframe) + timeframe_ms(strategy.timeframe)
    market = path.market_of(strategy.config.trading_pair, 0)
    start_ms = end_ms - count * timeframe_ms(strategy.timeframe)
    return path.candles(market, strategy.timeframe, start_ms, end_ms, until_ms)


def _outcomes(candles: Candles, twins: Sequence[SignalName | None], dice: random.Random) -> list[Outcome]:
    """Return what is said at the close of each candle, beside what the rules say there."""
    outcomes = []
    names: tuple[SignalName, ...] = ("BUY", "SELL", "HOLD")
    for twin, close, opened in zip(twins, candles.close.tolist(), iso_times(candles), strict=True):
        signal = dice.choice(names) if twin is None or dice.random() < 0.5 else twin
        data = {"twin": {"signal": twin, "confidence": None, "price": close, "open_time": opened}}
        confidence = Decimal(dice.randrange(45, 66))
        made = Signal(signal, confidence, "Invented: no model was asked.", close, {"sub_agent_results": {}, **data})
        outcomes.append(Outcome(Status.SUCCESS, made, model=MODEL, **NOTHING_SPENT))
    return outcomes


def _enter(
    strategy: Strategy, slots: Sequence[datetime], outcomes: Sequence[Outcome], connection: duckdb.DuckDBPyConnection
) -> None:
    """Enter a run for each slot, as a scheduler does."""
    strategy_id, terms = mirror(connection, strategy, slots[0]), terms_of(strategy, strategy.engine, EXCHANGE)
    rows = [
        NewRow(strategy_id, strategy, terms, SlotRow(Status.RUNNING, slot, slot), f"{MODEL}.{number}")
        for number, slot in enumerate(slots)
    ]
    ids = insert_slots(connection, rows, slots[-1])
    ends = []
    for row, slot, outcome in zip(rows, slots, outcomes, strict=True):
        began = slot + LATE
        run = Run(strategy, "schedule", slot, strategy.engine, began, EXCHANGE)
        ends.append(ended_run(Claimed(ids[row.key], run, row.key, None), outcome, began, began + TOOK))
    enter_all(connection, ends)
