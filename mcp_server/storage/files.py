"""Small files: written whole or not at all, read without following a link and without waiting."""

import json
import os
import stat
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from mcp_server.errors import Misconfigured

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MOST_BYTES = 1_000_000
"""A file of state is smaller; whoever keeps more in one sets a limit of its own."""


BROKEN = "broken"
"""The folder beside files of state into which those go that cannot be used."""

LEFTOVER_S = 3600.0
"""A half-written file that is older than this was left by a program that was killed, or by a full disk."""

T = TypeVar("T")


class Unreadable(Misconfigured):
    """A file is not what it should be: a link, a device, too large, or not of the shape that is expected."""


class Denied(Unreadable):
    """The system does not let this user read a file; it may be right all the same."""


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


def write_whole(target: Path, content: bytes, *, durable: bool = True, mode: int = 0o666) -> None:
    """Write a file, or replace it, so that a reader sees the old content or the new one and never a part.

    Args:
        target: the file. Only one thread of a process may write it at a time.
        content: all that it is to hold.
        durable: wait until the disk has it; False for what the next write makes worthless.
        mode: who may read it, as far as the umask allows.

    Raises:
        OSError: it cannot be written; what was there is unchanged.
    """
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        _fill(fresh, content, durable=durable, mode=mode)
        fresh.replace(target)
    except OSError:
        if fresh.is_file():
            fresh.unlink(missing_ok=True)
        raise


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a whole regular file.

    Raises:
        FileNotFoundError: it is missing.
        Unreadable: it is a link, a pipe, a folder or a device; or it is larger than `most_bytes`.
        Denied: it cannot be read.
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
        raise Denied(f"{str(path)!r} cannot be read ({error.strerror}).", "Give this user access.") from None
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


def read_state(path: Path, shape: "TypeAdapter[T]", most_bytes: int = MOST_BYTES) -> T:
    """Read a JSON object of a known shape from a regular file; raise as `read_object`, also where it differs."""
    from pydantic import ValidationError

    value = read_object(path, most_bytes)
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(part["loc"][0]) for part in error.errors() if part["loc"]}))
        raise Unreadable(f"{str(path)!r} is not as expected ({wrong}).", "Mend it or move it aside.") from None


def put_aside(file: Path, into: str = BROKEN) -> None:
    """Move what cannot be used, whatever it is, into a folder beside it; nothing there is replaced.

    Raises:
        OSError: it cannot be moved.
    """
    folder = file.parent / into
    folder.mkdir(exist_ok=True)
    target = folder / file.name
    if os.path.lexists(target):
        target = folder / f"{uuid4().hex}-{file.name}"
    os.utime(file, follow_symlinks=False)  # from now on it is told of for a while
    file.rename(target)


def told_aside(folder: Path, now: datetime) -> str | None:
    """Return a sentence on what was put aside of a folder in the last two days; None: nothing was."""
    if not (names := lately_aside(folder / BROKEN, now)):
        return None
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{len(names)} files could not be read and were moved to {str(folder / BROKEN)!r} ({shown}). Look at them."


def lately_aside(folder: Path, now: datetime) -> list[str]:
    """Return the names, in order, of what was put into such a folder in the last two days."""
    since_s = (now - timedelta(days=2)).timestamp()
    try:
        return sorted(
            entry.name for entry in os.scandir(folder) if entry.stat(follow_symlinks=False).st_mtime > since_s
        )
    except OSError:
        return []


def remove_leftovers(folder: Path, now: datetime) -> None:
    """Remove files that were left half written long ago: by a program that was killed, or by a full disk."""
    for file in folder.glob(".*.new"):
        with suppress(OSError):
            if file.lstat().st_mtime < now.timestamp() - LEFTOVER_S:
                file.unlink()


def _fill(fresh: Path, content: bytes, *, durable: bool, mode: int = 0o666) -> None:
    def without_following(path: str, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), mode)

    with open(fresh, "wb", opener=without_following) as stream:  # the name can be guessed by who shares the folder
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
