"""Fees have one unit: a part of the equity at the start in what programs read, per cent in what people read."""

import csv
import io
import os
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console

from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.report.backtest_page import backtest_page
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.assets import backtest_page_assets
from runner.backtest.files import trades_csv, write
from runner.cli.show_backtest import backtest as show_backtest
from tests.backtest.made_backtests import FIRST_MS, candles_of

PAID = 0.01 / 1.01
"""All of the equity is put in, 1 % of the purchase goes to the exchange, and nothing is sold."""


@pytest.fixture(scope="module")
def bought() -> Backtest:
    rules = {"buy": "close > 0"}
    strategy = parse_strategy("held", {"trading_pair": "BTC/USDT", "interval": "1d", "rules": rules}, None)
    costs = Assumptions(fee_bps=100, slippage_bps=0)
    end_ms = FIRST_MS + 8 * 86_400_000
    task = BacktestTask(strategy, "simulated", "BTC/USDT", candles_of([50.0] * 8), FIRST_MS, end_ms, costs)
    return run_backtest(task, clock=count().__next__, proof_limit_s=2)


def test_programs_read_a_part_of_the_equity_at_the_start(bought: Backtest) -> None:
    (row,) = csv.DictReader(io.StringIO(trades_csv(bought.trades()).decode()))
    answer = bought.answer()
    assert [float(row["fees"]), answer["fees_paid"], answer["open_trade"]["fees"]] == [pytest.approx(PAID)] * 3


def test_people_read_per_cent_of_it(bought: Backtest) -> None:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as terminal:
        show_backtest(console, {**bought.answer(), "backtest_id": 1})
    page = backtest_page({**bought.answer(), "months": bought.months()}, bought.simulated, backtest_page_assets())
    assert "fees paid 1.0 % of the starting equity" in " ".join(terminal.get().split())
    assert "<dt>Fees paid</dt><dd>0.9901 %<small>of what it began with" in page
    assert "Fees %" in page
    assert ">0.9901</td>" in page


def test_a_file_has_the_rights_that_new_files_of_this_user_have(bought: Backtest, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "trades.csv", trades_csv(bought.trades()))
    finally:
        os.umask(before)
    assert (tmp_path / "trades.csv").stat().st_mode & 0o777 == 0o640
