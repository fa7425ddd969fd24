"""A home with strategies by rules, its slots told row by row, and the moments of one morning."""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from mcp_server.domain.outcome import Outcome, Signal, SlotRow, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.budget import spent as spent_in
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.journal.slot_rows import StoredSchedule
from mcp_server.storage.journal.slots import Change, Claim, SlotStore
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.journal_databases import journal_database

HELD = Outcome(Status.SUCCESS, Signal("HOLD", None, "still"), tokens_used=0, cost_usd=Decimal(0))


def spent(database: Database, since: datetime, until: datetime) -> Spent:
    """Return what budgets count in [since, until)."""
    return database.read(lambda connection: spent_in(connection, since, until))


def at(text: str) -> datetime:
    """Give a moment of 5 January 2026, UTC, by its time; with a day, `07T12:00`, of that month."""
    day, _, time = text.rpartition("T")
    return datetime.fromisoformat(f"2026-01-{day or '05'}T{time}").replace(tzinfo=UTC)


def strategy(name: str = "s", **config: Any) -> Strategy:
    return parse_strategy(
        name, {"trading_pair": "BTC/USD", "rules": {"timeframe": "1h", "buy": "close > 1"}, **config}, None
    )


def hourly(name: str = "s", **config: Any) -> Strategy:
    return strategy(name, interval="1h", **config)


def write(home: Path, what: Strategy | str, changed_at: datetime | None = None) -> None:
    """Write a strategy's folder by hand, or break the one of a name; it looks as if done at a moment, None: now."""
    folder = home / "strategies" / (what if isinstance(what, str) else what.name)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    file.write_text("{" if isinstance(what, str) else json.dumps(what.config_json()))
    if changed_at is not None:
        os.utime(file, (changed_at.timestamp(), changed_at.timestamp()))


def claim(what: Strategy, after: str, run: str | None, *passed: SlotRow) -> Claim:
    return Claim(what, at(after), None if run is None else at(run), passed)


def missed(first: str, last: str | None = None, slots: int = 1) -> SlotRow:
    return SlotRow(Status.MISSED, at(first), at(last or first), slots, "Nothing ran.")


@dataclass
class Machine:
    """One home as one process has it."""

    root: Path
    patience_s: float = 10.0
    home: Home = field(init=False)
    database: Database = field(init=False)
    journal: Journal = field(init=False)
    slot_store: SlotStore = field(init=False)
    folders: StrategyFolders = field(init=False)

    def __post_init__(self) -> None:
        self.home = Home(self.root)
        self.database = journal_database(self.root, self.patience_s)
        self.journal = Journal(self.database, self.home)
        self.slot_store = SlotStore(self.database, self.home)
        self.folders = StrategyFolders(self.home, self.root / "no-examples")

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.database.read(lambda connection: connection.execute(sql, [*values]).fetchall())

    def adopt(self, what: Strategy, since: datetime) -> None:
        """Note a strategy as scheduled from a moment on."""
        standing = StoredSchedule(what.config_json(), since, since, what.version)
        runner = SlotStore(self.database, self.home)
        runner.open()
        runner.change([Change(what.name, what, standing, ())], since)
        runner.close(forget=False)

    def ask_to_forget(self, name: str, until: datetime) -> None:
        """Let the journal know of a strategy's slots only up to a moment; their rows stay."""
        said = [until.astimezone(UTC).replace(tzinfo=None), name]
        self.database.write(lambda c: c.execute("UPDATE strategies SET accounted_until = ? WHERE name = ?", said))

    def slots(self, name: str = "s") -> list[tuple[str, str, str, int]]:
        """Tell the rows of a strategy's slots in order: status, first and last slot, how many."""
        rows = self.ask(
            "SELECT e.status, e.scheduled_at, e.scheduled_until, e.slots FROM executions e "
            "JOIN strategies s ON s.id = e.strategy_id WHERE s.name = ? AND e.\"trigger\" = 'schedule' "
            "ORDER BY e.scheduled_at, e.id",
            name,
        )
        return [(status, _short(first), _short(last), slots) for status, first, last, slots in rows]

    def doubled(self, name: str = "s") -> int:
        """Count the rows of a strategy that begin before the one before them has ended: slots accounted for twice."""
        rows = self.ask(
            "SELECT e.scheduled_at, e.scheduled_until FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE s.name = ? ORDER BY e.scheduled_at, e.scheduled_until",
            name,
        )
        return sum(later[0] <= before[1] for before, later in pairwise(rows))

    def reasons(self, name: str = "s") -> list[str | None]:
        """Tell why each of them ended as it did, in order."""
        rows = self.ask(
            "SELECT e.error_message FROM executions e JOIN strategies s ON s.id = e.strategy_id WHERE s.name = ? "
            "ORDER BY e.scheduled_at, e.id",
            name,
        )
        return [why for (why,) in rows]


def _short(moment: datetime) -> str:
    return f"{moment:%H:%M}" if f"{moment:%Y-%m-%d}" == "2026-01-05" else f"{moment:%dT%H:%M}"
