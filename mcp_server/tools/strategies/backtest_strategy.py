from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio.to_thread
from pydantic import ConfigDict, Field, WithJsonSchema

from mcp_server.answers import ROWS, TEXTS, Table
from mcp_server.domain.strategy.limits import MOST_COST_BPS
from mcp_server.domain.timeframes import parse_moment, to_ms
from mcp_server.errors import BadInput, Retryable
from mcp_server.json_argument import READ_JSON, TEXT
from mcp_server.toolkit import Call, ExchangeId, StrategyName, tool

if TYPE_CHECKING:
    from mcp_server.backtest.material import BacktestMaterial
    from mcp_server.backtest.request import Asked
    from mcp_server.domain.backtest.run import BacktestTask
    from mcp_server.domain.strategy.strategy import Strategy

COMPUTE_S = 15.0
"""So much of a call's time is left for computing and recording; the rest may go into fetching candles."""

RECORD_S = 4.0
"""So much of it is left for recording."""

LEAST_S = 16.0
"""A call that has less time left when its turn comes is not begun."""

NUMBER = WithJsonSchema({"type": "number"})
"""The bounds are left out: who goes beyond them is told."""

INTEGER = WithJsonSchema({"type": "integer"})
BACKTEST_ID = (Field(ge=1, le=10**15), INTEGER)
Bps = Annotated[float | None, Field(ge=0, le=MOST_COST_BPS, allow_inf_nan=False), NUMBER]
Percent = Annotated[float | None, Field(gt=0, le=100, allow_inf_nan=False), NUMBER]


class Backtested(Table):
    """Figures in per cent (_pct), or as their names say; null: undefined. fees_paid is a part of the first equity."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any] = Field(init=False)

    backtest_id: int = Field(description="For draw_chart")
    summary: Annotated[list[str], TEXTS] = Field(description="Show these to the person, not the return alone")
    strategy_name: str
    note: str | None = None
    months: Annotated[list[list[Any]], ROWS] | None = Field(
        default=None, description="month, return_pct, that of holding"
    )
    rows: Annotated[list[list[Any]], ROWS] | None = Field(default=None, description="Trades")

    curve: Annotated[list[list[Any]], ROWS] | None = Field(
        default=None, description="time, equity_pct, holding_pct, drawdown_pct"
    )

    large = True
    keeps_last = True
    less = "Ask for fewer trades."


@tool(
    title="Backtest a strategy",
    for_agents=False,
    at_a_time=2,
    example={"strategy_name": "rsi-reversion"},
    page="backtest",
)
async def backtest_strategy(
    call: Call,
    strategy_name: StrategyName | None = None,
    config: Annotated[dict[str, Any] | None, READ_JSON, TEXT, Field(description="JSON of one not written")] = None,
    start: Annotated[str | None, Field(max_length=40, description="Default: what is stored")] = None,
    end: Annotated[str | None, Field(max_length=40)] = None,
    side: Annotated[Literal["long", "both"], Field(description="both: short too")] = "long",
    fee_bps: Annotated[Bps, Field(description="A side; default: its costs")] = None,
    slippage_bps: Bps = None,
    stake_pct: Annotated[Percent, Field(description="Default: all equity")] = None,
    exchange: ExchangeId = None,
    months: Annotated[bool | None, Field(description="Return by month and by fold")] = None,
    trades: Annotated[int | None, Field(ge=0, le=500), INTEGER, Field(description="List the last")] = None,
    backtest_id: Annotated[int | None, *BACKTEST_ID, Field(description="That recorded one, with its curve")] = None,
) -> Backtested:
    """Backtest a strategy's rules on past candles, filled at the next open. Use it before writing; show its controls.

    Each variant tried counts: do not tune on what you have seen. sharpe_deflated is the probability that
    sharpe is above 0 after all tries; random_percentile 50 is chance.
    """
    if backtest_id is not None:
        return await _recorded(call, backtest_id, trades)
    from mcp_server.backtest.compute import compute
    from mcp_server.backtest.record import recorded
    from mcp_server.backtest.request import Asked

    asked = Asked(
        strategy_name=strategy_name,
        config=config,
        exchange=exchange,
        side=side,
        fee_bps=fee_bps,
        slippage_bps=slippage_bps,
        stake_pct=stake_pct,
        start_ms=_ms(start, "start"),
        end_ms=_ms(end, "end"),
    )
    strategy = await anyio.to_thread.run_sync(asked.strategy, call.kit.strategies, call.kit.tool_names)
    async with call.turn():
        if call.left_s() < LEAST_S:
            raise Retryable(
                "Other backtests took too long, so this one has not begun.", "Wait for them, and try again."
            )
        await call.tell(0, 3, "Gathering candles")
        material, task = await _gathered(call, asked, strategy)
        await call.tell(1, 3, f"Computing over {len(task.candles):,} candles")
        result = await compute(task, call.left_s() - RECORD_S, asked.command())
        await call.tell(2, 3, "Recording")
        work = partial(recorded, call.kit.journal.backtests, task, result, call.moment(None))
        answer = await anyio.to_thread.run_sync(work)
    if months:
        answer["months"] = [list(month.values()) for month in result["months"]]
        answer["folds"] = result["folds"]
    answer |= _table(result["trades"], trades)
    if material.history.simulated:
        answer["simulated"] = True
    return Backtested(**answer, note=material.note)


async def _recorded(call: Call, backtest_id: int, trades: int | None) -> Backtested:
    """Return what was recorded of a backtest, and what its candles make of it today; nothing is recorded."""
    from mcp_server.backtest.redo import again, curve_rows
    from mcp_server.domain.backtest.answer import listed_trades

    if ignored := sorted(call.given - {"backtest_id", "trades"}):
        raise BadInput(f"A recorded backtest is told without {', '.join(ignored)}.", "Leave it out, or backtest anew.")
    moment = call.moment(None)
    row = await anyio.to_thread.run_sync(call.kit.journal.backtests.read, backtest_id, moment)
    backtest = await again(call.kit.market, call.kit.news, row)

    def simulate() -> Backtested:
        simulated = backtest.simulated()
        facts = {"summary": [], **row.figures, "strategy_name": row.family.name, "backtest_id": backtest_id}
        facts |= {"curve": curve_rows(simulated), **_table(listed_trades(simulated), trades)}
        facts |= {"simulated": True} if backtest.history.simulated else {}
        notes = [backtest.difference(simulated), backtest.history.note if simulated.simulation.missing else None]
        return Backtested(**facts, note=" ".join(filter(None, notes)) or None)

    async with call.turn():
        return await call.bounded(simulate)


def _table(listed: list[dict[str, Any]], trades: int | None) -> dict[str, Any]:
    """Return the last trades as a table; nothing where none are asked for."""
    last = listed[-trades:] if trades else []
    return {"columns": list(last[0]), "rows": [list(trade.values()) for trade in last]} if last else {}


async def _gathered(call: Call, asked: "Asked", strategy: "Strategy") -> "tuple[BacktestMaterial, BacktestTask]":
    """Gather what it is computed from, as of the moment of the call."""
    from mcp_server.backtest.material import Wanted, gather
    from mcp_server.domain.backtest.run import BacktestTask, compiled_rules
    from mcp_server.news.for_rules import with_news

    compiled = await call.bounded(compiled_rules, strategy)
    wanted = Wanted(
        exchange=call.exchange(strategy.config.exchange),
        symbol=strategy.config.trading_pair,
        timeframe=strategy.timeframe,
        warm_up=compiled.history,
        start_ms=asked.start_ms,
        end_ms=asked.end_ms,
        now_ms=to_ms(call.moment(None)),
        command=asked.command(),
    )
    material = await gather(call.kit.market, wanted, call.left_s() - COMPUTE_S)
    history, news = material.history, call.kit.news
    candles = await call.bounded(with_news, news, history.candles, strategy.timeframe, history.symbol, compiled.news)
    return material, BacktestTask(
        strategy=strategy,
        exchange=history.exchange,
        symbol=history.symbol,
        candles=candles,
        start_ms=material.start_ms,
        end_ms=material.end_ms,
        assumptions=asked.assumptions(strategy),
        fundings=material.fundings,
    )


def _ms(text: str | None, name: str) -> int | None:
    if text is None or text.strip().lower() == "now":
        return None
    return to_ms(parse_moment(text, name=name))
