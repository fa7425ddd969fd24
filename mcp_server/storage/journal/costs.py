"""What runs cost: by day (UTC) and strategy, as it was known at a moment."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from mcp_server.domain.timeframes import naive
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.sql import SqlConnection


@dataclass(frozen=True, slots=True)
class DayCost:
    """What the runs of one strategy cost on one day; slots that did not run cost nothing, and are left out.

    Of `runs`, `unknown` have no known cost, of these `running` are under way; `cost_usd` is what the others cost, None
    where there are none. What runs of unknown cost may have cost at most is reserved: `reserved_usd` of those that are
    over, `running_usd` of those under way. Of `unpriced` runs not even that is known. `by_hosts` ran on a host's own
    model, which is paid for elsewhere: no budget counts them, and what they cost is not known.

    Runs of replays are not among these: `replay_usd` is the most that they cost.
    """

    day: date
    strategy: str
    runs: int
    unknown: int
    running: int
    unpriced: int
    cost_usd: Decimal | None
    reserved_usd: Decimal
    running_usd: Decimal
    replay_usd: Decimal = Decimal(0)
    by_hosts: int = 0

    @property
    def at_most_usd(self) -> Decimal | None:
        """The most that the runs of unknown cost may have cost, or cost yet; None where that is not known."""
        return None if self.unpriced or self.by_hosts else self.reserved_usd + self.running_usd


_DAYS = """
SELECT CAST(moment AS DATE) AS day, s.name,
    count(live), count(live) - count(live * cost), count(live) - count(live * ended),
    count(CASE WHEN ended = 1 AND cost IS NULL AND reserved_usd IS NULL AND engine NOT IN ('rules', 'host')
        THEN live END),
    CASE WHEN count(live) = 0 THEN 0 ELSE sum(live * cost) END,
    coalesce(sum(CASE WHEN ended = 1 AND cost IS NULL THEN live * reserved_usd END), 0),
    coalesce(sum(CASE WHEN ended IS NULL THEN live * reserved_usd END), 0),
    coalesce(sum(CASE WHEN live IS NULL THEN coalesce(cost, earlier + coalesce(reserved_usd, 0)) END), 0),
    count(CASE WHEN engine = 'host' THEN live END)
FROM (
    SELECT strategy_id, engine, coalesce(earlier_usd, 0) AS earlier, CASE WHEN "trigger" <> 'replay' THEN 1 END AS live,
        CASE WHEN reserved_at > $2 THEN NULL ELSE reserved_usd END AS reserved_usd,
        CASE WHEN reserved_at <= $2 THEN reserved_at ELSE started_at END AS moment,
        CASE WHEN completed_at <= $2 THEN 1 END AS ended, CASE WHEN completed_at <= $2 THEN cost_usd END AS cost
    FROM executions WHERE started_at BETWEEN $3 AND $2
    AND (status IN ('running', 'success', 'abstained', 'error', 'timeout', 'drift') OR completed_at > $2
        OR "trigger" = 'replay') AND ($4 OR "trigger" <> 'replay')
) e JOIN strategies s ON s.id = e.strategy_id
WHERE moment BETWEEN $1 AND $2 GROUP BY 1, 2 ORDER BY 1 DESC, 2
"""


def day_costs(connection: SqlConnection, since: datetime, until: datetime, *, replays: bool = True) -> list[DayCost]:
    """Return what runs cost that were allowed from one moment to another, the latest day first.

    A run counts on the day on which it was allowed to spend, as for the budgets of a day; what ended after `until` was
    still under way. Without `replays`, these are left out.
    """
    begun = since - timedelta(days=1)  # for speed: it spares reading all other days
    rows = connection.execute(_DAYS, [naive(since), naive(until), naive(begun), replays]).fetchall()
    return [DayCost(*row) for row in rows]


def total(costs: Iterable[DayCost]) -> Spent:
    """Add up what budgets count: a cost that is not known counts as the most that it may be."""
    spent = Spent(Decimal(0), Decimal(0))
    for cost in costs:
        ended = spent.ended + (cost.cost_usd or 0) + cost.reserved_usd
        spent = Spent(ended, spent.reserved + cost.running_usd, spent.unpriced + cost.unpriced)
    return spent
