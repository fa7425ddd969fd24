"""Small files: written whole or not at all, read without following a link and without waiting."""

import json
import os
import stat
from pathlib import Path
from typing import Any
from uuid import uuid4

from mcp_server.errors import Misconfigured

MOST_BYTES = 1_000_000
"""A file of state is smaller; whoever keeps more in one sets a limit of its own."""


class Unreadable(Misconfigured):
    """A file is not what it should be: a link, a device, too large, or no JSON object; or this user may not read it."""


def put_new(target: Path, content: bytes) -> bool:
    """Make a file that did not exist; False, and nothing changed, where there is one of that name, or a link.

    Raises:
        OSError: it cannot be written.
    """
    fresh = target.with_name(f".{uuid4().hex}.new")
    try:
        _fill(fresh, content, durable=True)
        return _linked(fresh, target, content)
    finally:
        fresh.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file, or replace it, so that a reader sees the old content or the new one and never a part.

    Args:
        target: the file. Only one thread of a process may write it at a time.
        content: all that it is to hold.
        durable: wait until the disk has it; False for what the next write makes worthless.

    Raises:
        OSError: it cannot be written; what was there is unchanged.
    """
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        _fill(fresh, content, durable=durable)
        fresh.replace(target)
    except OSError:
        if fresh.is_file():
            fresh.unlink(missing_ok=True)
        raise


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a whole regular file.

    Raises:
        FileNotFoundError: it is missing.
        Unreadable: it cannot be read; it is a link, a pipe, a folder or a device; or it is larger than `most_bytes`.
    """
    try:
        if path.is_symlink():
            raise Unreadable(f"{str(path)!r} is a symbolic link.", "Put the file itself there.")
        if not stat.S_ISREG(path.lstat().st_mode):  # to open a pipe or a device could wait for ever
            raise Unreadable(f"{str(path)!r} is no regular file.", "Put a file there.")
        with open(path, "rb", opener=_without_waiting) as stream:
            content = stream.read(most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"{str(path)!r} cannot be read ({error.strerror}).", "Give this user access.") from None
    if len(content) > most_bytes:
        raise Unreadable(f"{str(path)!r} is larger than {most_bytes} bytes.", "Shorten it.")
    return content


def read_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object from a regular file; raise as `read_regular`, also where it holds something else."""
    content = read_regular(path, most_bytes)
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{str(path)!r} is not JSON ({error}).", "Mend it or move it aside.") from None
    if not isinstance(value, dict):
        raise Unreadable(f"{str(path)!r} holds no JSON object.", "Mend it or move it aside.")
    return value


def _fill(fresh: Path, content: bytes, *, durable: bool) -> None:
    with fresh.open("wb") as stream:
        stream.write(content)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def _linked(fresh: Path, target: Path, content: bytes) -> bool:
    try:
        os.link(fresh, target)  # unlike a rename this fails where another was first
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: made at once and alone there, but a kill may leave it cut
        try:
            with target.open("xb") as stream:
                stream.write(content)
        except FileExistsError:
            return False
    return True


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
