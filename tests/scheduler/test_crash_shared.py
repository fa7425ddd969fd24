"""A short run of the harness for machines that share a journal; `make crash-shared` is the long one.

In `make test`, `test_slots.py` and `test_share.py` have what two runners claim of one journal, on Postgres too.
How soon a kill is noticed is not judged here, as that takes longer on a busy machine; `test_clock.py` shows the looks.
"""

from pathlib import Path

import pytest

from tests.scheduler.crash_shared import crash, whole
from tests.scheduler.shared_storm import Planned
from tests.scheduler.shared_verdict import Verdict


def wrong(verdict: Verdict) -> list[str]:
    return [problem for problem in verdict.wrong if not problem.startswith("noticed")]


@pytest.mark.long
def test_two_machines_lose_no_slot_and_run_none_twice_when_runners_are_killed_and_postgres_is(tmp_path: Path) -> None:
    plan: list[Planned] = [(1, lambda storm: storm.restart(at_once=True))]
    verdict = crash(2, 1, tmp_path, plan, rules=6, asking=0, machines=2, restarted_s=1)
    assert not wrong(verdict), verdict
    assert verdict.kills.total() == 2
    assert verdict.runs


@pytest.mark.long
def test_three_machines_lose_no_slot_no_cent_and_no_outcome_whatever_fails(tmp_path: Path) -> None:
    verdict = crash(20, 1, tmp_path, whole(20, 5.0), restarted_s=3, cut_s=50.0)
    assert not wrong(verdict), verdict
    assert verdict.cut_off_s is not None
