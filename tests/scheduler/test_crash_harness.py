"""Short runs of the crash harness; `make crash` is the long one."""

from pathlib import Path

import pytest

from tests.scheduler.crash_harness import crash


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.long)])
def test_after_kills_at_random_moments_no_slot_is_lost_or_doubled_and_no_process_is_left(
    tmp_path: Path, kills: int
) -> None:
    table = crash(kills, 1, tmp_path, warm=True)
    assert table.good, [*table.wrong, *table.orphans]
    assert table.kills.total() == kills
