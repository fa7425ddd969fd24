"""What `score` shows a person: whether there is evidence, and every figure beside what it is measured against."""

import io
from typing import Any

import pytest
from rich.console import Console

from mcp_server.domain.scoring.keys import Score
from runner.cli.show_score import LABEL, score, usd
from tests.runner.scores import EMPTY, WHOLE, row

LONG = row(
    strategy_name="a" * 64,
    symbol="PEPE/USDT:USDT",
    horizon_s=5 * 86_400,
    runs=1_234_567,
    signals={"buy": 123_456, "sell": 123_456, "hold": 987_654},
    holds={"judged": 987_654, "quiet": 123_456},
    judged=246_000,
    right=123_456,
    hit_rate_ci95=(0.0, 1.0),
    base_rate=None,
    base_rates={"buy": None, "sell": None},
    mean_net_ci95=(-12.34567, 112.3456),
    hold_difference_ci95=(-112.34, -100.5),
    signals_needed=1_234_567,
    days_needed=1e6,
    agents={"a-sub-agent-whose-name-is-very-long": {"judged": 246_000, "agrees": 0.5123456, "correlation": -0.0123}},
    stop={
        "e_value": 0.1,
        "highest": 123_456.7,
        "limit": 1000.0,
        "minimum_edge_pct": -0.25,
        "reached": True,
        "judged": 246_000,
        "mean_net_pct": -12.3,
    },
    cost_usd=123_456.7,
    cost_unknown=1_234,
    earlier=[{"decision_version": "0", "runs": 1_000_000, "judged": 100_000}],
)


def shown(answer: Score | dict[str, Any], width: int = 80) -> str:
    text = io.StringIO()
    score(Console(file=text, width=width, highlight=False, emoji=False), answer)
    return text.getvalue()


def line_of(text: str, label: str, number: int = 0) -> str:
    lines = [line for line in text.splitlines() if line.startswith(f"  {label:<{LABEL}}")]
    return " ".join(lines[number].split())


def test_whether_there_is_evidence_comes_before_every_figure() -> None:
    text = shown(WHOLE)
    assert text.startswith("rsi-idea  BTC/USD  4h candles of coinbase\nruns on schedule, judged after 24 h; ")
    assert "a round trip costs 0.3 %\n\nThere is no evidence of skill yet" in text
    assert text.index("There is no evidence") < text.index("66 of 120 were right (55 %).") < text.index("Signals\n")


@pytest.mark.parametrize(
    ("label", "line"),
    {
        "coverage": "coverage 93.4 % of the runs ended with a signal",
        "BUY and SELL": "BUY and SELL 70 and 55",
        "missed slots": "missed slots 3",
        "pending": "pending 4 not known yet",
        "HOLD": "HOLD 260 never right or wrong",
        "  quiet": "quiet 61 of 250: it moved less than costs",
        "an earlier version": "an earlier version 18 judged of 51 runs; not added",
        "right": "right 66 of 120: they gained after costs",
        "hit rate": "hit rate 55.0 % how often it was right",
        "base rate": "base rate 45.6 % how often without any skill",
        "  a BUY, a SELL": "a BUY, a SELL 47.6 %, 41.4 % at any moment of this market",
        "e-value": "e-value 1.83 proof of skill from 20 on",
        "until 5 points show": "until 5 points show 1,211 separate signals in 3 years",
        "mean net return": "mean net return +0.12 % of a signal, after costs",
        "holding": "holding +0.30 % buying at the same moments instead",
        "technical-analyst": "technical-analyst 56.1 % of 98; correlation 0.101",
        "whales": "whales - of 12: too few to say",
        "all runs": "all runs $12.34 and 2 runs of unknown cost",
        "Brier score": "Brier score 0.251 0 is perfect, 0.25 a coin",
        "  its skill": "its skill -0.013 above 0: better than the base rate",
        "off by": "off by 9 points chance alone: up to 11 points",
        "calibrated estimate": "calibrated estimate 53.2 % what a confidence of 72.0 % is worth",
    }.items(),
)
def test_each_figure_is_shown_with_its_unit_and_what_it_means(label: str, line: str) -> None:
    assert line_of(shown(WHOLE), label) == line


def test_a_short_time_is_told_in_hours_and_a_base_rate_without_error_leaves_nothing_to_beat() -> None:
    text = shown({**WHOLE, "days_needed": 0.09, "brier_skill": None})
    assert line_of(text, "until 5 points show") == "until 5 points show 1,211 separate signals in 2 hours"
    assert line_of(text, "  its skill") == "its skill - the base rate makes no error"
    assert line_of(shown({**WHOLE, "base_rate": None, "brier_skill": None}), "  its skill").endswith("are missing")


def test_each_interval_stands_below_its_figure() -> None:
    text = shown(WHOLE)
    intervals = [line_of(text, "  95 % sure", number) for number in range(4)]
    assert [interval.removesuffix(" the true one lies in here") for interval in intervals] == [
        "95 % sure 43.7 to 65.8 %",
        "95 % sure -0.51 to +0.76 %",
        "95 % sure -0.90 to +0.55 %",
        "95 % sure -0.20 to +0.37 %",
    ]


def test_the_reliability_table_has_its_band_of_chance_and_names_what_lies_outside_of_it() -> None:
    lines = [" ".join(line.split()) for line in shown(WHOLE).splitlines()]
    at = lines.index("confidence signals right by chance")
    assert lines[at + 1 : at + 4] == [
        "55.0 % 40 50.0 % 40.0 to 70.0 %",
        "65.0 % 50 42.0 % 52.0 to 78.0 % further off than chance",
        "75.0 % 30 83.3 % 56.7 to 90.0 %",
    ]
    few = shown(row(calibration=None))
    assert "by chance" not in few
    assert line_of(few, "reliability table") == "reliability table - needs 30 signals that state one"


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines()[2:] if line and not line.startswith(" ")]


def test_where_nothing_is_judged_yet_only_the_counts_and_the_cost_are_shown() -> None:
    assert headings(shown(EMPTY)) == ["There is no BUY or SELL signal to judge yet."]
    waiting = row(summary=["Nothing is judged yet."], judged=0, calibration=None, twin=None, agents=None, stop=None)
    assert headings(shown(waiting)) == ["Nothing is judged yet.", "Signals", "What it cost"]
    assert line_of(shown({**EMPTY, "runs": 1}), "coverage") == "coverage - none has ended"


def test_a_note_stands_below_the_sentences() -> None:
    text = shown({**WHOLE, "note": "One market could not be asked."})
    assert "(55 %).\nOne market could not be asked.\n\nSignals\n" in text


def test_a_figure_that_is_not_defined_is_a_dash_with_the_reason() -> None:
    short = shown(row(hit_rate_ci95=None, mean_net_ci95=None, base_rate=None, brier=None, e_value=None))
    assert line_of(short, "  95 % sure") == "95 % sure - the record is too short for it"
    assert line_of(short, "base rate") == "base rate - candles are missing"
    assert line_of(short, "e-value") == "e-value - candles are missing"
    assert line_of(short, "Brier score") == "Brier score - no judged signal stated a confidence"


def test_a_cost_that_is_not_known_is_never_nothing() -> None:
    unknown = {"usd_per_right_signal": None, "usd_per_net_pct": None}
    of_none = shown(row(cost_usd=None, cost_unknown=412, **unknown))
    assert line_of(of_none, "all runs") == "all runs - it is not known"
    assert "each right signal" not in of_none
    of_some = shown(row(cost_unknown=2, **unknown))
    assert line_of(of_some, "each right signal") == "each right signal - not known, nor what 2 runs cost"
    free = shown(row(cost_usd=0.0, cost_unknown=0, **unknown))
    assert line_of(free, "all runs") == "all runs $0.00 no model was paid"
    lost = shown(row(cost_unknown=0, usd_per_net_pct=None))
    assert line_of(lost, "each net per cent") == "each net per cent - they have not gained"
    assert (usd(0.0042), usd(0.1), usd(1234.5)) == ("$0.0042", "$0.10", "$1,234.50")


def test_a_strategy_that_paused_itself_says_at_what() -> None:
    state = {"e_value": 19.1, "highest": 21.4, "limit": 20.0, "minimum_edge_pct": 0.1, "reached": True}
    line = line_of(shown(row(stop=state)), "highest e-value")
    assert line == "highest e-value 21.4 for less than 0.1 %; reached 20"


def test_an_invented_market_is_said_to_be_one() -> None:
    assert "4h candles of simulated; the market is invented" in shown({**row(exchange="simulated"), "simulated": True})
    assert "invented" not in shown(WHOLE)


@pytest.mark.parametrize(("evidence", "code"), [("none_yet", "1"), ("skill", "1;32"), ("no_skill", "1;31")])
def test_whether_there_is_evidence_stands_out(evidence: str, code: str) -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, highlight=False, force_terminal=True, color_system="standard")
    score(console, row(evidence=evidence))
    assert f"\x1b[{code}mThere is no evidence of skill yet" in text.getvalue()


@pytest.mark.parametrize("answer", [WHOLE, EMPTY, LONG], ids=["whole", "empty", "long"])
def test_it_fits_into_80_columns_with_one_line_for_each_figure(answer: Score) -> None:
    figures = [line.rstrip() for line in shown(answer, 200).splitlines() if line.startswith("  ")]
    assert [line for line in figures if len(line) > 80] == []


def test_a_large_e_value_has_no_exponent() -> None:
    text = shown(row(e_value=12_345.6, stop={**WHOLE["stop"], "limit": 1e6}))  # type: ignore[dict-item]
    assert "12,300  proof of skill from 20 on" in text
    assert "pauses at 1,000,000" in text
