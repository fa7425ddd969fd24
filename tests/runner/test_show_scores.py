"""What `score` shows of all strategies: a line each, with the share right beside what any such signal would have."""

import io
from typing import Any, get_args

import pytest
from rich.console import Console

from mcp_server.domain.scoring.keys import Evidence
from runner.cli.show_scores import EVIDENCE, scores
from runner.notify import weekly
from tests.runner.scores import EMPTY, WHOLE, row, table

PROVEN = row(strategy_name="proven", evidence="skill", mean_net_pct=-0.004, mean_net_ci95=None, cost_usd=None)
WIDE = row(
    strategy_name="a-strategy-with-a-name-as-long-as-allowed-" * 2,
    signals={"buy": 123_456, "sell": 123_456, "hold": 7_654_321},
    judged=246_000,
    mean_net_pct=-12.3,
    mean_net_ci95=(-112.3, 87.7),
    cost_usd=234.5,
)


def shown(answer: dict[str, Any], width: int = 80) -> str:
    text = io.StringIO()
    scores(Console(file=text, width=width, highlight=False, emoji=False), answer)
    return text.getvalue()


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_each_strategy_has_a_line_with_its_share_right_beside_the_base_rate() -> None:
    lines = words(shown(table(WHOLE, PROVEN, EMPTY)))
    assert lines[:2] == [
        "Runs on schedule (live)",
        "strategy signals judged right/base net ± 95 % cost evidence",
    ]
    assert lines[3:6] == [
        "rsi-idea 385 120 55/46 % +0.12 ± 0.63 % $12.34+ none yet",
        "proven 385 120 55/46 % 0.00 % - skill",
        "rsi-idea 0 0 - - - too few",
    ]
    assert "`claude-trader score NAME` shows every figure of a strategy." in lines


def test_a_cost_says_where_that_of_some_runs_is_not_in_it() -> None:
    costs = [(12.34, 0), (12.34, 2), (None, 2), (0.0, 0)]
    lines = words(shown(table(*(row(cost_usd=usd, cost_unknown=unknown) for usd, unknown in costs))))[3:7]
    ends = ["% $12.34 none yet", "% $12.34+ none yet", "% - none yet", "% $0.00 none yet"]
    assert all(line.endswith(end) for line, end in zip(lines, ends, strict=True))
    nearly = row(hit_rate=0.9967, base_rate=0.003)
    assert " over 99/under 1 % " in shown(table(nearly))


def test_each_evidence_there_is_has_words_in_the_table_and_in_the_weekly_summary() -> None:
    assert {*EVIDENCE} == {*weekly.EVIDENCE} == {*get_args(Evidence)}
    assert words(shown(table(row(evidence="contaminated", runs=0, judged=0))))[3].endswith("left out")


def test_kinds_of_runs_stand_apart_those_on_schedule_first() -> None:
    lines = words(shown(table(row(kind="replay"), row(kind="manual"), WHOLE, runs="all")))
    titles = [line for line in lines if line.endswith(")")]
    assert titles == ["Runs on schedule (live)", "Runs by hand (manual)", "Replayed runs (replay)"]
    assert "`claude-trader score NAME --runs KIND` shows every figure of a strategy." in lines


def test_a_table_of_one_kind_says_how_to_see_every_figure_of_that_kind() -> None:
    assert "`claude-trader score NAME --runs manual` shows" in shown(table(row(kind="manual"), runs="all"), 120)


def test_a_note_is_shown() -> None:
    assert shown(table(WHOLE, note="One market could not be asked.")).endswith("\nOne market could not be asked.\n")
    assert shown(table(note="There are 3 manual runs.")) == "There are 3 manual runs.\n"


def test_where_nothing_is_recorded_it_says_what_records_something() -> None:
    assert shown(table(), 120).startswith("Nothing is recorded yet. `claude-trader up` runs your strategies")


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_into_the_terminal(width: int) -> None:
    lines = shown(table(WHOLE, WIDE, PROVEN), width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == len(shown(table(WHOLE, WIDE, PROVEN), 300).splitlines()), "no line is broken"
    (cut,) = [line for line in lines if line.startswith("a-str")]
    assert "…" in cut.split()[0]
