"""The trades of a backtest as a table in HTML."""

from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.report.html import table
from mcp_server.domain.text import number, significant
from mcp_server.domain.timeframes import from_ms, timeframe_ms

MOST_ROWS = 5_000
"""A browser shows so many rows at once without stuttering."""

_HEADS = ("Trade", "Side", "Return %", "Entry", "Price", "Exit", "Price", "Decided", "Fees %", "Funding %", "State")


def trade_table(simulated: Simulated) -> str:
    """Return every trade, the oldest first; of very many only the latest, and it says so."""
    count = len(simulated.simulation.trades)
    if not count:
        return "<h2>Trades</h2><p>It never traded.</p>"
    first = max(count - MOST_ROWS, 0)
    left_out = f" Only the latest {MOST_ROWS:,} of {count:,} are shown; the file of --trades has all." if first else ""
    heads = [f'<button type="button">{head}</button>' for head in _HEADS]
    rows = [_row(simulated, at) for at in range(first, count)]
    caption = "Times are UTC. The return is of the stake; fees and funding paid are of the equity at the start."
    return (
        f"<h2>Trades</h2><p>{count:,} trade{'' if count == 1 else 's'}. "
        "Choose a heading to sort by it, or a row to see its trade in the chart."
        f"{left_out}</p>{table(caption, heads, rows, name='trades')}"
    )


def _row(simulated: Simulated, at: int) -> str:
    trades, times = simulated.simulation.trades, simulated.candles.open_time_ms
    opened = bool(trades.open[at])
    result = float(trades.return_ratio[at]) * 100
    entry, leaving = (int(times[int(position[at])]) for position in (trades.entry, trades.exit))
    leaving += timeframe_ms(simulated.task.timeframe) * opened  # then it is the last close
    cells = [
        _cell(str(at + 1), at + 1),
        _cell("long" if trades.side[at] > 0 else "short", int(trades.side[at])),
        _cell(("+" if result > 0 else "") + _four_digits(result), result, "up" if result > 0 else "down"),
        _cell(_minute(entry), entry),
        _price(float(trades.entry_price[at])),
        _cell(_minute(leaving), leaving),
        _price(float(trades.exit_price[at])),
        _cell(_minute(int(trades.decided_at_ms[at])), int(trades.decided_at_ms[at])),
        *(_cell(_four_digits(float(paid[at]) * 100), float(paid[at])) for paid in (trades.fees, trades.funding)),
        _cell("open" if opened else "closed", int(opened)),
    ]
    return f'<tr data-trade="{at}">{"".join(cells)}</tr>'


def _cell(text: str, value: float, tint: str = "") -> str:
    shown = f' class="{tint}"' if tint else ""
    return f'<td{shown} data-value="{value!r}">{text}</td>'


def _four_digits(value: float) -> str:
    return number(significant(value, 4)).replace("-", "\N{MINUS SIGN}")


def _price(price: float) -> str:
    return _cell(number(significant(price, 8)), price)


def _minute(at_ms: int) -> str:
    return f"{from_ms(at_ms):%Y-%m-%d %H:%M}"
