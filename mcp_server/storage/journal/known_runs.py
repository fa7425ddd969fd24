"""What a journal tells of runs that were recorded. Who only reads it imports nothing of what writes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.errors import NotFound
from mcp_server.storage.journal import entries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from mcp_server.domain.strategy.checks.budget import Costs
    from mcp_server.storage.journal.costs import DayCost
    from mcp_server.storage.journal.entries import Entry
    from mcp_server.storage.journal.statements import Statements
    from mcp_server.storage.journal.whole_run import WholeRun
    from mcp_server.storage.sql import JournalDatabase
    from mcp_server.storage.strategies.versions import Kept

COSTS_PATIENCE_S = 2.0
"""How long a check of a strategy waits to learn what its runs cost; it can do without."""


class KnownRuns:
    """The runs in one journal. Every method raises `Retryable` and `Misconfigured`, as `Database` does."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def statements(self, strategy: str) -> Statements:
        """Return what stood beside the signals of a strategy: its twin, and how its sub-agents leaned."""
        from mcp_server.storage.journal.statements import statements

        return self._database.read(lambda connection: statements(connection, strategy))

    def under_way(self, strategy: str) -> list[int]:
        """Return the ids of a strategy's runs that have not ended."""
        query = (
            "SELECT e.id FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE s.name = ? AND e.status = 'running' ORDER BY e.id"
        )
        return self._database.read(lambda c: [row[0] for row in c.execute(query, [strategy]).fetchall()])

    def entries(
        self,
        strategy: str | None = None,
        *,
        limit: int = 20,
        outcomes: Literal["signals", "all"] = "signals",
        until: datetime | None = None,
        before: int | None = None,
        at_their_time: bool = False,
        replayed: bool = False,
    ) -> list[Entry]:
        """Return the latest runs, newest first, as they stood at `until`; the arguments are those of `latest`."""
        asked = partial(entries.latest, at_their_time=at_their_time, replayed=replayed)
        return self._database.read(lambda connection: asked(connection, strategy, limit, outcomes, until, before))

    def ran_version(self, strategy: str, until: datetime) -> Kept | None:
        """Return the version of a strategy's last run or slot that had begun by a moment, and when; None: none had."""
        if not self._database.exists():
            return None
        from mcp_server.storage.journal.slot_history import ran_versions

        return self._database.read(lambda connection: ran_versions(connection, until)).get(strategy)

    def whole_run(
        self, execution_id: int, strategy: str | None, until: datetime, *, at_its_time: bool = False
    ) -> WholeRun:
        """Return one run whole, as it stood at `until`; with `at_its_time`, only if it was made at its moment.

        Raises:
            NotFound: it had not begun by then, or is not of this strategy.
        """
        from mcp_server.storage.journal.whole_run import whole_run

        run = self._database.read(lambda c: whole_run(c, execution_id, strategy, until, at_its_time=at_its_time))
        if run is None:
            of = f" of {strategy!r}" if strategy else ""
            raise NotFound(f"There is no run {execution_id}{of} by then.", "list_signals(outcomes='all') lists them.")
        return run

    def costs(self, strategy: str) -> Costs:
        """Return what the latest runs of a strategy by claude have cost; wait no longer than `COSTS_PATIENCE_S`."""
        if not self._database.exists():
            from mcp_server.domain.strategy.checks.budget import Costs

            return Costs(0, 0, None)
        return self._database.read(lambda connection: entries.costs(connection, strategy), patience_s=COSTS_PATIENCE_S)

    def day_costs(self, since: datetime, until: datetime, *, replays: bool = True) -> list[DayCost]:
        """Return what runs cost by day and strategy, as it was known at `until`, with or without `replays`."""
        from mcp_server.storage.journal.costs import day_costs

        return self._database.read(lambda connection: day_costs(connection, since, until, replays=replays))

    def traces_of_payers(self, keys: Collection[str]) -> list[Mapping[str, Any]]:
        """Return what happened in the runs that have paid for replies on a cassette, by their keys; the last three."""
        return self._database.read(lambda connection: entries.traces_of_payers(connection, keys))

    def trace(self, execution_id: int) -> Mapping[str, Any] | None:
        """Return what happened on the way of one run; None where there is no such run or nothing was kept."""
        return self._database.read(lambda connection: entries.trace(connection, execution_id))
