"""The sentences of a backtest: each branch, no figure without its control, no figure twice, no advice."""

import re
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from mcp_server.domain.backtest.assumptions import Assumptions
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.domain.backtest.summary import BacktestFacts, summary
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.timeframes import DAY_MS

README_IDEA = BacktestFacts(
    return_pct=-59.3,
    buy_and_hold_pct=391.7,
    max_drawdown_pct=82.9,
    buy_and_hold_drawdown_pct=84.1,
    days=732.6,
    trades=61,
    win_rate_pct=68.9,
    profit_factor=0.7,
    open_trade=False,
    costs=True,
    ruined_at=None,
    sharpe=-0.41,
    sharpe_ci95=(-1.83, 1.02),
    sharpe_deflated=0.31,
    trials=1,
    min_track_record_days=None,
    random_percentile=2.0,
    bar_later_return_pct=-60.4,
    double_cost_return_pct=-67.5,
    first_70_return_pct=-77.3,
    last_30_return_pct=50.6,
    first_70_buy_and_hold_pct=55.2,
    last_30_buy_and_hold_pct=216.8,
    decisions=17583,
    undecided=15,
    missing=0,
    unfilled=0,
    checked=200,
    changed=0,
)
GOOD = replace(
    README_IDEA,
    return_pct=80.1,
    buy_and_hold_pct=12.4,
    profit_factor=2.5,
    sharpe=1.71,
    sharpe_ci95=(0.32, 3.05),
    sharpe_deflated=0.962,
    random_percentile=98.7,
    bar_later_return_pct=71.2,
    double_cost_return_pct=66.6,
    first_70_return_pct=30.9,
    last_30_return_pct=37.8,
    undecided=0,
)
NEVER = replace(
    README_IDEA,
    return_pct=0.0,
    max_drawdown_pct=0.0,
    trades=0,
    win_rate_pct=None,
    profit_factor=None,
    sharpe=None,
    sharpe_ci95=None,
    sharpe_deflated=None,
    random_percentile=None,
    bar_later_return_pct=0.0,
    double_cost_return_pct=0.0,
    first_70_return_pct=0.0,
    last_30_return_pct=0.0,
)
EVERYTHING = replace(GOOD, trials=12, missing=3, unfilled=2, undecided=7, open_trade=True, min_track_record_days=2210.0)


def changed(facts: BacktestFacts, **values: Any) -> str:
    return " ".join(summary(replace(facts, **values)))


def test_the_idea_of_the_readme_is_told_in_words_that_a_beginner_understands() -> None:
    first, trades, chance, frail, halves, sharpe, reservations = summary(README_IDEA)
    assert "lost 59.3 %, worse than simply holding, which gained 391.7 %" in first
    assert "closed 61 trades" in trades
    assert "won 69 % of them, but these gained less than the others lost" in trades
    assert "at worst 82.9 % below its peak (holding: 84.1 %)" in trades
    assert "980 did better: it chose its moments worse than chance" in chance
    assert "one candle later it would have lost 60.4 %; at twice the cost it would have lost 67.5 %" in frail
    assert "In the first 70 % of the time it lost 77.3 % (holding gained 55.2 %)" in halves
    assert "in the last 30 % it gained 50.6 % (holding gained 216.8 %)" in halves
    assert "-0.41; the 95 % interval, -1.83 to 1.02, includes zero, so it may be luck" in sharpe
    assert "31 %, below the usual bar" in sharpe
    assert "replacing what comes after 200 moments changed nothing earlier" in reservations
    assert "no decision at 15 of 17,583 moments" in reservations


@pytest.mark.parametrize(
    ("facts", "values", "words"),
    [
        (GOOD, {}, "gained 80.1 %, better than simply holding, which gained 12.4 %"),
        (GOOD, {"buy_and_hold_pct": 80.11}, "gained 80.1 %, just as holding did"),
        (GOOD, {"buy_and_hold_pct": None}, "what holding did is not known"),
        (GOOD, {"buy_and_hold_pct": 0.04}, "better than simply holding, which ended where it began"),
        (GOOD, {"buy_and_hold_pct": 12345.6}, "worse than simply holding, which gained 12,345.6 %"),
        (README_IDEA, {"buy_and_hold_pct": -70.0}, "lost 59.3 %, better than simply holding, which lost 70.0 %"),
        (README_IDEA, {"return_pct": -100.0, "ruined_at": "2018-01-02T03:00Z"}, "lost everything, worse than"),
        (README_IDEA, {"return_pct": -100.0, "ruined_at": "2018-01-02T03:00Z"}, "ruined at 2018-01-02T03:00Z"),
        (GOOD, {"trades": 29}, "It closed 29 trades, too few to tell skill from luck, and won "),
        (GOOD, {"trades": 1, "win_rate_pct": 100.0}, "Only one trade is closed, too few"),
        (GOOD, {"trades": 0, "open_trade": True, "win_rate_pct": None}, "No trade is closed yet, too few"),
        (GOOD, {"win_rate_pct": 100.0, "profit_factor": None}, "61 trades and won all of them"),
        (GOOD, {"win_rate_pct": 0.0, "profit_factor": 0.0}, "61 trades and won none of them"),
        (GOOD, {"trades": 300, "win_rate_pct": 100 * 299 / 300}, "won over 99 % of them"),
        (GOOD, {"trades": 300, "win_rate_pct": 100 / 300}, "won under 1 % of them"),
        (GOOD, {"win_rate_pct": 31.0}, "won 31 % of them, but these gained more than the others lost"),
        (
            GOOD,
            {"win_rate_pct": 31.0, "profit_factor": 0.5},
            "31 % of them, and these gained less than the others lost",
        ),
        (GOOD, {"win_rate_pct": 61.0}, "won 61 % of them, and these gained more than the others lost"),
        (GOOD, {"win_rate_pct": 61.0, "profit_factor": None}, "won 61 % of them; its equity"),
        (GOOD, {"win_rate_pct": None}, "closed 61 trades; its equity"),
        (GOOD, {"buy_and_hold_drawdown_pct": None}, "below its peak."),
        (GOOD, {}, "13 did better: chance seldom does as well"),
        (GOOD, {"random_percentile": 100.0}, "0 did better: chance seldom does as well."),
        (GOOD, {"return_pct": -3.0}, "13 did better: chance seldom does as well, and still it lost."),
        (GOOD, {"return_pct": -0.04}, "13 did better: chance seldom does as well."),
        (GOOD, {"return_pct": 0.04, "bar_later_return_pct": -0.04}, "later it would have ended where it began; at"),
        (GOOD, {"return_pct": 0.04, "double_cost_return_pct": -0.04}, "cost it would have ended where it began."),
        (
            GOOD,
            {"first_70_return_pct": 0.04, "last_30_return_pct": -0.04},
            "ended where it began (holding gained 216.8 %).",
        ),
        (GOOD, {"min_track_record_days": 2210.0}, "; to show skill, this record of 733 days would have to be 2,210"),
        (
            GOOD,
            {"min_track_record_days": 2210.0, "trials": 2},
            "; to show skill even as the only one tried, this record",
        ),
        (GOOD, {"buy_and_hold_sharpe": 1.294}, "is 1.71 (holding: 1.29); the 95 % interval"),
        (
            GOOD,
            {"sharpe_ci95": (-0.06, 2.56)},
            "it may be luck; the probability that it is truly above zero is 96 %, only just",
        ),
        (GOOD, {"random_percentile": 95.1}, "49 did better: chance seldom"),
        (GOOD, {"random_percentile": 95.0}, "50 did better: chance alone explains"),
        (GOOD, {"random_percentile": 50.0}, "500 did better: chance alone explains"),
        (GOOD, {"random_percentile": 5.0}, "950 did better: chance alone explains"),
        (GOOD, {"random_percentile": 4.9}, "951 did better: it chose its moments worse than chance"),
        (GOOD, {"random_percentile": 97.5, "random_sets": 200}, "Of 200 random sets of as many and as long trades, 5"),
        (GOOD, {"random_percentile": 100.0, "random_sets": 20}, "long trades, 0 did better: chance seldom"),
        (GOOD, {"random_percentile": 95.0, "random_sets": 20}, "long trades, 1 did better: chance alone explains"),
        (GOOD, {"random_percentile": 0.0, "random_sets": 20}, "20 did better: it chose its moments worse than chance"),
        (GOOD, {"costs": False}, "Without any costs it gained 80.1 %, better than"),
        (GOOD, {"costs": False}, "Filled one candle later it would have gained 71.2 %."),
        (GOOD, {"double_cost_return_pct": -99.96}, "at twice the cost it would have lost nearly everything"),
        (GOOD, {"double_cost_return_pct": -99.9}, "lost 99.9 %"),
        (GOOD, {"sharpe_deflated": 0.9499}, "is 94 %, below the usual bar"),
        (GOOD, {"sharpe_deflated": 0.95}, "is 95 %, above the usual bar"),
        (GOOD, {"bar_later_return_pct": -5.5}, "later it would have lost 5.5 %, so it hangs on a single candle"),
        (GOOD, {"double_cost_return_pct": -6.5}, "lost 6.5 %, so its gain is within the doubt about costs"),
        (GOOD, {"last_30_return_pct": -7.5}, "lost 7.5 % (holding gained 216.8 %): what worked did not go on"),
        (GOOD, {"bar_later_return_pct": None}, "At twice the cost it would have gained 66.6 %."),
        (GOOD, {"double_cost_return_pct": None}, "Filled one candle later it would have gained 71.2 %."),
        (GOOD, {"first_70_buy_and_hold_pct": None}, "it gained 30.9 %, and in the last"),
        (GOOD, {}, "1.71; the 95 % interval, 0.32 to 3.05, is above zero"),
        (GOOD, {"sharpe_ci95": (-3.0, -0.1)}, "-3.00 to -0.10, is below zero"),
        (GOOD, {"sharpe_ci95": (0.0, 3.0)}, "0.00 to 3.00, includes zero, so it may be luck"),
        (GOOD, {"days": 42.3, "sharpe": None, "sharpe_ci95": None}, "A record of 42 days is too short for a Sharpe"),
        (GOOD, {"days": 1.0, "sharpe": None}, "A record of 1 day is too short"),
        (GOOD, {"days": 89.96, "sharpe": None}, "A record of 89 days is too short"),
        (GOOD, {"days": 0.069, "sharpe": None}, "A record of 0.069 days is too short"),
        (GOOD, {"days": 364.9, "min_track_record_days": 365.3}, "record of 365 days would have to be a little longer"),
        (GOOD, {}, "truly above zero is 96 %, above the usual bar of 95 %"),
        (GOOD, {"sharpe_deflated": 0.9999}, "over 99 %"),
        (GOOD, {"sharpe_deflated": 0.0001}, "under 1 %, below"),
        (GOOD, {"trials": 50, "sharpe_deflated": 0.456}, "after 50 variants tried, the probability that it beats the"),
        (GOOD, {"trials": 50, "sharpe_deflated": 0.456}, "best of that many by luck is 45 %, below the usual bar"),
        (GOOD, {"min_track_record_days": 2210.2}, "this record of 733 days would have to be 2,210 days long"),
        (GOOD, {"changed": 1, "checked": 200}, "It looks into the future: 1 column changed"),
        (GOOD, {"changed": 1, "missing": 1}, "Keep in mind: 1 candle missing."),
        (GOOD, {"checked": 0, "missing": 1}, "was not checked; keep in mind: 1 candle missing."),
        (GOOD, {"checked": 0}, "Whether it looks into the future was not checked."),
        (GOOD, {"checked": 1}, "after 1 moment changed nothing"),
        (GOOD, {"missing": 1}, "earlier; keep in mind: 1 candle missing."),
        (GOOD, {"missing_fundings": 3}, "keep in mind: 3 fundings not known, and so not paid."),
        (GOOD, {"unfilled": 2}, "2 orders not filled, as the candle is missing"),
        (GOOD, {"open_trade": True}, "one trade still open, valued at the last close"),
        (NEVER, {}, "never traded, so there is nothing to judge; holding gained 391.7 % in that time"),
        (NEVER, {"buy_and_hold_pct": None}, "nothing to judge."),
    ],
)
def test_each_control_is_put_into_words(facts: BacktestFacts, values: dict[str, Any], words: str) -> None:
    assert words in changed(facts, **values)


@pytest.mark.parametrize(
    ("facts", "values", "words"),
    [
        (GOOD, {}, "eep in mind"),
        (GOOD, {"changed": 1}, "eep in mind"),
        (GOOD, {"changed": 1}, "changed nothing earlier"),
        (GOOD, {"changed": 1}, "Sharpe"),
        (README_IDEA, {}, "did not go on"),
        (GOOD, {"last_30_return_pct": None}, "first 70"),
        (GOOD, {"random_percentile": None}, "random"),
        (GOOD, {"sharpe": None, "sharpe_ci95": None}, "Sharpe"),
        (GOOD, {"sharpe_ci95": None}, "Sharpe"),
        (GOOD, {"days": 90.0}, "too short"),
        (GOOD, {"costs": False}, "cost it"),
        (GOOD, {"sharpe_deflated": None}, "probability"),
        (GOOD, {"min_track_record_days": 100.0}, "would have to be"),
        (GOOD, {"first_70_return_pct": None}, "last 30"),
        (GOOD, {"trades": 30}, "too few"),
        (GOOD, {"bar_later_return_pct": 0.3}, "single candle"),
        (README_IDEA, {}, "single candle"),
        (README_IDEA, {}, "doubt about costs"),
        (NEVER, {}, "Sharpe"),
        (NEVER, {}, "did better"),
    ],
)
def test_what_is_undefined_or_well_is_not_spoken_of(facts: BacktestFacts, values: dict[str, Any], words: str) -> None:
    assert words not in changed(facts, **values)


def test_a_rule_that_sees_the_future_is_told_before_anything_else() -> None:
    assert "no figure here means anything" in summary(replace(GOOD, changed=4))[0]


@pytest.mark.parametrize("facts", [README_IDEA, GOOD, NEVER, EVERYTHING, replace(EVERYTHING, changed=5)])
def test_it_is_short_repeats_no_figure_and_gives_no_advice(facts: BacktestFacts) -> None:
    sentences = summary(facts)
    assert (2 if facts.trades == 0 else 3) <= len(sentences) <= 7
    text = " ".join(sentences)
    assert not re.search(
        r"\b(should|recommend\w*|consider|advise\w*|profitable|promising|buy|sell)\b", text, re.IGNORECASE
    )
    figures = [word for word in re.findall(r"-?\d[\d,]*\.?\d*", text) if word not in {"95", "70", "30"}]
    assert len(figures) == len(set(figures)), text
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences)


def test_no_undefined_value_is_ever_written() -> None:
    nothing = {name.name: None for name in fields(BacktestFacts) if "None" in str(name.type)}
    for facts in (README_IDEA, GOOD, NEVER, EVERYTHING):
        text = changed(facts, **nothing)
        assert not re.search(r"None|nan|inf\b", text), text


@pytest.mark.parametrize("zero", [0.0, -0.0, -0.04, 0.04])
def test_what_rounds_to_nothing_has_no_sign(zero: float) -> None:
    text = changed(GOOD, return_pct=zero, sharpe=zero / 10, double_cost_return_pct=zero)
    assert "it ended where it began" in text
    assert "-0" not in text
    assert "would have ended where it began" in text


BOTH_SIDES = Assumptions("both")


def told(
    closes: list[float],
    orders: dict[int, str],
    assumptions: Assumptions = BOTH_SIDES,
    missing: int | None = None,
) -> str:
    """Tell the backtest of daily candles in which the volume says what the rule does: nothing comes from elsewhere."""
    close = np.array(closes)
    opened = np.concatenate([close[:1], close[:-1]])
    volume = np.array([{"BUY": 900.0, "SELL": 1.0}.get(orders.get(i, ""), 100.0) for i in range(len(closes))])
    times = DAY_MS * np.arange(20_000, 20_000 + len(closes), dtype=np.int64)
    keep = np.arange(len(closes)) != missing
    columns = (opened, np.maximum(opened, close), np.minimum(opened, close), close, volume)
    candles = Candles(times[keep], *(column[keep] for column in columns))
    rules = {"buy": "volume > 800", "sell": "volume < 2"}
    config = {"name": "volume-says", "trading_pair": "BTC/USD", "interval": "1d", "engine": "rules", "rules": rules}
    strategy = parse_strategy("volume-says", config, None)
    end_ms = int(times[-1]) + DAY_MS
    task = BacktestTask(strategy, "coinbase", "BTC/USD", candles, int(times[0]), end_ms, assumptions)
    return " ".join(run_backtest(task, clock=count().__next__, proof_limit_s=3).summary())


def test_a_ruin_a_lapsed_order_and_an_open_trade_are_told_from_the_candles_on() -> None:
    flat = [100.0] * 10
    ruined = told([*flat, 110.0, 310.0, 50.0], {5: "SELL"})
    assert "lost everything, worse than simply holding, which lost 50.0 %. It was ruined at 2024-10-15" in ruined
    assert "Only one trade is closed, too few to tell skill from luck" in ruined
    lapsed = told([*flat, 110.0, 120.0], {5: "BUY"}, missing=6)
    assert "It never traded, so there is nothing to judge; holding gained 20.0 % in that time." in lapsed
    assert "1 candle missing; 1 order not filled, as the candle is missing; no decision at 1 of 12 moments" in lapsed
    held = told([*flat, 110.0, 120.0], {5: "BUY"})
    assert "No trade is closed yet" in held
    assert "one trade still open, valued at the last close" in held
    assert "A record of 12 days is too short" in held
    free = told([*flat, 110.0, 120.0], {5: "BUY"}, Assumptions("long", 0.0, 0.0))
    assert "Without any costs it gained 20.0 %, just as holding did." in free
    assert "twice" not in free
