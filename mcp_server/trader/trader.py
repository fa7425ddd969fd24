"""`Trader`: candles, indicators, backtests, news and records in Python, by the parts and discipline of the tools."""

from mcp_server.trader.market_tables import MarketTables
from mcp_server.trader.news_table import NewsTable
from mcp_server.trader.record_tables import RecordTables


class Trader(MarketTables, NewsTable, RecordTables):
    """The market, news and your record, as of any moment, as tables for notebooks and scripts.

    It is the tools without a server: the same home and settings, the same numbers, the same errors. Every question
    takes `as_of`, and nothing later than that is ever in an answer; only closed candles are. It writes no run, no
    signal and no strategy. It adds what the tools add when they are asked: candles to the store, outcomes that are due
    now, and a row for each backtest, because each counts as a trial. It works beside a `claude-trader up` on the same
    home.

    Calls are plain ones, and wait for their answer: in a script, in a thread, and in a notebook, whose own event loop
    they do not use. Several threads may share one; a forked process makes its own. Close it, or use it in a `with`;
    else it closes when the program ends.

    Args:
        home: the folder with your strategies and journal; None: that of TRADER_HOME, else the default one.
        exchange: asked where a call names none; None: that of TRADER_EXCHANGE, else the default one.
        as_of: the latest moment that any answer may be as of, as TRADER_AS_OF.
        timeout_s: how long one call may take, in seconds.
        clock: returns the present as an aware datetime.

    Raises:
        BadInput: `as_of` is no moment.
        Misconfigured: a setting is not valid.
    """
