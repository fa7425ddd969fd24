"""The page of a backtest, opened in a real browser: it draws, asks nobody, and fits every screen."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, Simulated, run_backtest
from mcp_server.domain.candles import Candles
from mcp_server.domain.exchange import Funding
from mcp_server.domain.report.backtest_figures import GROUPS, figure_text
from mcp_server.domain.report.backtest_page import backtest_page
from mcp_server.domain.report.backtest_trades import MOST_ROWS
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.assets import backtest_page_assets
from tests.rigs.backtests import CONFIG, alternating, answer_of, backtest_of, sample_backtest
from tests.rigs.browser import DESKTOP, PHONE, Browser, OpenPage
from tests.rigs.random_walk import random_walk

HOUR_MS = 3_600_000
HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'> \"quoted\" & 'so'"
BY_CRON = {
    "trading_pair": "BTC/USD",
    "cron": "0 9 * * 1",
    "timezone": "America/New_York",
    "rules": {**CONFIG["rules"], "timeframe": "1h"},
}
DESCRIBED = {**CONFIG, "description": HOSTILE}


def page_of(made: Simulated, **others: Any) -> str:
    return backtest_page(answer_of(made, **others), made, backtest_page_assets())


def data_of(page: str) -> dict[str, Any]:
    """Return the data that the chart is drawn from."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page"), page_of(sample_backtest()))


def written(folder: Path, page: str) -> str:
    file = folder / "page.html"
    file.write_text(page, "utf-8")
    return file.as_uri()


def is_sound(opened: OpenPage, url: str) -> bool:
    """Return whether the chart is drawn and fits the screen, and nothing was complained of or asked for."""
    assert opened.complaints == []
    assert opened.requests in ([url], [url, "data:,"])
    assert max(opened.colors_of("#chart")) > 3
    assert not opened.is_wider_than_the_screen()
    return True


@pytest.mark.parametrize(
    ("size", "dark"),
    [
        pytest.param(DESKTOP, False, id="desktop"),
        pytest.param(PHONE, True, id="phone in the dark", marks=pytest.mark.long),
    ],
)
def test_the_chart_is_drawn_on_every_screen_and_read_by_keyboard_and_nothing_is_asked_for(
    chromium: Browser, sample: str, size: tuple[int, int], dark: bool
) -> None:
    with chromium.open(sample, size, dark=dark) as opened:
        assert is_sound(opened, sample)
        assert opened.violations() == []
        facts = opened.run("({...document.getElementById('chart').dataset})")
        background = opened.run("getComputedStyle(document.body).backgroundColor")
        the_keyboard_walks_through_the_trades_and_the_table_sorts(opened)
    assert facts["trades"] == "50"
    assert facts["triangles"] == ("0" if size == PHONE else "100")  # no room for them on a phone
    assert background == ("rgb(16, 20, 29)" if dark else "rgb(255, 255, 255)")


def the_keyboard_walks_through_the_trades_and_the_table_sorts(opened: OpenPage) -> None:
    """Assert that of the sample."""
    opened.page.focus("button[data-action=next]")
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Enter")
    entered, left = (opened.page.inner_text(f"tr[data-trade='1'] td:nth-child({column})") for column in (4, 6))
    readout = opened.page.inner_text("#readout")
    assert readout.startswith(f"Trade 2 of 50: long from {entered} UTC at ")
    assert f" to {left} UTC at " in readout
    assert opened.run("[...document.querySelectorAll('tr.chosen')].map(row => row.dataset.trade)") == ["1"]
    opened.page.focus("#trades th:nth-child(3) button")
    opened.page.keyboard.press("Enter")
    rows = "[...document.querySelectorAll('#trades tbody tr')].map(row => Number(row.cells[2].dataset.value))"
    sorted_by = opened.run(rows)
    assert len(sorted_by) == 50
    assert sorted_by == sorted(sorted_by)
    assert opened.complaints == []


def _ruined() -> Simulated:
    """Sell short before the price triples."""
    walk = random_walk(60)
    columns = [column.copy() for column in (walk.open, walk.high, walk.low, walk.close)]
    for column in columns:
        column[30:] *= 3
    columns[0][30] = walk.open[30]
    columns[2][30] = walk.low[30]
    candles = Candles(walk.open_time_ms, columns[0], columns[1], columns[2], columns[3], walk.volume)
    signals = np.zeros(60, dtype=np.int8)
    signals[10] = -1
    return backtest_of(candles, signals, Assumptions(side="both"))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(sample_backtest(100, 5, price=1e-8), id="tiny prices", marks=pytest.mark.long),
        pytest.param(backtest_of(random_walk(50), np.zeros(50, dtype=np.int8)), id="no trade", marks=pytest.mark.long),
        pytest.param(backtest_of(random_walk(1), np.ones(1, dtype=np.int8)), id="one candle"),
        pytest.param(_ruined(), id="ruined", marks=pytest.mark.long),
        pytest.param(sample_backtest(24_000, 4), id="three thousand trades on merged candles", marks=pytest.mark.long),
    ],
)
def test_extremes_break_nothing(chromium: Browser, tmp_path: Path, made: Simulated) -> None:
    undefined = {"sharpe": None, "sharpe_ci95": None, "profit_factor": None, "win_rate_pct": None, "best_pct": None}
    url = written(tmp_path, page_of(made, **undefined, months=[], years=[]))
    with chromium.open(url, PHONE) as opened:
        assert is_sound(opened, url)
        assert opened.run("document.querySelectorAll('#trades tbody tr').length") == len(made.simulation.trades)
        assert opened.run("document.getElementById('chart').dataset.trades") == str(len(made.simulation.trades))
        assert "NaN" not in opened.page.inner_text("body")
        assert "not defined" in opened.page.inner_text("body")


def test_what_strangers_wrote_stays_text(chromium: Browser, tmp_path: Path) -> None:
    answer = {"symbol": HOSTILE, "summary": [HOSTILE], "exchange": "<b>k"}
    made = backtest_of(random_walk(100), alternating(100, 5), config=DESCRIBED)
    url = written(tmp_path, page_of(made, **answer))
    with chromium.open(url) as opened:
        assert is_sound(opened, url)
        assert opened.run("window.hurt") is None
        text = opened.page.inner_text("main")
    assert text.count("window.hurt = 1") >= 4
    assert "\"quoted\" & 'so'" in text


def test_the_policy_lets_no_other_script_run_and_nothing_load(chromium: Browser, tmp_path: Path) -> None:
    page = page_of(sample_backtest(100, 5)).replace(
        "</main>", '<script>window.hurt = 1</script><img src="http://127.0.0.1:9/x.png"></main>'
    )
    url = written(tmp_path, page)
    with chromium.open(url) as opened:
        assert opened.run("window.hurt") is None
        assert len(opened.complaints) == 2
        assert all("Content Security Policy" in complaint for complaint in opened.complaints)


def test_the_policy_names_the_scripts_and_the_style_by_what_they_are() -> None:
    page = page_of(sample_backtest(100, 5))
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL) + re.findall(
        r"<style>(.*?)</style>", page, re.DOTALL
    )
    assert len(inline) == 3
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline}
    assert hashes == set(re.findall(r"'sha256-([^']+)'", page))


def test_the_data_has_every_candle_and_trade_and_a_hole_where_one_is_missing() -> None:
    walk = random_walk(200)
    kept = np.delete(np.arange(200), [50, 51])
    columns = (column[kept] for column in (walk.open, walk.high, walk.low, walk.close, walk.volume))
    made = backtest_of(Candles(walk.open_time_ms[kept], *columns), alternating(198, 10))
    data = data_of(page_of(made))
    assert len(data["candles"]) == 200
    assert [slot for slot, candle in enumerate(data["candles"]) if candle is None] == [50, 51]
    assert data["equity"][-1] == pytest.approx(float(made.simulation.equity[-1]) * 100)
    trades = made.simulation.trades
    assert [row[2] for row in data["trades"]] == trades.entry_price.tolist()
    times = [data["start"] + data["step"] * row[0] for row in data["trades"]]
    assert times == made.candles.open_time_ms[trades.entry].tolist()
    assert [row[6] for row in data["trades"]] == trades.open.astype(int).tolist()


def test_the_chart_tells_the_times_of_a_trade_as_the_table_does_though_candles_are_merged() -> None:
    made = sample_backtest(50_000, 7)
    page = page_of(made)
    rows = re.findall(r"<tr data-trade[^>]*>(.*?)</tr>", page)
    shown = [[int(re.findall(r'data-value="([^"]*)"', row)[at]) for at in (3, 5)] for row in rows]
    assert data_of(page)["merged"] == 3
    assert [row[7:9] for row in data_of(page)["trades"]][-len(shown) :] == shown
    assert made.simulation.trades.open[-1]


def test_a_rule_that_never_fell_shows_a_drawdown_of_0_and_not_of_minus_0() -> None:
    data = data_of(page_of(backtest_of(random_walk(5), np.zeros(5, dtype=np.int8))))
    assert str(data["drawdown"]) == "[0.0, 0.0, 0.0, 0.0, 0.0]"


def test_a_long_series_is_merged_with_its_extremes_and_the_page_says_so() -> None:
    made = sample_backtest(50_000, 100)
    page = page_of(made)
    data = data_of(page)
    assert data["merged"] == 3
    assert "Each bar is 3 candles" in page
    bars = np.array(data["candles"])
    assert bars[:, 1].max() == pytest.approx(made.candles.high.max())
    assert bars[:, 2].min() == pytest.approx(made.candles.low.min())
    equity = np.array(data["equity"])
    assert equity[:, 1].max() == pytest.approx(made.simulation.equity.max() * 100)
    assert equity[:, 2].min() == pytest.approx(made.simulation.equity.min() * 100)
    peak = np.maximum(np.maximum.accumulate(made.simulation.equity), 1)
    deepest = np.maximum.reduceat(100 * (1 - made.simulation.equity / peak), np.arange(0, 50_000, 3))
    assert data["drawdown"] == pytest.approx((-deepest).tolist(), rel=1e-5, abs=1e-9)
    assert len(data["trades"]) == len(made.simulation.trades)


def test_of_very_many_trades_the_table_has_the_latest_and_says_where_all_are() -> None:
    made = sample_backtest(24_000, 2)
    page = page_of(made)
    assert len(made.simulation.trades) == 6_000
    assert page.count("<tr data-trade=") == MOST_ROWS
    assert f"Only the latest {MOST_ROWS:,} of 6,000 are shown; the file of --trades has all." in page
    assert 'data-trade="5999"' in page
    assert len(data_of(page)["trades"]) == 6_000


def test_a_row_of_the_table_is_its_trade_and_an_open_one_ends_at_the_last_close() -> None:
    made = backtest_of(random_walk(24), alternating(24, 8))
    trades = made.simulation.trades
    rows = re.findall(r"<tr data-trade[^>]*>(.*?)</tr>", page_of(made))
    closed, opened = (re.findall(r'data-value="([^"]*)">([^<]*)<', row) for row in rows)
    assert [text for _, text in closed[:2]] == ["1", "long"]
    assert float(closed[2][0]) == pytest.approx(trades.return_ratio[0] * 100)
    texts = [closed[at][1] for at in (3, 5, 7, 10)]
    assert texts == ["2026-01-01 01:00", "2026-01-01 09:00", "2026-01-01 01:00", "closed"]
    assert [float(closed[at][0]) for at in (4, 6)] == [trades.entry_price[0], trades.exit_price[0]]
    assert float(closed[8][0]) == trades.fees[0]
    assert [opened[at][1] for at in (3, 5, 10)] == ["2026-01-01 17:00", "2026-01-02 00:00", "open"]
    assert float(opened[6][0]) == made.candles.close[-1]


def test_every_assumption_is_told_in_words() -> None:
    made = sample_backtest(100, 5)
    signals = {"buy": 1, "sell": 2, "hold": 3, "undecided": 41}
    page = page_of(
        made, fee_bps=7.5, slippage_bps=2.5, side="both", stake_pct=25.0, missing=13, unfilled=3, signals=signals,
        trials=19, look_ahead={
            "checked": 211, "decisions": 12, "changed": 4,
            "where": [["ema_<10>", "2026-01-02T03:00Z", "2026-01-02T02:00Z"]],
        },
    )  # fmt: skip
    words = (
        "filled at the open of the next candle", "fee of 0.075 %", "0.025 % worse than the open", "Long and short",
        "25 % of the equity at the start", "13 candles of the time are missing", "3 orders fell on a missing candle",
        "At 41 moments", "19 variants", "at 211 cuts, 12 of them at entries and exits", "4 columns changed",
        "At the cut 2026-01-02T02:00Z, &#x27;ema_&lt;10&gt;&#x27; at 2026-01-02T03:00Z changed",
        "A trade that is open at the end counts at the last close", "crosses_above(rsi_14, 30)",
    )  # fmt: skip
    assert [sentence for sentence in words if sentence not in page] == []
    alone = page_of(made)
    assert "Long only" in alone
    assert "the whole equity" in alone
    assert "perpetual" not in alone
    cron = backtest_of(random_walk(9), alternating(9, 2), config=BY_CRON)
    assert "Decided by the schedule <code>0 9 * * 1 America/New_York</code>" in page_of(cron)
    assert "Built from &lt;1m&gt;" in page_of(made, note="Built from <1m>")
    assert "The prices are invented" not in alone
    assert "The prices are invented" in page_of(made, exchange="simulated")


def test_a_page_counts_the_fundings_of_the_time_that_has_candles_as_the_answer_does() -> None:
    walk = random_walk(39)
    first_ms = int(walk.open_time_ms[0])
    fundings = [Funding(first_ms + hours * HOUR_MS, 1e-4) for hours in (-16, -8, 0, 8, 24, 32)]  # 16 is missing
    swap = backtest_of(walk, alternating(39, 9), symbol="BTC/USD:USD", fundings=fundings)
    asked = replace(swap, task=replace(swap.task, start_ms=first_ms - 1_000 * HOUR_MS))
    page = page_of(asked)
    assert "This is a perpetual market: 4 settled fundings of the time counted" in page
    assert "1 settlement of the time is not known and cost" in page
    fewer = replace(swap, task=replace(swap.task, fundings=fundings[2:4]))
    assert "3 settlements of the time are not known" in page_of(fewer)
    assert "1 candle of the time is missing" in page_of(asked, missing=1)


def test_a_probability_below_the_bar_is_not_written_as_the_bar() -> None:
    texts = [figure_text("sharpe_deflated", value) for value in (0.949_96, 0.999_96, 1.0)]
    assert texts == ["94.99 %", "99.99 %", "100 %"]
    assert [figure_text("max_drawdown_days", value) for value in (1.0, 0.5)] == ["1 day", "0.5 days"]


def test_each_figure_is_shown_with_its_unit_and_an_undefined_one_as_undefined() -> None:
    page = page_of(sample_backtest(100, 5), sharpe_ci95=[-0.321, 1.712], cagr_pct=None, min_track_record_days=1210.4)
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd[^>]*>([^<]+)<", page))
    assert figures["Sharpe, 95 % interval"] == "\N{MINUS SIGN}0.321 to 1.712"
    assert figures["Return a year"] == "not defined"
    assert figures["Record that it needs"] == "1,210 days"
    assert figures["Better than chance"] == "71"
    assert figures["Deflated Sharpe"] == "42 %"
    assert figures["Fees paid"] == "8.12 %"
    assert figures["Deepest drawdown"] == "22.1 %"
    months = re.findall(r'<th scope="row">2026</th>(.*?)</tr>', page)[0]
    assert re.findall(r">([^<]*)</td>", months) == ["4.5", "\N{MINUS SIGN}3", "", "", "\N{MINUS SIGN}1.25", *[""] * 9]


def test_each_fold_is_shown_beside_holding_with_what_a_fold_is() -> None:
    fold = {"start": "2026-01-01T00:00Z", "end": "2026-02-01T00:00Z", "return_pct": -1.5, "buy_and_hold_pct": 2.0}
    page = page_of(sample_backtest(100, 5), folds=[fold, {**fold, "return_pct": None}])
    cells = [re.findall(r">([^<]*)</td>", row) for row in re.findall(r"2026-01-01 to 2026-02-01</th>(.*?)</tr>", page)]
    assert cells == [["\N{MINUS SIGN}1.5", "2"], ["", "2"]]
    assert "neither chosen nor trained" in page
    assert "Fold by fold" not in page_of(sample_backtest(100, 5), folds=[])


def test_every_figure_that_the_page_shows_is_in_the_answer_of_a_real_backtest() -> None:
    walk = random_walk(200)
    rules = {"indicators": ["ema(9)"], "buy": "crosses_above(close, ema_9)", "sell": "crosses_below(close, ema_9)"}
    strategy = parse_strategy("sample", {**CONFIG, "rules": rules}, None)
    times = int(walk.open_time_ms[50]), int(walk.open_time_ms[-1]) + 3_600_000
    done = run_backtest(BacktestTask(strategy, "kraken", "BTC/USD", walk, *times, Assumptions()))
    answer = {**done.answer(), "months": done.months(), "folds": done.folds()}
    for rows in GROUPS.values():
        for key, _, _ in rows:
            first, _, second = key.partition(".")
            assert second in answer[first] if second else first in answer, key
    page = backtest_page(answer, done.simulated, backtest_page_assets())
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd[^>]*>([^<]+)<", page))
    assert figures["Closed trades"] == str(done.figures.trades) != "0"
    assert [text for text in answer["summary"] if html.escape(text) not in page] == []
    assert '<th scope="row">2026</th>' in page
    assert len(re.findall(r'<th scope="row">\d{4}-\d\d-\d\d to ', page)) == 5


def test_the_footer_gives_the_chart_library_its_credit() -> None:
    footer = page_of(sample_backtest(100, 5)).partition("<footer>")[2]
    assert 'href="https://www.tradingview.com/"' in footer
    assert "Lightweight Charts™" in footer
    assert "Apache License 2.0" in footer
