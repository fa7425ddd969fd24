"""How the scheduler is: what comes due next, how the last runs ended, what was spent, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.errors import TraderError
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.journal.budget import Spent, spent
from mcp_server.storage.journal.slot_history import LastSlot, last_slots
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.cli.context import Context


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy of the home. `due` (aware) is None where it is not scheduled; `problem` is what is wrong with it."""

    name: str
    status: str
    schedule: str
    engine: str
    due: datetime | None
    last: LastSlot | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it at one moment (aware). `unknown` says why the journal could not be read; what it knows is None then."""

    now: datetime
    beat: Beat | None
    rows: Sequence[Row]
    today: Spent | None
    month: Spent | None
    budget_usd_per_day: Decimal
    unknown: str | None

    @property
    def alive(self) -> bool:
        """True while a scheduler runs on this home."""
        return self.beat is not None and self.beat.is_fresh(self.now)

    @property
    def well(self) -> bool:
        """True where it runs, and nothing is wrong."""
        return self.alive and self.unknown is None and not (self.beat and self.beat.problems)


def look(parts: Context, now: datetime) -> Overview:
    """Look how everything is; nothing is changed, and a journal that another program holds is said, not raised."""
    beat = Heartbeat(parts.home.heartbeat).read()
    last: dict[str, LastSlot] = {}
    today: Spent | None = Spent(Decimal(0), Decimal(0))
    month = today
    unknown = None
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if parts.database.path.exists():
        try:
            last = last_slots(parts.database)
            today = spent(parts.database, day, day + timedelta(days=1))
            month = spent(parts.database, day.replace(day=1), day + timedelta(days=1))
        except TraderError as error:
            unknown, today, month = str(error), None, None
    rows = [_row(found, last, now) for found in parts.strategies.all() if not found.example]
    return Overview(now, beat, rows, today, month, parts.settings.budget_usd_per_day, unknown)


def _row(found: ListedStrategy, last: dict[str, LastSlot], now: datetime) -> Row:
    strategy = found.strategy
    if strategy is None:
        return Row(found.name, "broken", "", "", None, last.get(found.name), found.problem)
    config = strategy.config
    due = (
        due_at(config, next_slot(config, now - timedelta(seconds=config.offset_s)))
        if config.status == "active"
        else None
    )
    return Row(found.name, config.status, strategy.schedule, strategy.engine, due, last.get(found.name), None)


def as_json(status: Overview) -> dict[str, Any]:
    """Give it as JSON values."""
    beat = status.beat
    return {
        "now": status.now.isoformat(),
        "alive": status.alive,
        "well": status.well,
        "pid": beat.pid if beat and status.alive else None,
        "started_at": beat.started_at.isoformat() if beat and status.alive else None,
        "running": beat.running if beat and status.alive else 0,
        "problems": [*(beat.problems if beat and status.alive else ()), *([status.unknown] if status.unknown else [])],
        "spent_today_usd": _number(status.today),
        "spent_this_month_usd": _number(status.month),
        "budget_usd_per_day": float(status.budget_usd_per_day),
        "strategies": [
            {
                "name": row.name,
                "status": row.status,
                "schedule": row.schedule,
                "engine": row.engine,
                "due": row.due.isoformat() if row.due else None,
                "last_slot": row.last.slot.isoformat() if row.last else None,
                "last_outcome": row.last.status if row.last else None,
                "last_signal": row.last.signal if row.last else None,
                "last_error": row.last.error if row.last else None,
                "problem": row.problem,
            }
            for row in status.rows
        ],
    }


def _number(spent: Spent | None) -> float | None:
    return None if spent is None else float(spent.ended + spent.reserved)
