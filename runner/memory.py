"""How much memory is free, and how many agents that lets run at once. The doctor reads it here, too."""

import os
from pathlib import Path

MB = 1_048_576
RUN_MB = 400
"""What one Claude run takes at most, CLI and all."""

MOST_RUNS = 8
"""More at once would meet the API's rate limits rather than the machine's."""

UNKNOWN_MB = 1_000.0


def claude_runs(running: int, *, root: Path = Path("/")) -> int:
    """Return how many Claude runs may go on at once, including the running ones; at least one.

    Args:
        running: how many run now; the memory that they use is not free.
        root: where `proc` and `sys` are.
    """
    free = free_mb(root)
    return max(1, min(MOST_RUNS, running + int((_assumed_mb() if free is None else free) // RUN_MB)))


def free_mb(root: Path = Path("/")) -> float | None:
    """Return the memory in MB that can be used without swapping: the machine's or the container's, if that is less.

    None where this system does not say.
    """
    return min((free for free in (_machine_mb(root), _container_mb(root)) if free is not None), default=None)


def _machine_mb(root: Path) -> float | None:
    try:
        lines = (root / "proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _assumed_mb() -> float:
    """Return half of what the machine has, where it does not say what is free."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MB / 2
    except (OSError, ValueError, AttributeError):
        return UNKNOWN_MB


def _container_mb(root: Path) -> float | None:
    """Return what a control group leaves of its limit; memory that it holds as file cache can be reclaimed."""
    group = root / "sys/fs/cgroup"
    try:
        limit, used = (int((group / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        counters = [line.split() for line in (group / "memory.stat").read_text("ascii").splitlines()]
        cached = sum(int(size) for name, size in counters if name == "inactive_file")
        return max(limit - used + cached, 0) / MB
    except (OSError, ValueError):  # no limit ("max"), or no control group
        return None
