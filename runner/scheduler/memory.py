"""How much memory is free: it decides how many agents may run at once."""

import os
from pathlib import Path

MB = 1_048_576
RUN_MB = 400
"""What one Claude run takes at most, CLI and all."""

MOST_RUNS = 8
"""More at once would meet the API's rate limits rather than the machine's."""

UNKNOWN_MB = 1_000.0


def claude_runs(running: int, *, root: Path = Path("/")) -> int:
    """Return how many Claude runs may go on at once, including those that do now; at least one.

    Args:
        running: how many go on now; the memory that they take is not free any more.
        root: where `proc` and `sys` are.
    """
    return max(1, min(MOST_RUNS, running + int(free_mb(root) // RUN_MB)))


def free_mb(root: Path = Path("/")) -> float:
    """Return the memory in MB that is free without swapping: that of the machine or of the container, if less."""
    return min(_machine_mb(root), _container_mb(root))


def _machine_mb(root: Path) -> float:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:  # no Linux: half of what the machine has
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MB / 2
    except (OSError, ValueError, AttributeError):
        return UNKNOWN_MB


def _container_mb(root: Path) -> float:
    """Return what a control group leaves of its limit; its file cache counts as free."""
    group = root / "sys/fs/cgroup"
    try:
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        kept = [line.split() for line in (group / "memory.stat").read_text().splitlines()]
        return (most - used + sum(int(size) for name, size in kept if name == "inactive_file")) / MB
    except (OSError, ValueError):  # no limit ("max"), or no control group
        return float("inf")
