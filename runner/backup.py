"""The backup of a home while everything runs: one archive with a consistent copy of the journal, wherever that is."""

import os
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

from mcp_server.errors import BadInput, NoSpace, Retryable
from mcp_server.storage.home import FULL
from runner.cli.context import Context
from runner.restore import BEFORE

LEFT_OUT = (".env", "running", "heartbeat.json", "oauth.json")
"""Left out: secrets; what only running programs need; grants of access, as one that has ended would be alive again;
names that begin with a dot, what a restore put aside, and archives in the home: each would hold all before it."""


def default_name(now: datetime) -> str:
    """Return the name of an archive that is made now."""
    return f"claude-trader-{now:%Y-%m-%dT%H%M%SZ}.tar.gz"


def back_up(context: Context, target: Path) -> int:
    """Write the archive, whole or not at all, without secrets (`.env`); return its size in bytes.

    Raises:
        BadInput: there is a file of that name, or no folder for it.
        Retryable: another program holds the journal, its database is away, or the disk is full.
    """
    if target.exists():
        raise BadInput(f"{str(target)!r} exists already.", "Give another name.")
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {str(target.parent)!r}.", "Create it, or name another folder.")
    root = context.home.root
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=root) as folder:
            fresh = Path(folder) / "archive"
            with tarfile.open(fresh, "w:gz", compresslevel=5) as archive:
                copy = Path(folder) / context.database.path.name
                if _copied(context, copy):
                    archive.add(copy, copy.name)
                for name in sorted(entry.name for entry in root.iterdir()):
                    aside = name.startswith((".", BEFORE, context.database.path.name)) or name.endswith(".tar.gz")
                    if not aside and name not in LEFT_OUT:
                        _pack(archive, root / name, name)
            size = fresh.stat().st_size
            _place(fresh, target)
            return size
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(error.filename or target) from None
        problem = f"The backup could not be written: {error.strerror or error}."
        raise Retryable(problem, "Name a folder that this user can write.") from None


def _copied(context: Context, copy: Path) -> bool:
    """Copy the home's file, with the journal in it that may be elsewhere; return whether there is anything."""
    there = context.database.path.exists()
    if there:
        context.database.copy(copy)
    if (elsewhere := context.journal_database) is context.database:
        return there
    from mcp_server.storage.database import Database
    from mcp_server.storage.journal.copying import save_journal

    file = Database(copy)
    save_journal(elsewhere, file)
    file.rewrite({})
    return True


def _pack(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file, or a folder with all that is in it; what went meanwhile, an outcome that was entered say, is not."""
    try:
        entry = archive.gettarinfo(path, name)
        if entry is None or _is_left_out(path):
            return
        if entry.isdir():
            archive.addfile(entry)
            for child in sorted(path.iterdir()):
                _pack(archive, child, f"{name}/{child.name}")
        elif entry.isreg() or entry.islnk():  # the latter is a file that has a second name here
            with path.open("rb") as stream:
                entry.type, entry.size = tarfile.REGTYPE, os.fstat(stream.fileno()).st_size
                archive.addfile(entry, stream)
    except FileNotFoundError:
        return


def _is_left_out(path: Path) -> bool:
    """Leave out half-written files and locks."""
    return path.name.startswith((".writing-", ".replacing-", ".copying-")) or path.name.endswith((".new", ".lock"))


def _place(fresh: Path, target: Path) -> None:
    """Move the archive to its place, even on another disk; a half-written one never has its name."""
    import shutil

    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with fresh.open("rb") as source, open(partial, "xb", opener=_for_owner_alone) as stream:
            shutil.copyfileobj(source, stream)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _for_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
