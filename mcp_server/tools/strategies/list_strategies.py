from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import anyio.to_thread
from pydantic import Field, WithJsonSchema

from mcp_server.answers import ROWS, Table
from mcp_server.domain.text import cleaned
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.toolkit import Call, tool

if TYPE_CHECKING:
    from mcp_server.overview import Overview, StrategyState
    from mcp_server.storage.journal.budget import Spent
    from mcp_server.storage.strategies.folders import ListedStrategy

COLUMNS = ["name", "origin", "engine", "trading_pair", "schedule", "status", "description"]
COLUMNS += ["next_slot", "last_at", "last_status", "last_signal", "record", "spent_today_usd", "spent_month_usd"]
COLUMNS += ["exchange", "timeframe"]

PROBLEMS = WithJsonSchema({"type": "array", "items": {"type": "object"}})
MOST_PROBLEMS = 20

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
    now = call.kit.clock()
    stands, listed = await anyio.to_thread.run_sync(call.kit.overviews.look, now)
    states = {state.name: state for state in stands.strategies}
    asked, exchange = [one for one in listed if one.name > (after or "")], call.kit.default_exchange
    rows = [_row(strategy, states.get(strategy.name), exchange) for strategy in asked]
    return Strategies(columns=COLUMNS, rows=rows, **_beside(stands))


def _beside(stands: "Overview") -> dict[str, Any]:
    """Return what stands beside the table."""
    alive = stands.runner.alive
    problems = [
        {"problem": cleaned(problem, 400), "remedy": cleaned(remedy, 200)} for problem, remedy in stands.to_mend()
    ]
    return {
        "as_of": iso(to_ms(stands.now) // 1000 * 1000),
        "since": None if stands.since is None else iso(to_ms(stands.since) // 1000 * 1000),
        "running": None if alive is None else alive.running,
        "problems": problems[:MOST_PROBLEMS],
        "spent_today_usd": _usd(stands.today),
        "spent_month_usd": _usd(stands.month),
        "budget_usd_per_day": float(stands.budget_usd_per_day),
    }


def _row(listed: "ListedStrategy", state: "StrategyState | None", default_exchange: str) -> Row:
    """Return the row of a strategy; an example has no state: it is never scheduled."""
    strategy, origin = listed.strategy, "example" if listed.example else "home"
    stands = _state(state) if state else [None] * 7
    if strategy is None:
        return [listed.name, origin, *[None] * 4, cleaned(f"broken: {listed.problem}", 400), *stands, None, None]
    config = strategy.config
    about: Row = [strategy.engine, config.trading_pair, strategy.schedule, None if listed.example else config.status]
    market = [config.exchange or default_exchange, config.timeframe]
    return [listed.name, origin, *about, cleaned(config.description, 200), *stands, *market]


def _state(state: "StrategyState") -> Row:
    run = state.run
    last: Row = [None] * 3 if run is None else [iso(to_ms(run.slot)), run.status, run.signal]
    return [None if state.due is None else iso(to_ms(state.due)), *last, None, _usd(state.today), _usd(state.month)]


def _usd(spent: "Spent | None") -> float | None:
    return None if spent is None else spent.usd
