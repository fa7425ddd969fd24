"""What `backtest` shows a person, and the files that it writes."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcp_server.errors import BadInput
from runner.backtest.files import TRADE_KEYS, check_target, trades_csv, write
from runner.cli.show_backtest import GROUPS, LABEL, backtest, why_undefined
from runner.cli.show_grid import MOST_ROWS, grid

ANSWER: dict[str, Any] = {
    "backtest_id": 7,
    "strategy_name": "rsi-idea", "version": "0123456789ab", "exchange": "coinbase", "symbol": "BTC/USD",
    "timeframe": "1h", "start": "2017-07-01T11:00Z", "end": "2019-07-04T02:00Z", "candles": 17_583, "missing": 3,
    "side": "long", "fee_bps": 20.0, "slippage_bps": 0.0, "return_pct": -59.3, "buy_and_hold_pct": 391.7,
    "cagr_pct": -36.1, "exposure_pct": 55.5, "volatility_pct": 61.2, "sharpe": -0.41, "sharpe_ci95": [-1.9, 1.0],
    "sharpe_probabilistic": 0.28, "sharpe_deflated": 0.125, "trials": 3, "min_track_record_days": None,
    "sortino": -0.5, "calmar": -0.4, "max_drawdown_pct": 82.9, "average_drawdown_pct": 10.2,
    "max_drawdown_days": 560.1, "trades": 61, "win_rate_pct": 68.9, "best_pct": 12.2, "worst_pct": -40.1,
    "average_pct": -1.0, "profit_factor": 0.7, "expectancy_pct": -1.0, "sqn": -0.9, "turnover": 121.3,
    "fees_paid": 0.22, "open_trade": True, "summary": ["It lost 59.3 %, worse than holding.", "It closed 61 trades."],
    "signals": {"buy": 10, "sell": 20, "hold": 17_000, "undecided": 14},
    "controls": {
        "random_percentile": 3.0, "random_sets": 1000, "bar_later_return_pct": -61.0, "double_cost_return_pct": -70.0,
        "first_70_return_pct": -60.0, "last_30_return_pct": 1.0,
    },
    "look_ahead": {"checked": 300, "changed": 0},
}  # fmt: skip

UNDEFINED = (
    *("cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar", "average_drawdown_pct", "sqn", "sharpe_ci95"),
    *("sharpe_probabilistic", "sharpe_deflated", "profit_factor", "win_rate_pct", "best_pct", "worst_pct"),
    *("average_pct", "expectancy_pct"),
)
NOTHING = {"trades": 0, "max_drawdown_pct": 0.0, "max_drawdown_days": 0.0, "open_trade": False, "missing": 0}
EMPTY = {**ANSWER, **dict.fromkeys(UNDEFINED), **NOTHING, "controls": dict.fromkeys(ANSWER["controls"])}


def shown(answer: dict[str, Any], width: int = 80) -> str:
    text = io.StringIO()
    backtest(Console(file=text, width=width, highlight=False, emoji=False), answer)
    return text.getvalue()


def line_of(text: str, label: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {label:<{LABEL}} ")]
    return " ".join(line.split())


def test_what_it_means_comes_before_the_figures() -> None:
    text = shown(ANSWER)
    assert text.startswith(
        "rsi-idea  BTC/USD  1h candles of coinbase\n2017-07-01 11:00 to 2019-07-04 02:00 UTC, 17,583 candles"
    )
    assert "long only, 0.2 % fee and 0 % slippage a side, filled at the next open" in text
    assert text.index("It lost 59.3 %") < text.index("It closed 61 trades.") < text.index("Result\n")


def test_each_figure_of_the_answer_is_shown_with_its_unit() -> None:
    text = shown(ANSWER)
    for label, figure in {
        "return": "-59.3 %",
        "holding": "+391.7 %",
        "longest drawdown": "560 days",
        "closed trades": "61",
        "profit factor": "0.70",
        "fees paid": "22.0 % of the starting equity",
        "Sharpe, 95 % sure": "-1.90 to 1.00",
        "the same, deflated": "12.5 % counting 3 variants tried",
        "beats random trades": "3.0 % of 1,000 sets, as many and as long",
        "last 30 %": "+1.0 %",
    }.items():
        assert line_of(text, label).startswith(f"{label} {figure}"), label
    assert "10 BUY, 20 SELL, 17,000 HOLD, 14 undecided" in text
    assert "Missing candles: 3" in text
    assert "The last trade is still open" in text
    assert "at 300 cuts other candles came after; nothing before changed" in text


@pytest.mark.parametrize("answer", [ANSWER, EMPTY], ids=["whole", "empty"])
def test_it_fits_into_80_columns_with_one_line_for_each_figure(answer: dict[str, Any]) -> None:
    lines = [line.rstrip() for line in shown(answer).splitlines()]
    assert max(map(len, lines)) <= 80
    figures = [line for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert len(figures) >= sum(len(rows) for _, rows in GROUPS)
    for row in (row for _, rows in GROUPS for row in rows):
        assert len([line for line in lines if line.startswith(f"  {row.label:<{LABEL}} ")]) == 1, row.label


def test_a_figure_that_is_not_defined_is_a_dash_with_the_reason() -> None:
    text = shown(EMPTY)
    assert line_of(text, "won") == "won - no trade was closed"
    assert line_of(text, "Calmar ratio") == "Calmar ratio - it never fell below a peak"
    assert line_of(text, "Sharpe ratio") == "Sharpe ratio - the equity did not move"
    assert line_of(text, "beats random trades") == "beats random trades - no trade was closed"
    short = shown({**EMPTY, "end": "2017-09-01T00:00Z"})
    assert line_of(short, "Sharpe ratio") == "Sharpe ratio - needs 90 days of candles"
    assert line_of(shown({**ANSWER, "profit_factor": None}), "profit factor") == "profit factor - no trade lost"
    assert line_of(shown(ANSWER), "record needed") == "record needed - none: the Sharpe ratio is not above 0"


def test_what_is_not_known_is_said() -> None:
    text = shown({**ANSWER, "unfilled": 2, "missing_fundings": 1_234})
    assert "Orders whose candle is missing: 2; they lapsed." in text
    assert "Fundings that are not known: 1,234; they are not counted." in text


def test_the_number_by_which_a_backtest_is_drawn_is_shown() -> None:
    assert "In the journal it is backtest 7; Claude draws it by that number." in shown(ANSWER)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.0, "0 days"),
        (11 / 24, "0.46 days"),
        (1.0, "1 day"),
        (1.4, "1.4 days"),
        (9.99, "10 days"),
        (1_234.5, "1,234 days"),
    ],
)
def test_hours_below_a_peak_are_not_nothing_and_a_day_is_one(days: float, words: str) -> None:
    assert line_of(shown({**ANSWER, "max_drawdown_days": days}), "longest drawdown").startswith(
        f"longest drawdown {words} "
    )


def test_a_ratio_next_to_nothing_has_no_sign() -> None:
    text = shown({**ANSWER, "sharpe": -0.003, "sharpe_ci95": [-0.004, 1.0]})
    assert line_of(text, "Sharpe ratio").startswith("Sharpe ratio 0.00 ")
    assert line_of(text, "Sharpe, 95 % sure").startswith("Sharpe, 95 % sure 0.00 to 1.00 ")


def test_an_invented_market_is_said_to_be_one() -> None:
    assert "17,583 candles; the market is invented" in shown({**ANSWER, "simulated": True})
    assert "invented" not in shown(ANSWER)


def test_a_probability_below_the_bar_is_never_written_as_the_bar() -> None:
    assert line_of(shown({**ANSWER, "sharpe_deflated": 0.94996}), "the same, deflated").startswith(
        "the same, deflated 94.9 %"
    )
    assert line_of(shown({**ANSWER, "sharpe_deflated": 0.95}), "the same, deflated").startswith(
        "the same, deflated 95.0 %"
    )


def test_each_year_stands_beside_holding() -> None:
    years = [{"period": "2018", "return_pct": -12.34, "buy_and_hold_pct": 5.0}]
    assert line_of(shown({**ANSWER, "years": years}), "2018") == "2018 -12.3 % +5.0 %"


def test_each_fold_stands_beside_holding_with_what_a_fold_is() -> None:
    folds = [FOLD, {**FOLD, "start": "2026-02-01T00:00Z", "end": "2026-03-01T00:00Z", "return_pct": None}]
    text = shown(
        {**ANSWER, "years": [{"period": "2018", "return_pct": -12.34, "buy_and_hold_pct": 5.0}], "folds": folds}
    )
    lines = text.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("By fold"))
    first, second = lines[at + 1 : at + 3]
    assert first.split() == ["2026-01-01", "to", "2026-02-01", "-1.0", "%", "+2.0", "%"]
    assert second.split() == ["2026-02-01", "to", "2026-03-01", "-", "+2.0", "%"], "it was ruined before"
    assert (
        len({line.rstrip().rindex("%") for line in (*lines[at + 1 : at + 3], *lines) if line.startswith("  20")}) == 1
    )
    words = " ".join(text.split())
    assert "A fold is a part of the time" in words
    assert "neither chosen nor trained" in words
    assert max(map(len, lines)) <= 80
    assert "fold" not in shown({**ANSWER, "folds": []})


def test_look_ahead_that_was_found_is_not_to_be_overlooked() -> None:
    text = shown({**ANSWER, "look_ahead": {"checked": 300, "changed": 7}})
    assert "LOOK-AHEAD: 7 columns changed where other candles came after one of 300 cuts!" in " ".join(text.split())
    assert "nothing before changed" not in text


def variant(label: str, sharpe: float | None, error: str | None = None) -> dict[str, Any]:
    figures = {"return_pct": 12.34, "max_drawdown_pct": 20.0, "trades": 16, "sharpe": sharpe, "sharpe_deflated": 0.648}
    return {"variant": label, "error": error, **(dict.fromkeys(figures) if error else figures)}


FOLD = {"start": "2026-01-01T00:00Z", "end": "2026-02-01T00:00Z", "return_pct": -1.0, "buy_and_hold_pct": 2.0}
GRID = {
    **ANSWER,
    "variants": [variant("as it is", 0.38), variant("35 → 30", None), variant("35 → 25", 0, "It failed.")],
    "pbo": 0.6,
    "walk_forward": {"return_pct": -3.0, "buy_and_hold_pct": 2.0, "folds": [{**FOLD, "variant": "35 → 30"}]},
    "summary": ["1 of 3 variants gained."],
}


def test_a_figure_that_is_undefined_has_the_reason_that_is_its_own() -> None:
    rose = {**ANSWER, "max_drawdown_pct": 0.0}
    assert why_undefined("sortino", rose) == why_undefined("calmar", rose) == "it never fell below a peak"
    assert why_undefined("cagr_pct", ANSWER) == "it is too large for a number"
    assert why_undefined("sharpe", ANSWER) == "the equity did not move"
    assert why_undefined("sortino", {**rose, "end": ANSWER["start"]}) == "needs 90 days of candles"


def shown_grid(answer: dict[str, Any]) -> list[str]:
    text = io.StringIO()
    grid(Console(file=text, width=80, highlight=False, emoji=False), answer)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_a_grid_shows_every_variant_with_its_deflated_figure_and_what_choosing_anew_had_brought() -> None:
    lines = shown_grid(GRID)
    assert lines[0] == "rsi-idea BTC/USD 1h candles of coinbase"
    assert "+12.3 % 20.0 % 16 0.38 64.8 % as it is" in lines
    assert "+12.3 % 20.0 % 16 - 64.8 % 35 → 30" in lines
    assert "failed 35 → 25: It failed." in lines
    assert "Choosing anew by what was known: -3.0 % in all" in lines
    assert "2026-01-01 to 2026-02-01 -1.0 % (holding +2.0 %) 35 → 30" in lines
    assert not any("Choosing anew" in line for line in shown_grid({**GRID, "walk_forward": None}))


def test_of_very_many_variants_the_best_are_shown_and_the_others_counted() -> None:
    many = [variant(f"35 → {number}", number / 100) for number in range(MOST_ROWS + 5)]
    lines = shown_grid({**GRID, "variants": many})
    assert len([line for line in lines if "35 → " in line and "%" in line and "holding" not in line]) == MOST_ROWS
    assert "5 more with a lower Sharpe ratio: --json has all." in lines


def test_trades_are_written_as_csv_with_the_keys_of_the_answer() -> None:
    trade = dict(zip(TRADE_KEYS, ("long", "t0", "t1", 100.5, None, None, -1.25, 0.001, 0.0, True), strict=True))
    header, row = csv.reader(io.StringIO(trades_csv([trade]).decode()))
    assert header == list(TRADE_KEYS)
    assert row == ["long", "t0", "t1", "100.5", "", "", "-1.25", "0.001", "0.0", "true"]


def test_a_file_that_could_not_be_written_is_refused_at_once(home: Path) -> None:
    (home / "folder.csv").mkdir()
    for name, problem in {
        "trades.txt": "does not end in .csv",
        "none/trades.csv": "no folder",
        "folder.csv": "is a folder",
    }.items():
        with pytest.raises(BadInput, match=problem):
            check_target("--trades", home / name, ".csv")
    with pytest.raises(BadInput, match="cannot be written"):
        check_target("--trades", Path("/proc/trades.csv"), ".csv")
    check_target("--trades", home / "trades.CSV", ".csv")
    check_target("--trades", None, ".csv")
    assert [file.name for file in home.iterdir()] == ["folder.csv"], "checking leaves nothing"


def test_a_file_that_cannot_be_written_in_the_end_is_an_error_and_leaves_the_old_one(home: Path) -> None:
    (home / "result.html").mkdir()
    with pytest.raises(BadInput, match=r"result\.html' cannot be written"):
        write(home / "result.html", b"new")
    assert [file.name for file in home.iterdir()] == ["result.html"]
