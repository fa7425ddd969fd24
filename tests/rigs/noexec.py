"""Runs a program that finds a folder in which nothing may be executed, as with `docker run --tmpfs /tmp`."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "sh", "-c"]
MOUNT = 'mount -t tmpfs -o noexec,mode=1777 tmpfs "$0" && exec "$@"'


def can_forbid_execution(folder: Path) -> bool:
    """Return whether this machine lets a test mount a folder so."""
    try:
        return run_with_noexec(folder, ["true"], os.environ).returncode == 0
    except OSError:
        return False


def run_with_noexec(
    folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program for which `folder` is empty, may be written, and nothing in it may be executed."""
    whole = [*UNSHARE, MOUNT, str(folder), *command]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=120, check=False)
