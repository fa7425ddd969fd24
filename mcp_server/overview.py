"""How things stand in one home: what comes due next, how the last runs ended, what was spent, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from mcp_server.domain.schedule.slots import due_at, next_slot
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso_second
from mcp_server.errors import NoSpace, TraderError
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, no_space
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.journal_state import JournalState, journal_state
from mcp_server.storage.journal.slot_history import LastSlot
from mcp_server.storage.sql import JournalDatabase
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from mcp_server.storage.strategies.past import strategies_then


class Problem(NamedTuple):
    """Something that is wrong, and what to do about it, in sentences for people."""

    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RunnerState:
    """What the home says of its runner at one moment (aware). Without a `beat`, none runs.

    On a full disk, `no_space` says so: a runner that is alive cannot report there.
    """

    now: datetime
    beat: Beat | None
    no_space: NoSpace | None = None

    @property
    def alive(self) -> Beat | None:
        """The heartbeat of a runner that is alive; None where none is."""
        return self.beat if self.beat is not None and self.beat.is_fresh(self.now) else None


@dataclass(frozen=True, slots=True)
class StrategyState:
    """One strategy of the home. `problem` is what is wrong with it.

    `due` (aware) is when the runner that is alive has it scheduled, None where it has not. Where no runner is alive, it
    is when a runner would have it scheduled. `last` is its latest slot, `run` its latest run of any trigger, or slot.
    """

    name: str
    status: str
    schedule: str
    engine: str
    due: datetime | None
    last: LastSlot | None
    problem: str | None
    strategy: Strategy | None = None
    run: LastSlot | None = None
    today: Spent | None = None
    month: Spent | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it at one moment (aware). `unknown` says why the journal could not be read; its figures are None then.

    `since`: when the first run of the home began. Of a past moment (`overview_then`) there is no runner and no budget,
    and `then_running` runs were under way. `left_in_file` tells of runs that the home's file has, and the journal not.
    """

    now: datetime
    runner: RunnerState
    strategies: Sequence[StrategyState]
    today: Spent | None
    month: Spent | None
    budget_usd_per_day: Decimal | None
    unknown: TraderError | None
    since: datetime | None = None
    then_running: int | None = None
    left_in_file: TraderError | None = None

    @property
    def past(self) -> bool:
        """Whether it is of a past moment."""
        return self.budget_usd_per_day is None

    @property
    def running(self) -> int | None:
        """How many runs of the scheduler are under way, or were then; None where none is running."""
        alive = self.runner.alive
        return self.then_running if alive is None else alive.running

    @property
    def well(self) -> bool:
        """Whether a runner is alive, and nothing is wrong."""
        return self.runner.alive is not None and not self.problems

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong but for the strategies, in sentences for people."""
        alive = self.runner.alive
        own = None if self._runner_knows else self.unknown
        troubles = [self.runner.no_space, *(alive.problems if alive else ()), own, self.left_in_file]
        return [str(trouble) for trouble in troubles if trouble is not None]

    @property
    def _runner_knows(self) -> bool:
        """Whether the runner says itself that the journal cannot be used, and since when."""
        return self.unknown is not None and self.runner.alive is not None and self.runner.alive.journal_away

    def to_mend(self) -> list[Problem]:
        """Return everything that is wrong, and what to do about it: what stops most comes first."""
        problems = [Problem(error.problem, error.remedy) for error in (self.runner.no_space, self.unknown) if error]
        if self.past:
            return problems
        broken = {state.name: state.problem or "" for state in self.strategies if state.strategy is None}
        if (alive := self.runner.alive) is not None:
            others = alive.problems[1:] if self._runner_knows else alive.problems
            of_runner = [text for text in others if not any(why and why in text for why in broken.values())]
            problems += [Problem(text, "Look for the cause: `claude-trader doctor`") for text in of_runner]
        elif self.runner.no_space is None and any(state.status == "active" for state in self.strategies):
            problems.append(_no_scheduler(self.runner.beat))
        return problems + [Problem(f"The strategy {name!r} is broken. {why}", MEND) for name, why in broken.items()]

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
            "page": alive.page if alive else "",
            "problems": self.problems,
            "spent_today_usd": self.today and self.today.usd,
            "spent_this_month_usd": self.month and self.month.usd,
            "budget_usd_per_day": float(self.budget_usd_per_day or 0),
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


MEND = "Correct its files, or write it again; its last valid version goes on until then."


def _no_scheduler(beat: Beat | None) -> Problem:
    since = f" since {iso_second(beat.beat_at)}" if beat else ""
    return Problem(f"No scheduler is running{since}, so no strategy runs on schedule.", "Start it: `claude-trader up`")


def runner_state(home: Home, now: datetime) -> RunnerState:
    """Look whether a runner is alive on this home."""
    return RunnerState(now, Heartbeat(home.heartbeat).read(), no_space(home.root))


def own_strategies(folders: StrategyFolders) -> list[ListedStrategy]:
    """Read the strategies of the home itself, and no example."""
    return [folders.one(name, example=False) for name, example in folders.names().items() if not example]


def overview(
    home: Home,
    database: JournalDatabase,
    folders: StrategyFolders,
    budget_usd_per_day: Decimal,
    now: datetime,
    *,
    journal: JournalState | None = None,
    listed: Sequence[ListedStrategy] | None = None,
) -> Overview:
    """Look how everything stands; nothing is changed. `journal` and `listed` are what was read already."""
    runner = runner_state(home, now)
    journal = journal or journal_state(database, now)
    scheduled = runner.alive.due if runner.alive else None
    own = own_strategies(folders) if listed is None else listed
    states = [_state(strategy, journal, scheduled, now) for strategy in own]
    today, month = (journal.spent(today=today) for today in (True, False))
    return Overview(now, runner, states, today, month, budget_usd_per_day, journal.error, journal.since)


def overview_then(database: JournalDatabase, folders: StrategyFolders, until: datetime) -> Overview:
    """Look how everything stood at a past moment, as far as that is kept: not who ran, and what was wrong."""
    journal = journal_state(database, until, then=True)
    own = [name for name, example in folders.names().items() if not example]
    listed = [] if journal.error else strategies_then(folders, until, journal.ran, own)
    states = [_state(strategy, journal, None, until) for strategy in listed]
    today, month = (journal.spent(today=today) for today in (True, False))
    running = None if journal.error else sum(cost.running for cost in journal.costs)
    return Overview(until, RunnerState(until, None), states, today, month, None, journal.error, journal.since, running)


def _state(
    listed: ListedStrategy, journal: JournalState, scheduled: Mapping[str, datetime] | None, now: datetime
) -> StrategyState:
    """Return how a strategy stands. `scheduled` is what the runner says of when each comes due; None: none says so."""
    name, strategy, due = listed.name, listed.strategy, (scheduled or {}).get(listed.name)
    last, run = journal.last.get(name, (None, None))
    today, month = (journal.spent(name, today=today) for today in (True, False))
    if strategy is None:
        return StrategyState(name, "broken", "", "", due, last, listed.problem, None, run, today, month)
    config, problem = strategy.config, None
    if config.status == "active" and scheduled is None:
        due = due_at(config, next_slot(config, now - timedelta(seconds=config.offset_s)))
    elif config.status == "active" and due is None:
        problem = "It is active, and the runner has not scheduled it yet."
    facts = (config.status, strategy.schedule, strategy.engine)
    return StrategyState(name, *facts, due, last, problem, strategy, run, today, month)
