from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import anyio.to_thread
from pydantic import Field, WithJsonSchema

from mcp_server.answers import HistoryAnswer, Picture, about, caveats, last_value
from mcp_server.domain.timeframes import Timeframe, from_ms, iso, last_closed_open_ms, timeframe_ms, to_ms
from mcp_server.errors import BadInput
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, check_patience, tool

if TYPE_CHECKING:
    from mcp_server.charts.chart import Chart, Joins, Marks
    from mcp_server.domain.candles import Floats
    from mcp_server.domain.indicators.spec import Spec
    from mcp_server.market.history import History
    from mcp_server.storage.journal.backtests import BacktestRow
    from mcp_server.storage.journal.entries import Entry

MOST_SIGNALS = 5_000
PIVOT_CANDLES = 3
"""Divergences are those that detect_divergence finds by default."""


class DrawnChart(HistoryAnswer, Picture):
    """The last candle, and each column's last value."""

    drawn: str
    candles: int
    open_time: str
    close: float
    values: Annotated[dict[str, float | None], WithJsonSchema({"type": "object"})]
    signals: Annotated[dict[str, int], WithJsonSchema({"type": "object"})] | None = Field(
        default=None, description="Counts; HOLD is not drawn"
    )


class DrawnBacktest(Picture):
    """A backtest's picture, and what it says in figures."""

    backtest_id: int
    strategy_name: str
    symbol: str
    exchange: str
    timeframe: str
    start: str
    end: str
    as_of: str
    drawn: str
    candles: int
    trades: int
    return_pct: float
    buy_and_hold_pct: float
    max_drawdown_pct: float
    note: str | None = None
    simulated: bool | None = None


@tool(
    title="Chart",
    at_a_time=2,  # each takes a processor and some 30 MB while it is drawn
    example={"symbol": "BTC/USDT"},
    page="chart",
)
async def draw_chart(
    call: Call,
    symbol: Symbol | None = None,
    timeframe: Timeframe = "1h",
    limit: Annotated[int, Field(ge=20, le=500)] = 120,
    indicators: Annotated[tuple[str, ...], Field(max_length=10)] = ("ema(50)", "rsi(14)"),
    strategy_name: Annotated[str | None, Field(max_length=64, description="Mark its signals")] = None,
    divergence_of: Annotated[str | None, Field(description="Spec: draw its divergences")] = None,
    backtest_id: Annotated[int | None, Field(ge=1, le=10**15), WithJsonSchema({"type": "integer"})] = None,
    theme: Literal["dark", "light"] = "dark",
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Picture:
    """Draw candles and indicators, or a backtest, as an image for people; other tools return numbers."""
    if backtest_id is not None:
        asked = {"symbol": symbol, "exchange": exchange, "timeframe": timeframe, "strategy_name": strategy_name}
        return await _backtest(call, backtest_id, asked, theme, as_of)
    if symbol is None:
        raise BadInput("Neither symbol nor backtest_id is given.", "Give the symbol to draw, or a backtest_id.")
    from mcp_server.domain.chart_layout import layout
    from mcp_server.domain.indicators.parse import parse_spec, parse_specs

    oscillator = None if divergence_of is None else await call.bounded(parse_spec, divergence_of)
    specs = await call.bounded(parse_specs, indicators, check_patience)
    if oscillator and not any(oscillator.columns[0] in spec.columns for spec in specs):
        specs = (*specs, oscillator)
    await anyio.to_thread.run_sync(layout, specs)  # refuse what does not fit before anything is fetched
    await anyio.to_thread.run_sync(call.kit.artist.prepare)
    moment, count = call.moment(as_of), limit + max([spec.candles_wanted(timeframe) for spec in specs], default=0)
    history = await call.kit.market.candles(call.exchange(exchange), symbol, timeframe, count, moment)
    first = _first_drawn(history, limit)
    entries = None
    if strategy_name is not None:
        entries = await anyio.to_thread.run_sync(_signals, call, strategy_name, history)

    def draw() -> DrawnChart:
        from mcp_server.charts.caption import caption
        from mcp_server.domain.indicators.from_news import news_wanted
        from mcp_server.news.for_rules import with_news

        marks = _marks(strategy_name, entries, history, first)
        news = (call.kit.news, history.candles, history.timeframe, history.symbol, news_wanted(specs))
        chart = _chart(replace(history, candles=with_news(*news)), first, specs, marks, oscillator, theme)
        return _answer(history, _notes(history, specs, entries), chart, caption(chart), call.kit.artist.draw(chart))

    async with call.turn():
        return await call.bounded(draw)


async def _backtest(
    call: Call, backtest_id: int, asked: dict[str, str | None], theme: Literal["dark", "light"], as_of: str | None
) -> DrawnBacktest:
    from mcp_server.backtest.material import built_from
    from mcp_server.backtest.redo import again

    if ignored := sorted(call.given & {"limit", "indicators", "divergence_of"}):
        raise BadInput(f"A backtest is drawn whole, without {', '.join(ignored)}.", "Give theme and as_of beside it.")
    moment = call.moment(as_of)
    row = await anyio.to_thread.run_sync(call.kit.journal.backtests.read, backtest_id, moment)
    _check_same(row, {name: value for name, value in asked.items() if name in call.given})
    await anyio.to_thread.run_sync(call.kit.artist.prepare)
    backtest = await again(call.kit.market, call.kit.news, row)

    def draw() -> DrawnBacktest:
        from mcp_server.charts.backtest_chart import BacktestChart, backtest_caption, backtest_facts

        chart = BacktestChart(backtest.simulated(), backtest.history.simulated, theme)
        facts = {**backtest_facts(chart), "backtest_id": backtest_id, "as_of": iso(to_ms(moment))}
        lacking = backtest.history.note if chart.simulated.simulation.missing else built_from(backtest.history)
        facts["note"] = " ".join(filter(None, [backtest.difference(chart.simulated), lacking])) or None
        return DrawnBacktest(**facts, png=call.kit.artist.draw(chart), drawn=backtest_caption(chart))

    async with call.turn():
        return await call.bounded(draw)


def _check_same(row: BacktestRow, asked: dict[str, str | None]) -> None:
    """Raise `BadInput` where an argument contradicts the backtest."""
    own = {
        "symbol": row.family.symbol,
        "exchange": row.family.exchange,
        "timeframe": row.timeframe,
        "strategy_name": row.family.name,
    }
    for name, value in asked.items():
        same = value is None or (_letters(value) == _letters(own[name]) if name == "symbol" else value == own[name])
        if not same:
            raise BadInput(f"The backtest has {name} {own[name]!r}, not {value!r}.", f"Leave {name} out.")


def _first_drawn(history: History, limit: int) -> int:
    """Return the position of the first candle to draw.

    Raises:
        BadInput: there is none.
    """
    length = timeframe_ms(history.timeframe)
    since = last_closed_open_ms(history.as_of_ms, history.timeframe) - (limit - 1) * length
    times = history.candles.open_time_ms
    first = int(times.searchsorted(since))
    if first == len(times):
        last = f"; the last one before opened at {iso(int(times[-1]))}" if len(times) else ""
        raise BadInput(
            f"There is nothing to draw: {history.exchange} has no {history.timeframe} candle of {history.symbol!r} "
            f"from {iso(since)} to {iso(history.as_of_ms)}{last}.",
            "Use another as_of, limit or timeframe.",
        )
    return first


def _signals(call: Call, strategy_name: str, history: History) -> list[Entry]:
    """Read the signals that a strategy had given by the as-of.

    Raises:
        NotFound: there is no such strategy, nor any signal of one.
        BadInput: it is about another market.
    """
    until = from_ms(history.as_of_ms)
    entries = call.kit.journal.entries(strategy_name, limit=MOST_SIGNALS, until=until, at_their_time=call.in_a_run)
    if not entries or strategy_name in call.kit.strategies.names():
        pair = call.kit.strategies.read(strategy_name).config.trading_pair
        if _letters(pair) != _letters(history.symbol):
            raise BadInput(
                f"Strategy {strategy_name!r} trades {pair!r}: its signals do not belong on a chart of "
                f"{history.symbol!r}.",
                f"Draw {pair!r}, or leave strategy_name out.",
            )
    return entries


def _letters(symbol: str) -> str:
    """Take a symbol without its separators, which a strategy may write in other ways."""
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())


def _marks(strategy_name: str | None, entries: list[Entry] | None, history: History, first: int) -> Marks | None:
    if strategy_name is None or entries is None:
        return None
    from mcp_server.charts.chart import marks_of

    signals = [(entry.as_of, entry.signal) for entry in entries]
    drawn = history.candles.slice(first)
    return marks_of(strategy_name, signals, drawn, history.timeframe, history.as_of_ms)


def _joins(oscillator: Spec | None, columns: dict[str, Floats], history: History, first: int) -> Joins | None:
    """Find the divergences whose pivots are both among the candles drawn."""
    if oscillator is None:
        return None
    from mcp_server.charts.chart import Join, Joins
    from mcp_server.domain.divergence.find import find_divergences

    column = oscillator.columns[0]
    divergences = find_divergences(history.candles, columns[column], PIVOT_CANDLES, len(history.candles) - first)
    joins = [
        Join(one.first - first, one.second - first, one.direction == "bullish", one.kind == "hidden")
        for one in divergences
        if one.first >= first
    ]
    return Joins(column, tuple(joins))


def _chart(
    history: History,
    first: int,
    specs: tuple[Spec, ...],
    marks: Marks | None,
    oscillator: Spec | None,
    theme: Literal["dark", "light"],
) -> Chart:
    from mcp_server.charts.chart import Chart
    from mcp_server.domain.chart_layout import layout
    from mcp_server.domain.indicators.compute import compute

    columns = compute(specs, history.candles)
    return Chart(
        symbol=history.symbol,
        exchange=history.exchange,
        timeframe=history.timeframe,
        as_of_ms=history.as_of_ms,
        simulated=history.simulated,
        candles=history.candles.slice(first),
        layout=layout(specs),
        columns={name: values[first:] for name, values in columns.items()},
        marks=marks,
        joins=_joins(oscillator, columns, history, first),
        theme=theme,
    )


def _notes(history: History, specs: tuple[Spec, ...], entries: list[Entry] | None) -> str | None:
    notes = [history.note] if history.note else []
    notes += caveats(specs)
    if entries and len(entries) == MOST_SIGNALS:
        notes.append(f"Only the last {MOST_SIGNALS} signals recorded were looked at.")
    return " ".join(notes) or None


def _answer(history: History, note: str | None, chart: Chart, drawn: str, png: bytes) -> DrawnChart:
    candles, marks = chart.candles, chart.marks
    return DrawnChart(
        **{**about(history), "note": note},
        png=png,
        drawn=drawn,
        candles=len(candles),
        open_time=iso(int(candles.open_time_ms[-1])),
        close=float(candles.close[-1]),
        values={name: last_value(values) for name, values in chart.columns.items()},
        signals=None
        if marks is None
        else {"BUY": marks.count("BUY"), "SELL": marks.count("SELL"), "HOLD": marks.holds},
    )
