from datetime import timedelta
from typing import Annotated, Any, ClassVar

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.domain.timeframes import iso_second
from mcp_server.toolkit import AsOf, Call, tool

COLUMNS = ["day", "strategy", "runs", "cost_usd", "unknown", "reserved_usd", "replay_usd"]


class CostsByDay(Table):
    """A row per day (UTC) and strategy, latest first. unknown: runs without a known cost, which cost_usd leaves out.

    reserved_usd: the most that these may cost, which budgets count; null: not known. replay_usd: what replays cost at
    most, beside all that.
    """

    as_of: str
    since: str
    runs: int
    cost_usd: float | None
    unknown: int
    running: int
    reserved_usd: float | None
    replay_usd: float
    rows: Annotated[list[list[Any]], ROWS]
    note: str | None = None

    large: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the earlier ones."""
        return f"For earlier ones ask as of {kept[-1][0]}T23:59:59Z. The totals are of all."


@tool(title="Costs", open_world=False)
async def get_costs(call: Call, days: Annotated[int, Field(ge=1, le=366)] = 30, as_of: AsOf = None) -> CostsByDay:
    """Tell what runs cost by day and strategy. A cost that is not known is null, not free."""
    until = call.moment(as_of)
    since = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    replays = not call.in_a_run
    costs = await anyio.to_thread.run_sync(lambda: call.kit.journal.day_costs(since, until, replays=replays))
    rows = [
        [
            f"{c.day:%Y-%m-%d}",
            c.strategy,
            c.runs,
            *(_usd(c.cost_usd), c.unknown, _usd(c.at_most_usd), _usd(c.replay_usd)),
        ]
        for c in costs
    ]
    most = [cost.at_most_usd for cost in costs]
    known = [cost.cost_usd for cost in costs if cost.cost_usd is not None]
    return CostsByDay(
        as_of=iso_second(until), since=f"{since:%Y-%m-%d}",
        runs=sum(cost.runs for cost in costs), cost_usd=float(sum(known)) if known or not costs else None,
        unknown=sum(cost.unknown for cost in costs), running=sum(cost.running for cost in costs),
        reserved_usd=None if None in most else float(sum(filter(None, most))),
        replay_usd=float(sum(cost.replay_usd for cost in costs)), columns=COLUMNS, rows=rows,
        note=None if costs else "No run is recorded in that time. `claude-trader up` runs active strategies.",
    )  # fmt: skip


def _usd(amount: Any) -> float | None:
    return None if amount is None else float(amount)
