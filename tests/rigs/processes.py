"""Processes that were started, and whether they are gone."""

import time

import psutil


def children() -> list[psutil.Process]:
    """Return the processes that this one has started, but for those from which commands are forked, and Postgres."""
    kept = ("multiprocessing", "postgres -D")
    return [child for child in psutil.Process().children() if not any(of in command_line(child) for of in kept)]


def command_line(process: psutil.Process) -> str:
    """Return the command of a process; of one that has ended, nothing."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def left(processes: list[psutil.Process], *, within_s: float) -> list[psutil.Process]:
    """Give those that still run after that time; one that nobody has reaped yet runs no more."""
    deadline = time.monotonic() + within_s
    while (running := [p for p in processes if _runs(p)]) and time.monotonic() < deadline:
        psutil.wait_procs(running, timeout=0.05)
    return running


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
