"""Exchanging two folders in one step, so that nobody ever finds neither or half of one."""

import os
import sys
from pathlib import Path

ASIDE = ".old"
"""What the name of a folder ends in that has made room for another, and has not got its name yet."""


def exchange(fresh: Path, target: Path) -> None:
    """Exchange two folders: in one step on Linux; elsewhere in two, with a moment in which `target` is missing."""
    if sys.platform == "linux" and _renameat2(fresh, target):
        return
    aside = fresh.with_name(fresh.name + ASIDE)
    target.rename(aside)
    try:
        fresh.rename(target)
    except OSError:
        aside.rename(target)
        raise
    aside.rename(fresh)


def _renameat2(one: Path, other: Path) -> bool:
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    current_folder, exchange_flag = -100, 2
    return bool(rename(current_folder, os.fsencode(one), current_folder, os.fsencode(other), exchange_flag) == 0)
