"""The budgets of a day: what is spent and reserved, and whether a run may spend more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from mcp_server.domain.text import dollars
from mcp_server.domain.timeframes import naive
from mcp_server.errors import Retryable

if TYPE_CHECKING:
    from mcp_server.domain.outcome import BudgetReached
    from mcp_server.storage.sql import JournalDatabase, SqlConnection

ONE_DAY = timedelta(days=1)

Scope = Literal["strategy", "everyone"]


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """The most to spend, in US dollars: in one run, on its strategy in a day, on all in a day; None: no limit."""

    run: Decimal
    strategy: Decimal | None
    everyone: Decimal | None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a run may spend now: `yes`, `wait` until another run has ended, or `no`, and which budget decided."""

    answer: Literal["yes", "wait", "no"]
    why: str = ""
    budget: BudgetReached | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars: `ended` by runs that are over, `reserved` by those under way; an unknown cost counts in full.

    Of `unpriced` runs it is not even known what they may have cost at most.
    """

    ended: Decimal
    reserved: Decimal
    unpriced: int = 0

    @property
    def usd(self) -> float | None:
        """What budgets count, in US dollars; None where it is not known."""
        return None if self.unpriced else float(self.ended + self.reserved)


def admit(database: JournalDatabase, execution_id: int, name: str, limits: SpendingLimits, now: datetime) -> Admission:
    """Reserve what a run of the strategy `name` may cost, if the budgets of the day (UTC) have room for it.

    A run stops one turn after its limit. All runs together may exceed a budget by no more than one such turn. So each
    run that is under way beside this one counts twice: it may cost its limit, and a last turn of up to as much.

    Raises:
        Retryable, Misconfigured: as `Database.write`; nothing was reserved. So too where the run has ended already.
    """
    from mcp_server.domain.outcome import BudgetReached

    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    scopes: list[tuple[Scope, Decimal | None]] = [("strategy", limits.strategy), ("everyone", limits.everyone)]

    def work(connection: SqlConnection) -> Admission:
        waits: Admission | None = None
        for scope, most in scopes:
            if most is None:
                continue
            today = spent(connection, day, day + ONE_DAY, name if scope == "strategy" else None)
            why, held = _over(today, limits.run, most, scope), today.ended + today.reserved
            if today.ended + limits.run > most:
                return Admission("no", why, BudgetReached(scope, today.ended, most))
            if today.ended + 2 * today.reserved + limits.run > most:
                waits = Admission("wait", why, BudgetReached(scope, held, most))
        if waits is None:
            _reserve(connection, execution_id, limits.run, now)
        return waits or Admission("yes")

    return database.write(work)


def spent(connection: SqlConnection, since: datetime, until: datetime, name: str | None = None) -> Spent:
    """Add up what one strategy or all have spent in [since, until): as recorded, or the run's limit if unknown.

    Replays do not count: each has a budget of its own.
    """
    row = connection.execute(
        "SELECT coalesce(sum(coalesce(e.cost_usd, e.reserved_usd)) FILTER (WHERE e.status <> 'running'), 0), "
        "coalesce(sum(e.reserved_usd) FILTER (WHERE e.status = 'running'), 0) "
        "FROM executions e JOIN strategies s ON s.id = e.strategy_id "
        # The first condition is for speed alone: it spares reading all other days.
        "WHERE e.started_at BETWEEN CAST($1 AS TIMESTAMP) - INTERVAL '1' DAY "
        "AND CAST($2 AS TIMESTAMP) + INTERVAL '1' DAY "
        "AND coalesce(e.reserved_at, e.started_at) >= $1 AND coalesce(e.reserved_at, e.started_at) < $2 "
        "AND (CAST($3 AS VARCHAR) IS NULL OR s.name = $3) AND e.\"trigger\" <> 'replay'",
        [naive(since), naive(until), name],
    ).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return Spent(*row)


def _reserve(connection: SqlConnection, execution_id: int, usd: Decimal, now: datetime) -> None:
    """Note the most that a run may cost; from now on it counts as spent, on the day of this moment."""
    reserved = connection.execute(
        "UPDATE executions SET reserved_usd = ?, reserved_at = ? WHERE id = ? AND status = 'running' RETURNING id",
        [usd, naive(now), execution_id],
    )
    if reserved.fetchone() is None:
        raise Retryable("This run was ended by another program, as interrupted.", "Look at the next one.")


def _over(spent: Spent, run: Decimal, most: Decimal, scope: Scope) -> str:
    whose = "this strategy's budget.usd_per_day" if scope == "strategy" else "TRADER_BUDGET_USD_PER_DAY"
    reserved = f", {dollars(spent.reserved)} are reserved by runs under way" if spent.reserved else ""
    return (
        f"{dollars(spent.ended)} USD are spent today (UTC){reserved}, and this run may cost {dollars(run)}. That is "
        f"more than the {dollars(most)} of {whose}. Raise that limit, or wait until tomorrow."
    )
