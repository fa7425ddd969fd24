"""Runs the runner's command under rules of Windows that this system can be taught.

`python -m tests.rigs.windows_rules ARGUMENTS`: a file that this process has open, or a folder with one in it, is
neither renamed, replaced nor removed, but for locks, which are taken in another way there; a rename replaces nothing;
a folder cannot be opened; only what is open for writing can be synchronised; folders are exchanged in two steps.
"""

import errno
import fcntl
import os
import runpy
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mcp_server.storage.strategies import exchange_folders


def in_use(path: str) -> bool:
    """Return whether this process has a file open, or one in a folder."""
    whole = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            held = os.readlink(f"/proc/self/fd/{number}")
            if held == whole or held.startswith(f"{whole}/"):
                return True
    return False


def _refusing(real: Callable[..., None], paths: int) -> Callable[..., None]:
    def act(*arguments: Any, **options: Any) -> None:
        for path in arguments[:paths]:
            named = os.fsdecode(path)
            if "lock" not in os.path.basename(named) and not os.path.islink(named) and in_use(named):
                refusal = PermissionError(errno.EACCES, "The process cannot access the file: it is being used", named)
                refusal.winerror = 32  # type: ignore[attr-defined]
                raise refusal
        real(*arguments, **options)

    return act


def _moving(real: Callable[..., None], *, replaces: bool) -> Callable[..., None]:
    refusing = _refusing(real, 2)

    def move(source: Any, target: Any, **options: Any) -> None:
        if os.path.lexists(target) and (not replaces or os.path.isdir(target)):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", target)
        refusing(source, target, **options)

    return move


def install() -> None:
    """Set the rules for this process."""
    open_, fsync = os.open, os.fsync

    def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if "dir_fd" not in options and os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return open_(path, flags, *more, **options)

    def synchronised(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(number)

    os.rename, os.replace = _moving(os.rename, replaces=False), _moving(os.replace, replaces=True)
    os.unlink = os.remove = _refusing(os.unlink, 1)
    os.rmdir = _refusing(os.rmdir, 1)
    os.open, os.fsync = opened, synchronised  # type: ignore[assignment]
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    exchange_folders._renameat2 = lambda one, other: False


if __name__ == "__main__":
    install()
    runpy.run_module("runner", run_name="__main__")
