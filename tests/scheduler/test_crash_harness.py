"""A short run of the crash harness; `make crash` is the long one."""

from pathlib import Path

from tests.scheduler.crash_harness import crash


def test_after_kills_at_random_moments_no_slot_is_lost_or_doubled_and_no_process_is_left(tmp_path: Path) -> None:
    table = crash(5, 1, tmp_path, warm=True)
    assert table.good, [*table.wrong, *table.orphans]
    assert table.kills.total() == 5
