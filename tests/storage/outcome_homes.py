"""A home whose runs have ended, and outcomes to give them: what tests of the journal's outcomes begin with."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from mcp_server.domain.outcome import Outcome, Signal, SignalName, Status, Trigger
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.outcomes import DueRun, Outcomes, SettledOutcome
from mcp_server.storage.journal.rows import TERMS, Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.rigs.journal_databases import journal_database

FAILED = Outcome(Status.ERROR, error="it broke", tokens_used=0, cost_usd=Decimal("0.02"))


def signalled(name: SignalName, confidence: int | None = 60, cost: str | None = "0.01") -> Outcome:
    """Return how a run ended that had a signal."""
    stated = None if confidence is None else Decimal(confidence)
    spent = None if cost is None else Decimal(cost)
    return Outcome(Status.SUCCESS, Signal(name, stated, "why"), tokens_used=9, cost_usd=spent)


class OutcomeHome:
    """One home as one process has it; every run of it takes seven seconds."""

    def __init__(self, root: Path) -> None:
        home = Home(root)
        self.database: Database = journal_database(root)
        self.journal = Journal(self.database, home)
        self.folders = StrategyFolders(home, root / "no-examples")
        self.outcomes: Outcomes = self.journal.outcomes(self.folders, "kraken")

    def run(
        self,
        what: Strategy,
        as_of: datetime,
        outcome: Outcome,
        trigger: Trigger = "schedule",
        *,
        ended_at: datetime | None = None,
    ) -> int:
        """Let a run begin, a slot at its as-of, and end; return its id."""
        ended_at = ended_at or as_of + timedelta(seconds=7)
        began_at = ended_at - timedelta(seconds=7)
        claimed = self.journal.claim(Run(what, trigger, as_of, what.engine, began_at, "kraken"))
        self.journal.finish(claimed, outcome, ended_at, began_at=began_at)
        return claimed.execution_id

    def forget_terms(self) -> None:
        """Make all runs those of an earlier version, which stored no terms."""
        nothing = ", ".join(f"{column} = NULL" for column in TERMS)
        self.database.write(lambda c: c.execute(f"UPDATE executions SET {nothing}"))

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.database.read(lambda c: c.execute(sql).fetchall())


def judged(run: DueRun, r: float = 0.01) -> SettledOutcome:
    """Return an outcome that a run may have, from its as-of to its horizon."""
    entry_ms, exit_ms = run.decided_ms, run.decided_ms + run.terms.horizon_s * 1000
    return SettledOutcome(run.execution_id, run.terms, "judged", entry_ms, exit_ms, 100.0, 100 * (1 + r), r, 0.0)


def void(run: DueRun) -> SettledOutcome:
    """Return that a run cannot be judged."""
    return SettledOutcome(
        run.execution_id, run.terms, "void", run.decided_ms, run.decided_ms + run.terms.horizon_s * 1000
    )


def ids(runs: Sequence[DueRun]) -> list[int]:
    return [run.execution_id for run in runs]
