"""The container's first program: makes the home the runner's own, gives up being root, and becomes `claude-trader up`.

A platform mounts a volume as root's; the runner is a user of its own. Started as another user it only becomes `up`.
"""

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from runner.restore import restore

USER_ID = 10_001
"""The user `trader` of the image."""

DEFAULT = (
    *("up", "--host", "0.0.0.0", "--port", "8000"),  # noqa: S104 (the container's own address; up wants a token)
    *("--metrics-port", "9091", "--grace", "40"),
)


def main(arguments: list[str]) -> None:
    """Become `claude-trader` with these arguments, or by default a scheduler that other machines can reach."""
    home = Path(os.environ.get("TRADER_HOME", "/data"))
    if os.geteuid() == 0:
        _own(home)
        os.setgroups([])
        os.setgid(USER_ID)
        os.setuid(USER_ID)
    if not arguments and (done := restore(home, datetime.now(UTC))):
        sys.stderr.write(f"claude-trader: {done}\n")
    environment = {**os.environ, "TRADER_HOME": str(home), "HOME": str(home)}
    command = [sys.executable, "-P", "-m", "runner", *(arguments or DEFAULT)]
    os.execve(sys.executable, command, environment)  # noqa: S606 (no shell is wanted)


def _own(home: Path) -> None:
    """Make the runner's own what in the home is not: all of a new volume, or what root has created there since.

    What links in it lead to is left alone.
    """
    home.mkdir(parents=True, exist_ok=True)
    _give(home)
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            _give(Path(folder) / name)


def _give(path: Path) -> None:
    with suppress(OSError):  # what cannot be given is no reason not to start
        if path.lstat().st_uid != USER_ID:
            os.chown(path, USER_ID, USER_ID, follow_symlinks=False)


if __name__ == "__main__":
    main(sys.argv[1:])
