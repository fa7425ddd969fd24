from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import iso, iso_second, to_ms
from mcp_server.storage.strategies.folders import ListedStrategy
from mcp_server.toolkit import Call, tool

if TYPE_CHECKING:
    from mcp_server.overview import Overview, StrategyState
    from mcp_server.overview_cache import HomeView
    from mcp_server.storage.journal.budget import Spent

COLUMNS = ["name", "origin", "engine", "trading_pair", "schedule", "status", "description"]
COLUMNS += ["next_slot", "last_at", "last_status", "last_signal", "record", "spent_today_usd", "spent_month_usd"]
COLUMNS += ["exchange", "timeframe"]

PROBLEMS = WithJsonSchema({"type": "array", "items": {"type": "object"}})
MOST_PROBLEMS = 20
NEXT, MARKET = COLUMNS.index("next_slot"), COLUMNS.index("exchange")

THEN = "As it was then. Who ran, what was wrong and the budget are not kept; examples are those of today, and left out."

Row = list[str | float | None]


class Strategies(Table):
    """By name. An example is read-only until copied into the home. null is unknown or none, never 0."""

    as_of: str
    since: str | None = Field(None, description="The first run")
    running: int | None = Field(description="Runs of the scheduler; null: none is running")
    problems: Annotated[list[dict[str, str]], PROBLEMS]
    spent_today_usd: float | None
    spent_month_usd: float | None
    budget_usd_per_day: float | None = None
    rows: Annotated[list[Row], ROWS]
    note: str | None = None

    large: ClassVar[bool] = True

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the next ones."""
        return f"The next ones: after={kept[-1][0]!r}."


@tool(title="Strategies", open_world=False)
async def list_strategies(call: Call, after: Annotated[str | None, Field(max_length=64)] = None) -> Strategies:
    """List the home's strategies and the examples: what is wrong, schedule, last signal, record and spending."""
    now, until = call.kit.clock(), call.moment(None)
    view = await (call.kit.overviews.then(until) if until < now else call.kit.overviews.now(now))
    rows = [*(_own(state, view, call) for state in view.stands.strategies), *(_row(one, call) for one in view.examples)]
    asked = sorted((row for row in rows if str(row[0]) > (after or "")), key=lambda row: str(row[0]))
    return Strategies(columns=COLUMNS, rows=asked, note=THEN if view.stands.past else None, **_beside(view.stands))


def _beside(stands: "Overview") -> dict[str, Any]:
    """Return what stands beside the table."""
    return {
        "as_of": iso_second(stands.now),
        "since": stands.since and iso_second(stands.since),
        "running": stands.running,
        "problems": [
            {"problem": cleaned(problem, 400), "remedy": cleaned(remedy, 200)}
            for problem, remedy in stands.to_mend()[:MOST_PROBLEMS]
        ],
        "spent_today_usd": _usd(stands.today),
        "spent_month_usd": _usd(stands.month),
        "budget_usd_per_day": stands.budget_usd_per_day and float(stands.budget_usd_per_day),
    }


def _own(state: "StrategyState", view: "HomeView", call: Call) -> Row:
    """Return the row of a strategy of the home."""
    run = state.run
    none: Row = [None, "unknown" if view.stands.unknown else None, None]
    last = none if run is None else [iso(to_ms(run.slot)), run.status, run.signal]
    due, spent = None if state.due is None else iso(to_ms(state.due)), [_usd(state.today), _usd(state.month)]
    broken = state.problem if view.stands.past else f"broken: {state.problem}"
    row = _row(ListedStrategy(state.name, False, state.strategy, broken), call)
    row[NEXT:MARKET] = [due, *last, view.records.get(state.name), *spent]
    return row


def _row(listed: "ListedStrategy", call: Call) -> Row:
    """Return what a strategy's files say; an example is never scheduled."""
    strategy, origin = listed.strategy, "example" if listed.example else "home"
    if strategy is None:
        return [listed.name, origin, *[None] * 4, cleaned(listed.problem or "", 400), *[None] * 9]
    config = strategy.config
    about: Row = [strategy.engine, config.trading_pair, strategy.schedule, None if listed.example else config.status]
    market = [config.exchange or call.kit.default_exchange, config.timeframe]
    return [listed.name, origin, *about, cleaned(config.description, 200), *[None] * 7, *market]


def _usd(spent: "Spent | None") -> float | None:
    return None if spent is None else spent.usd
