"""The Python interface: `from mcp_server.trader import Trader`."""

from mcp_server.trader.backtest_report import BacktestReport
from mcp_server.trader.frame import Frame
from mcp_server.trader.invented import invented_home
from mcp_server.trader.score_report import ScoreReport
from mcp_server.trader.trader import Trader

__all__ = ["BacktestReport", "Frame", "ScoreReport", "Trader", "invented_home"]
