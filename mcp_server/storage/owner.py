"""Whose home it is: what root creates in the home of another user, that user could not write any more."""

import os
import sys
from pathlib import Path

from mcp_server.errors import Misconfigured

NOBODY = 65_534
"""How an owner shows whom this system, a container without privileges say, does not know: nobody can become that."""


def become_owner(home: Path) -> None:
    """Go on as the owner of a home, if this is root and the home is another's. It cannot be taken back.

    Raises:
        Misconfigured: that user cannot read this program.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    try:
        status = home.stat()
        if status.st_uid in (0, NOBODY):
            return
        unreadable = _unreadable_for(status.st_uid, status.st_gid)
    except OSError:  # there is no home yet, or this root may not become another user
        return
    if unreadable is not None:
        raise Misconfigured(
            f"This is root, and {str(home)!r} belongs to user {status.st_uid}, who cannot read {unreadable!r}.",
            "Run this program as that user, or install it where that user can read it.",
        )
    os.setgroups([])
    os.setgid(status.st_gid)
    os.setuid(status.st_uid)
    os.environ["HOME"] = _home_of(status.st_uid) or str(home)
    if not os.access(".", os.R_OK | os.X_OK):  # root's own folder, say: what is started from here would fail
        os.chdir(home)


def _unreadable_for(user: int, group: int) -> str | None:
    """Return a file of this program that a user cannot read, None where all can be read; this stays root."""
    os.setegid(group)
    try:
        os.seteuid(user)
        needed = (sys.executable, os.__file__, __file__)
        return next((file for file in needed if not os.access(file, os.R_OK, effective_ids=True)), None)
    finally:
        os.seteuid(0)
        os.setegid(0)


def _home_of(user: int) -> str | None:
    import pwd

    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return None
