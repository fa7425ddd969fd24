"""Short runs of the crash harness; `make crash` is the long one.

In `make test`, `test_judged_while_up.py` has one kill, what is left of it, and the life after it.
"""

from pathlib import Path

import pytest

from tests.scheduler.crash_harness import crash


@pytest.mark.long
@pytest.mark.parametrize("kills", [2, 5])
def test_after_kills_at_random_moments_no_slot_is_lost_or_doubled_and_no_process_is_left(
    tmp_path: Path, kills: int
) -> None:
    table = crash(kills, 1, tmp_path, warm=True)
    assert table.good, [*table.wrong, *table.orphans]
    assert table.kills.total() == kills
