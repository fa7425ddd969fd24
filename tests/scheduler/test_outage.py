"""Claude's outages: left alone ever longer, and asked again after each pause."""

from datetime import timedelta
from decimal import Decimal

import pytest

from mcp_server.domain.outcome import BudgetReached, Outcome, Status
from runner.scheduler.outage import Outage
from tests.scheduler.slot_homes import HELD, at

DOWN = Outcome(Status.ERROR, error="529 overloaded", blame="outside")
NOON = at("12:00")


def test_each_failure_after_a_pause_makes_the_next_one_twice_as_long_up_to_a_quarter_of_an_hour() -> None:
    outage, now, pauses = Outage(), NOON, []
    for _ in range(8):
        assert outage.refusal(now) is None
        outage.note(DOWN, now)
        assert outage.until is not None
        pauses.append((outage.until - now).total_seconds())
        now = outage.until
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_claude_is_left_alone_until_the_pause_is_over_and_the_reason_is_told() -> None:
    outage = Outage()
    outage.note(DOWN, NOON)
    refusal = outage.refusal(NOON + timedelta(seconds=29))
    assert refusal is not None
    assert all(fact in refusal for fact in ("once", "12:00:30 UTC", "529 overloaded"))
    assert outage.refusal(NOON + timedelta(seconds=30)) is None
    outage.note(DOWN, NOON + timedelta(seconds=30))
    assert "2 times in a row" in (outage.refusal(NOON + timedelta(seconds=31)) or "")


def test_runs_that_fail_together_are_one_failure() -> None:
    outage = Outage()
    for second in range(8):
        outage.note(DOWN, NOON + timedelta(seconds=second))
    assert (outage.failures, outage.until) == (1, NOON + timedelta(seconds=30))


@pytest.mark.parametrize(
    "outcome",
    [
        HELD,
        Outcome(Status.ABSTAINED, error="no agreement", cost_usd=Decimal("0.1")),
        Outcome(Status.ERROR, error="its prompt is too long"),
        Outcome(Status.TIMEOUT, error="it took too long"),
    ],
)
def test_a_run_that_claude_answered_ends_the_outage(outcome: Outcome) -> None:
    outage = Outage()
    outage.note(DOWN, NOON)
    outage.note(outcome, NOON + timedelta(seconds=5))
    assert outage.refusal(NOON + timedelta(seconds=6)) is None
    outage.note(DOWN, NOON + timedelta(seconds=10))
    assert outage.until == NOON + timedelta(seconds=40), "it begins anew"


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Status.SKIPPED_BUDGET, error="no room", budget=BudgetReached("everyone", Decimal(5), Decimal(5))),
        Outcome(Status.SKIPPED_STALE, error="too late"),
        Outcome(Status.ERROR, error="the runner stopped", blame="runner"),
    ],
)
def test_a_run_that_did_not_ask_claude_says_nothing_of_it(outcome: Outcome) -> None:
    outage = Outage()
    outage.note(outcome, NOON)
    assert outage.refusal(NOON) is None
    outage.note(DOWN, NOON)
    outage.note(outcome, NOON)
    assert (outage.failures, outage.until) == (1, NOON + timedelta(seconds=30))
