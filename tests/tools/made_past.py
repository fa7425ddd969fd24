"""A home of random runs of every kind, and the same home cut off at a moment, as it was then."""

import atexit
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from mcp_server.domain.schedule.slots import slots
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import naive
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.rows import TERMS, mirror
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.scoring.journal import database_of

NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)
DAYS = 4
RULES = {"timeframe": "1h", "indicators": ["rsi(14)"], "buy": "rsi_14 < 45", "sell": "rsi_14 > 55"}
ASKED = {"engine": "claude", "synthesis_logic": "Decide."}
AGENTS = {"one": {"description": "Looks", "prompt": "Use get_price.", "tools": ["get_price"]}}
NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
VERSIONS: dict[str, list[dict[str, Any]]] = {
    "hourly": [
        {"trading_pair": "BTC/USDT", "interval": "1h", "horizon": "4h", "rules": RULES},
        {"trading_pair": "BTC/USDT", "interval": "30m", "horizon": "4h", "rules": RULES},
    ],
    "asked": [{"trading_pair": "ETH/USDT", "interval": "4h", "horizon": "8h", **ASKED}],
    "nightly": [
        {"trading_pair": "SOL/USDT", "rules": RULES, **NIGHTLY},
        {"trading_pair": "SOL/USDT", "rules": RULES, **NIGHTLY, "status": "paused"},
    ],
}
RAN = ("success", "success", "success", "abstained", "error", "timeout")
NOT_RUN = ("skipped_overlap", "skipped_stale", "missed")

Row = dict[str, Any]


@dataclass
class MadePast:
    """A home, when each version of its strategies was written, and its runs in the order of their ids."""

    root: Path
    versions: list[tuple[datetime, Strategy]] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)


def made_past(root: Path, seed: int) -> MadePast:
    """Fill an empty home with what may have happened in the days before `NOW`: a copy of what is made up once."""
    made = _made_once(seed)
    shutil.copytree(made.root, root, symlinks=True, dirs_exist_ok=True)
    return MadePast(root, [*made.versions], [{**row} for row in made.runs])


@cache
def _made_once(seed: int) -> MadePast:
    folder = tempfile.TemporaryDirectory(prefix="made-past-")
    atexit.register(folder.cleanup)
    return _made(Path(folder.name), seed)


def _made(root: Path, seed: int) -> MadePast:
    dice, made = random.Random(seed), MadePast(root)  # noqa: S311 (no secret)
    plans = [plan for name in VERSIONS for plan in _plans(made, name, dice)]
    plans.sort(key=lambda plan: plan[1]["started_at"])

    def work(connection: Any) -> None:
        for number, (strategy, row) in enumerate(plans, 1):
            at = row["started_at"].replace(tzinfo=UTC)
            terms = dict(zip(TERMS, astuple(terms_of(strategy, strategy.engine, "simulated")), strict=True))
            row |= {"id": number, "strategy_id": mirror(connection, strategy, at), "run_key": f"key{number}", **terms}
            row |= {"strategy_version": strategy.version, "engine": strategy.engine}
            _insert(connection, "executions", row)
            if row["status"] == "success":
                _insert(connection, "analysis_results", _signal(dice, row))
            made.runs.append(row)

    database_of(root).write(work)
    return made


def _plans(made: MadePast, name: str, dice: random.Random) -> Iterator[tuple[Strategy, Row]]:
    """Write the versions of a strategy, and yield what became of its slots, and runs by hand."""
    begin = NOW - timedelta(days=DAYS)
    times = sorted(begin + dice.random() * timedelta(days=DAYS - 1) for _ in VERSIONS[name])
    for at, until, config in zip(times, [*times[1:], NOW], VERSIONS[name], strict=True):
        agents = AGENTS if "engine" in config else None
        strategy = parse_strategy(name, {"exchange": "simulated", **config}, agents)
        made.versions.append((at, strategy))
        _write(made.root, strategy, at)
        rows = [_of_slot(dice, slot) for slot in _due(strategy, at, until)]
        for row in [*rows, _by_hand(dice, at + dice.random() * (until - at))]:
            if row["started_at"] < naive(NOW):
                yield strategy, _paid(dice, row) if agents else {**row, "cost_usd": Decimal(0)}


def _due(strategy: Strategy, after: datetime, until: datetime) -> Iterator[datetime]:
    due = slots(strategy.config, after) if strategy.config.status == "active" else iter(())
    return takewhile(until.__gt__, due)


def _write(root: Path, strategy: Strategy, at: datetime) -> None:
    """Write a strategy as if it had been written at a moment."""
    StrategyFolders(Home(root), examples_folder()).write(strategy)
    folder = root / "strategies" / strategy.name
    for part in (folder, *folder.iterdir()):
        os.utime(part, (at.timestamp(), at.timestamp()))


def _of_slot(dice: random.Random, slot: datetime) -> Row:
    """Return the row of a slot: most ran, some with a late answer; some waited in vain; three may be missed at once."""
    claimed, kind, first = slot + timedelta(seconds=dice.choice([5, 5, 400])), dice.random(), slot
    if kind < 0.75:
        status, took = dice.choice(RAN), dice.choice([1, 13, 600, 2_000])
    elif kind < 0.85:
        status, took = dice.choice(["skipped_budget", "skipped_gate"]), 45
    else:
        status, took = dice.choice(NOT_RUN), 0
    if status == "missed":
        first, claimed = slot - timedelta(hours=1), slot + timedelta(minutes=dice.randrange(1, 25))
    times = {"as_of": naive(slot), "scheduled_at": naive(first), "scheduled_until": naive(slot)}
    return {**_row("schedule", status, claimed, took), **times, "slots": 2 if status == "missed" else 1}


def _by_hand(dice: random.Random, at: datetime) -> Row:
    return {**_row("manual", dice.choice(RAN), at, dice.choice([3, 900])), "as_of": naive(at), "slots": 1}


def _row(trigger: str, status: str, began: datetime, took_s: int) -> Row:
    ended = began + timedelta(seconds=took_s)
    if ended > NOW:
        return {"trigger": trigger, "status": "running", "started_at": naive(began), "completed_at": None}
    why = None if status == "success" else f"Why it ended as {status}."
    ends = {"completed_at": naive(ended), "error_message": why}
    return {"trigger": trigger, "status": status, "started_at": naive(began), **ends}


def _paid(dice: random.Random, row: Row) -> Row:
    """Add what a run by Claude cost, known or unknown, and when that was allowed, if there were limits."""
    if row["status"] in (*NOT_RUN, "skipped_budget", "skipped_gate"):
        return {**row, "cost_usd": Decimal(0)}
    ended, reserved = row["completed_at"], dice.choice([Decimal("0.25"), Decimal("0.25"), None])
    allowed = row["started_at"] + timedelta(seconds=dice.choice([0, 300]))
    allowed = min(allowed, ended or naive(NOW)) if reserved else None
    cost = dice.choice([None, Decimal(dice.randrange(1, 400)) / 1000]) if ended else None
    told = {"model": "a-model", "tokens_used": 5, "trace": "{}"} if ended else {}
    return {**row, "cost_usd": cost, "reserved_usd": reserved, "reserved_at": allowed, **told}


def _signal(dice: random.Random, row: Row) -> Row:
    about = {"execution_id": row["id"], "strategy_id": row["strategy_id"], "timestamp": row["as_of"]}
    signal = {"signal": dice.choice(["BUY", "SELL", "HOLD"]), "confidence": dice.choice([None, 55, 70])}
    return {**about, **signal, "reasoning": f"Reason {row['id']}", "price": 100, "data": "{}", "execution_time_ms": 5}


def _insert(connection: Any, table: str, row: Row) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(row))})", [*row.values()])


LATER = (
    "DELETE FROM executions WHERE started_at > $1",
    "UPDATE executions SET reserved_usd = NULL, reserved_at = NULL WHERE reserved_at > $1",
    "UPDATE executions SET status = 'running', completed_at = NULL, error_message = NULL, tokens_used = NULL, "
    "cost_usd = NULL, model = NULL, trace = NULL WHERE completed_at > $1",
    "DELETE FROM analysis_results WHERE execution_id NOT IN (SELECT id FROM executions WHERE completed_at <= $1)",
    "DELETE FROM outcomes WHERE exit_time > CAST($1 AS TIMESTAMP) - INTERVAL 10 MINUTE",
)
"""What takes from a journal all that came later than a moment."""


def cut_off(made: MadePast, root: Path, moment: datetime) -> None:
    """Make the home as it was: nothing that was written later is in it, and runs under way are so again."""
    Home(root).prepare()
    shutil.copy(Home(made.root).database, Home(root).database)
    database_of(root).write(lambda connection: [connection.execute(one, [naive(moment)]) for one in LATER])
    for at, strategy in made.versions:
        if at <= moment:
            _write(root, strategy, at)
