"""The bounds that a process of ours sets to itself before it works on what a caller asked for."""

import math
import time
from contextlib import suppress


def bound(*, memory_bytes: int, processor_s: int) -> None:
    """Let the operating system bound this process, where it can.

    Args:
        memory_bytes: the most memory that it may have.
        processor_s: for how long it may compute from now on.
    """
    try:
        import resource
    except ImportError:  # not on Windows: there the parent's patience is all
        return
    most_s = math.ceil(time.process_time()) + processor_s
    processor = (most_s, most_s + 1)  # at the first it is told why, at the second it is killed
    for kind, most in ((resource.RLIMIT_AS, (memory_bytes,) * 2), (resource.RLIMIT_CPU, processor)):
        with suppress(ValueError, OSError):  # a system may have a lower one, or none of this kind
            resource.setrlimit(kind, most)
