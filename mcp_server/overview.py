"""How things stand in one home: what comes due next, how the last runs ended, what was spent, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.errors import TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, no_space
from mcp_server.storage.journal.budget import Spent, spent
from mcp_server.storage.journal.slot_history import LastSlot, last_slots
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders


@dataclass(frozen=True, slots=True)
class RunnerState:
    """What the home says of its runner at one moment (aware). Without a `beat`, none runs.

    On a full disk, `no_space` says so: a runner that is alive cannot report there.
    """

    now: datetime
    beat: Beat | None
    no_space: str | None = None

    @property
    def alive(self) -> Beat | None:
        """The heartbeat of a runner that is alive; None where none is."""
        return self.beat if self.beat is not None and self.beat.is_fresh(self.now) else None


@dataclass(frozen=True, slots=True)
class StrategyState:
    """One strategy of the home. `problem` is what is wrong with it.

    `due` (aware) is when the runner that is alive has it scheduled, None where it has not. Where no runner is alive, it
    is when a runner would have it scheduled.
    """

    name: str
    status: str
    schedule: str
    engine: str
    due: datetime | None
    last: LastSlot | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it at one moment (aware). `unknown` says why the journal could not be read; its figures are None then."""

    now: datetime
    runner: RunnerState
    strategies: Sequence[StrategyState]
    today: Spent | None
    month: Spent | None
    budget_usd_per_day: Decimal
    unknown: str | None

    @property
    def well(self) -> bool:
        """Whether a runner is alive, and nothing is wrong."""
        return self.runner.alive is not None and not self.problems

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, in sentences for people."""
        alive = self.runner.alive
        return [
            *filter(None, [self.runner.no_space]),
            *(alive.problems if alive else ()),
            *filter(None, [self.unknown]),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        alive = self.runner.alive
        return {
            "now": self.now.isoformat(),
            "alive": alive is not None,
            "well": self.well,
            "pid": alive.pid if alive else None,
            "started_at": alive.started_at.isoformat() if alive else None,
            "running": alive.running if alive else 0,
            "problems": self.problems,
            "spent_today_usd": _number(self.today),
            "spent_this_month_usd": _number(self.month),
            "budget_usd_per_day": float(self.budget_usd_per_day),
            "strategies": [
                {
                    "name": state.name,
                    "status": state.status,
                    "schedule": state.schedule,
                    "engine": state.engine,
                    "due": state.due.isoformat() if state.due else None,
                    "last_slot": state.last.slot.isoformat() if state.last else None,
                    "last_outcome": state.last.status if state.last else None,
                    "last_signal": state.last.signal if state.last else None,
                    "last_error": state.last.error if state.last else None,
                    "problem": state.problem,
                }
                for state in self.strategies
            ],
        }


def runner_state(home: Home, now: datetime) -> RunnerState:
    """Look whether a runner is alive on this home."""
    full = no_space(home.root)
    return RunnerState(now, Heartbeat(home.heartbeat).read(), str(full) if full else None)


def own_strategies(folders: StrategyFolders) -> list[ListedStrategy]:
    """Read the strategies of the home itself, without the examples."""
    return [listed for listed in folders.all() if not listed.example]


def overview(
    home: Home, database: Database, folders: StrategyFolders, budget_usd_per_day: Decimal, now: datetime
) -> Overview:
    """Look how everything stands. Nothing is changed; that another program holds the journal is no error here."""
    runner = runner_state(home, now)
    last: dict[str, LastSlot] = {}
    today: Spent | None = Spent(Decimal(0), Decimal(0))
    month = today
    unknown = None
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if database.path.exists():
        try:
            last = last_slots(database)
            today = spent(database, day, day + timedelta(days=1))
            month = spent(database, day.replace(day=1), day + timedelta(days=1))
        except TraderError as error:
            unknown, today, month = str(error), None, None
    scheduled = runner.alive.due if runner.alive else None
    states = [_state(listed, last.get(listed.name), scheduled, now) for listed in own_strategies(folders)]
    return Overview(now, runner, states, today, month, budget_usd_per_day, unknown)


def _state(
    listed: ListedStrategy, last: LastSlot | None, scheduled: Mapping[str, datetime] | None, now: datetime
) -> StrategyState:
    """Return how a strategy stands. `scheduled` is what the runner says of when each comes due; None: none says so."""
    strategy, due = listed.strategy, (scheduled or {}).get(listed.name)
    if strategy is None:
        return StrategyState(listed.name, "broken", "", "", due, last, listed.problem)
    config, problem = strategy.config, None
    if config.status == "active" and scheduled is None:
        due = due_at(config, next_slot(config, now - timedelta(seconds=config.offset_s)))
    elif config.status == "active" and due is None:
        problem = "It is active, and the runner has not scheduled it yet."
    return StrategyState(listed.name, config.status, strategy.schedule, strategy.engine, due, last, problem)


def _number(spent: Spent | None) -> float | None:
    return None if spent is None else float(spent.ended + spent.reserved)
