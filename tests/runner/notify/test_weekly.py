"""The weekly summary: one notice a week, a line for each strategy, however often and by whom it is told."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mcp_server.errors import Misconfigured
from mcp_server.storage.home import Home
from runner.doctor.findings import notifications
from runner.notify.notices import Notices
from runner.notify.weekly import MOST_CHARACTERS, WEEK, week_of, weekly_summary
from runner.notify.wording import worded
from runner.settings import RunnerSettings

MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
NOWHERE = [SecretStr("json://127.0.0.1:9/")]


def record(name: str = "dip", **figures: Any) -> dict[str, Any]:
    return {
        "strategy_name": name,
        "runs": 120,
        "signals": 120,
        "judged": 62,
        "right": 34,
        "hit_rate": 34 / 62,
        "base_rate": 0.4762,
        "mean_net_pct": 0.1234,
        "mean_net_ci95": None,
        "cost_usd": 1.2,
        "cost_unknown": 0,
        "evidence": "none_yet",
        **figures,
    }


@pytest.mark.parametrize(
    ("now", "week"),
    [
        (MONDAY, MONDAY),
        (MONDAY - timedelta(seconds=1), MONDAY - WEEK),
        (MONDAY + timedelta(days=6, hours=23), MONDAY),
        (MONDAY.replace(hour=0), MONDAY - WEEK),
        (datetime(2026, 1, 4, 23, 59, tzinfo=UTC), MONDAY - WEEK),
    ],
)
def test_a_week_begins_on_monday_at_eight(now: datetime, week: datetime) -> None:
    assert week_of(now) == week


def lines(*records: dict[str, Any]) -> list[str]:
    event = weekly_summary(records, MONDAY)
    assert event is not None
    return event.fields["strategies"].splitlines()


def test_a_cost_that_leaves_runs_out_says_how_many_and_a_small_one_is_not_nothing() -> None:
    (line,) = lines(record(cost_usd=0.004, cost_unknown=7, mean_net_pct=-0.004, right=62, hit_rate=0.9961))
    assert "62 right (over 99 %, base rate 48 %), mean net 0.00 %, cost 0.004 USD and 7 runs of unknown cost" in line


@pytest.mark.parametrize(
    ("interval", "words"), [((0.01, 0.3), "evidence of skill"), (None, "evidence of skill, not of a gain")]
)
def test_skill_that_is_not_shown_to_gain_is_told_as_by_the_score(
    interval: tuple[float, float] | None, words: str
) -> None:
    (line,) = lines(record(evidence="skill", mean_net_ci95=interval))
    assert line.endswith(f", {words}")


def test_a_line_has_signals_judged_right_against_the_base_rate_net_cost_and_evidence() -> None:
    assert lines(record("rsi"), record("dip", runs=3, judged=0, cost_usd=None, signals=1)) == [
        "dip: 1 signal, 0 judged, cost unknown",
        "rsi: 120 signals, 62 judged, 34 right (55 %, base rate 48 %), mean net +0.12 %, cost 1.20 USD, "
        "no evidence of skill yet",
    ]


def test_a_figure_that_is_not_known_is_called_unknown_and_never_zero() -> None:
    (line,) = lines(record(base_rate=None, mean_net_pct=None, cost_usd=None, evidence="something new"))
    assert "base rate unknown" in line
    assert "mean net unknown" in line
    assert "cost unknown" in line
    assert line.endswith("something new")


def test_strategies_that_never_ran_on_schedule_are_left_out_and_without_others_there_is_no_summary() -> None:
    assert len(lines(record("a"), record("b", runs=0))) == 1
    assert weekly_summary([record(runs=0)], MONDAY) is None
    assert weekly_summary([], MONDAY) is None


def test_what_does_not_fit_is_counted_and_nothing_is_cut_in_the_middle(home: Path) -> None:
    event = weekly_summary([record(f"{'x' * 60}-{number:03}") for number in range(40)], MONDAY)
    assert event is not None
    strategies = event.fields["strategies"]
    *shown, last = strategies.splitlines()
    assert len("\n".join(shown)) <= MOST_CHARACTERS
    assert last.startswith(f"and {40 - len(shown)} more")
    body = worded("summary", event.fields, home)[1]
    assert body.startswith(strategies)
    assert "As of 2026-01-05T08:00Z" in body


def added(home: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((home / "notices").rglob("*.json"))]


def test_it_is_told_once_a_week_across_restarts_and_two_runners(home: Path) -> None:
    hours = 0
    for runner in (Notices(Home(home), NOWHERE, clock=lambda: MONDAY) for _ in range(3)):
        for _ in range(3):
            hours += 25
            event = weekly_summary([record(judged=hours)], MONDAY + timedelta(hours=hours - 25))
            assert event is not None
            runner.tell(event)
    assert hours > 7 * 24, "into the next week"
    weeks = sorted(notice["fields"]["week"] for notice in added(home))
    assert weeks == ["2026-01-05", "2026-01-12"]


def test_the_setting_takes_weekly_or_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RunnerSettings.load().summary is None
    monkeypatch.setenv("TRADER_SUMMARY", "weekly")
    assert RunnerSettings.load().summary == "weekly"
    monkeypatch.setenv("TRADER_SUMMARY", "")
    assert RunnerSettings.load().summary is None
    for wrong in ("daily", "Weekly", "1"):
        monkeypatch.setenv("TRADER_SUMMARY", wrong)
        with pytest.raises(Misconfigured, match=r"TRADER_SUMMARY: .*'weekly'"):
            RunnerSettings.load()


def test_doctor_warns_of_a_summary_that_goes_nowhere() -> None:
    assert [finding.status for finding in notifications(0, weekly=True)] == ["warning"]
    assert "TRADER_NOTIFY" in notifications(0, weekly=True)[0].remedy
    assert [finding.status for finding in notifications(0, weekly=False)] == ["ok"]
    assert notifications(1, weekly=True)[0].sentence == "Sent to 1 address, with a weekly summary."
    assert notifications(2, weekly=False)[0].sentence == "Sent to 2 addresses."
