"""A backup that is put back before anything runs: an archive of a certain name in the home replaces what is there.

On a platform nobody can unpack it by hand: while the machine runs, `up` uses the files, and without it there is no
shell.
"""

import shutil
import tarfile
from datetime import datetime
from pathlib import Path, PurePosixPath

from mcp_server.domain.text import cleaned
from mcp_server.errors import TraderError
from mcp_server.storage.home import Home
from runner.restored_journal import take_to_postgres

ARCHIVE, BEFORE = "restore.tar.gz", "before-restore-"
UNREADABLE = f"{ARCHIVE}.unreadable"


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, which is made, and nothing beyond it.

    Python has its filter for that from 3.11.4 on. An older one unpacks what is all files and folders.

    Raises:
        tarfile.TarError: something in it would lie elsewhere, or be no file.
        OSError, EOFError: it cannot be read, or the folder not be written.
    """
    with tarfile.open(archive) as content:
        if hasattr(tarfile, "data_filter"):
            content.extractall(folder, filter="data")
            return
        for entry in content:
            path = PurePosixPath(entry.name)
            if path.is_absolute() or ".." in path.parts or not (entry.isreg() or entry.isdir()):
                raise tarfile.TarError(f"it has {cleaned(repr(entry.name), 200)}, which is no file within it")
        content.extractall(folder)  # noqa: S202 (each entry was looked at)


def restore(home: Path, now: datetime) -> str | None:
    """Put the archive's content in the place of the home's; return what was done, None if there is no archive.

    What was there is moved to `before-restore-TIME`, and the archive after it. An archive that cannot be unpacked, or
    is no backup, changes nothing and is put aside; so does one with a journal, where that belongs into a Postgres that
    is not empty, or cannot be used. Stopped half-way, it is done again.
    """
    archive, fresh = home / ARCHIVE, home / ".restoring"
    try:
        if archive.is_symlink() or not archive.is_file():
            return None
    except OSError:  # `up` says what is wrong with a home that it cannot enter
        return None
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        unpack(archive, fresh)
        names = {entry.name for entry in fresh.iterdir()}
        if not names & {Home(home).database.name, "strategies"}:
            raise tarfile.TarError("it has neither a journal nor strategies")
        there = take_to_postgres(home, fresh, archive)
        names = {entry.name for entry in fresh.iterdir()}
    except (tarfile.TarError, OSError, EOFError, TraderError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        archive.replace(home / UNREADABLE)
        return f"{ARCHIVE} was not restored ({error}); it is {UNREADABLE} now, and nothing else has changed."
    before = home / f"{BEFORE}{now:%Y-%m-%dT%H%M%SZ}"
    before.mkdir(exist_ok=True)
    for entry in list(home.iterdir()):
        if not entry.name.startswith((".", BEFORE)) and entry != archive:
            entry.rename(before / entry.name)
    for name in names:
        (fresh / name).rename(home / name)
    archive.rename(before / ARCHIVE)
    fresh.rmdir()
    journal = f" Its journal is in {there}." if there else ""
    return f"{ARCHIVE} is restored; what was there before is in {before.name}.{journal}"
