"""How many agents the memory allows, on machines that are folders."""

from pathlib import Path

import pytest

from runner.doctor import facts
from runner.memory import MOST_RUNS, claude_runs, free_mb

KB, MB = 1024, 1_048_576


def machine(root: Path, available_mb: int, group: dict[str, str] | None = None) -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable:    {available_mb * KB} kB\n")
    folder = root / "sys/fs/cgroup"
    folder.mkdir(parents=True)
    for name, said in (group or {}).items():
        (folder / name).write_text(said)
    return root


@pytest.mark.parametrize(
    ("available_mb", "running", "runs"),
    [
        *((1, 0, 1), (0, 0, 1), (399, 0, 1), (400, 0, 1), (799, 0, 1), (800, 0, 2), (1300, 0, 3)),
        *((1300, 2, 5), (10, 3, 3), (64_000, 0, MOST_RUNS), (3_200, 6, MOST_RUNS)),
    ],
)
def test_each_400_mb_that_are_free_let_one_more_agent_run_and_one_always_may(
    tmp_path: Path, available_mb: int, running: int, runs: int
) -> None:
    assert claude_runs(running, root=machine(tmp_path, available_mb)) == runs


def test_a_containers_limit_counts_without_the_file_cache_that_it_can_have_back(tmp_path: Path) -> None:
    group = {
        "memory.max": f"{1000 * MB}\n",
        "memory.current": f"{700 * MB}\n",
        "memory.stat": f"anon 5\nactive_file {90 * MB}\ninactive_file {200 * MB}\ntotal_inactive_file 7\n",
    }
    root = machine(tmp_path, 8000, group)
    assert free_mb(root) == 500
    (finding,) = facts.memory(claude=True, root=root)
    assert (finding.status, "500 MB" in finding.sentence) == ("warning", True), "the doctor says the same"


def test_the_machines_memory_counts_where_it_is_less_than_the_containers_limit(tmp_path: Path) -> None:
    group = {"memory.max": str(9000 * MB), "memory.current": "0", "memory.stat": ""}
    assert free_mb(machine(tmp_path, 300, group)) == 300


@pytest.mark.parametrize("group", [{}, {"memory.max": "max\n", "memory.current": "5", "memory.stat": ""}])
def test_a_container_without_a_limit_has_the_machines_memory(tmp_path: Path, group: dict[str, str]) -> None:
    assert free_mb(machine(tmp_path, 1234, group)) == 1234


def test_where_the_system_does_not_tell_something_is_assumed(tmp_path: Path) -> None:
    assert free_mb(tmp_path) is None
    assert claude_runs(0, root=tmp_path) >= 1
