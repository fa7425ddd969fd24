"""What the journal says of a home as a whole, read at once: last runs, spending, and what changes when runs do."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mcp_server.errors import TraderError
from mcp_server.storage.journal.budget import ONE_DAY, Spent
from mcp_server.storage.journal.costs import DayCost, day_costs, total
from mcp_server.storage.journal.slot_history import PATIENCE_S, LastRuns, first_run, last_runs, ran_versions, run_marks
from mcp_server.storage.sql import JournalDatabase, SqlConnection
from mcp_server.storage.strategies.versions import Kept


@dataclass(frozen=True, slots=True)
class JournalState:
    """What the journal says of a home: the last runs of each strategy, and what was spent since the month began.

    `since` its first run began. `marks` change with a strategy's runs and outcomes; `ran` has what each ran by a past
    moment. `error`: it could not be read.
    """

    day: datetime
    last: Mapping[str, LastRuns] = field(default_factory=dict)
    costs: Sequence[DayCost] = ()
    since: datetime | None = None
    marks: Mapping[str, Hashable] = field(default_factory=dict)
    ran: Mapping[str, Kept] = field(default_factory=dict)
    error: TraderError | None = None

    def spent(self, strategy: str | None = None, *, today: bool) -> Spent | None:
        """Return what one strategy or all spent on the day, or in its month; None: it is not known."""
        if self.error is not None:
            return None
        first = (self.day if today else self.day.replace(day=1)).date()
        return total(cost for cost in self.costs if cost.day >= first and strategy in (None, cost.strategy))


def journal_state(database: JournalDatabase, now: datetime, *, then: bool = False, marks: bool = False) -> JournalState:
    """Read the journal once. That another program holds it is no error here.

    Args:
        database: the home's.
        now: the present or, with `then`, a past moment: then the answer is as the journal was.
        then: whether that moment is past.
        marks: whether the present `marks` are asked for.
    """
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if not database.exists():
        return JournalState(day)
    begin = min(day.replace(day=1), day - timedelta(days=1))  # a run under way may have begun the day before

    def work(connection: SqlConnection) -> JournalState:
        since = first_run(connection)
        since = None if since is not None and since > now else since
        if not then:
            costs = day_costs(connection, begin, day + ONE_DAY)
            known = run_marks(connection) if marks else {}
            return JournalState(day, last_runs(connection, None, now), costs, since, known)
        last, costs = last_runs(connection, now), day_costs(connection, begin, now)
        return JournalState(day, last, costs, since, ran=ran_versions(connection, now))

    try:
        return database.read(work, patience_s=PATIENCE_S)
    except TraderError as error:
        return JournalState(day, error=error)
