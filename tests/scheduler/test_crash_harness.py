"""A short run of the crash harness; `make crash` is the long one.

In `make test`, `tests/acceptance/test_older_home.py` holds its account of a home whose scheduler was killed,
`test_slots.py` has the claims of two processes, and `tests/runner/test_run_claude.py` a kill that leaves no process.
"""

from pathlib import Path

import pytest

from tests.scheduler.crash_harness import crash


@pytest.mark.long
@pytest.mark.parametrize("kills", [5])
def test_after_kills_at_random_moments_no_slot_is_lost_or_doubled_and_no_process_is_left(
    tmp_path: Path, kills: int
) -> None:
    table = crash(kills, 1, tmp_path, warm=True)
    assert table.good, [*table.wrong, *table.orphans]
    assert table.kills.total() == kills
