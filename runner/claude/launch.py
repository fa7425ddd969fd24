"""Becomes the agent CLI: it ends with the runner that started it, and sees only the variables that are named.

Run as `python -I -S launch.py RUNNER_PID FOLDER NAMES CLI [ARGUMENT…]`: FOLDER is the run's, NAMES are the environment
variables that stay, separated by commas. It is its own program because a CLI that outlives a killed runner goes on
spending, and because claude-agent-sdk hands the runner's whole environment to what it starts.
"""

import os
import sys
from pathlib import Path

PID_FILE, STOP_FILE = "pid", "stop"
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def main() -> None:
    """Leave the process id where the runner finds it, and become the CLI."""
    runner, folder, names, cli, *arguments = sys.argv[1:]
    _end_with(int(runner))
    if os.getpgrp() != os.getpid():
        os.setsid()  # Ctrl-C is for the runner alone: it decides when the run ends
    kept = {name: os.environ[name] for name in names.split(",") if name in os.environ}
    Path(folder, PID_FILE).write_text(str(os.getpid()), "ascii")
    if Path(folder, STOP_FILE).exists():  # each side writes before it looks, so one of them sees the other's file
        sys.exit("the run was ended before the agent CLI started")
    os.execve(cli, [cli, *arguments], kept)  # noqa: S606 (no shell is wanted)


def _end_with(runner: int) -> None:
    """Ask the kernel to kill this process when the runner dies: Linux alone can."""
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:
            sys.exit("prctl refused: the agent CLI could outlive the runner, so it is not started")
        if os.getppid() != runner:
            sys.exit("the runner is gone")


if __name__ == "__main__":
    main()
