"""What DuckDB's errors mean for this project: who holds the file, what is damaged, what may work later."""

import re
import stat
from pathlib import Path

from mcp_server.errors import Misconfigured, NoSpace, Retryable, TraderError
from mcp_server.storage.home import is_full, unwritable


class Held(Retryable):
    """Another process holds the file."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The database {str(path)!r} is in use: {why}.", "Close that shell, notebook or program and try again."
        )


def check_regular(path: Path) -> None:
    """Raise `Misconfigured` for what is there and no file: DuckDB would wait at a pipe for ever."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:  # there is none yet, or DuckDB says why it cannot be looked at
        regular = not path.is_symlink()
    if not regular:
        raise Misconfigured(
            f"{str(path)!r} is no regular file, and leads to none. Nothing was changed.",
            "Look what it is and move it aside: a new database is made in its place.",
        )


def why_not_opened(path: Path, text: str) -> TraderError:
    """Make the error that says why DuckDB, which said `text`, could not open a file."""
    if is_full(text):
        return NoSpace(path)
    if holder := re.search(r"held in (.+?) \(PID (\d+)\)", text):
        return Held(path, f"process {holder[2]} ({holder[1]}) has it open")
    if "Could not set lock" in text or "already attached" in text:
        return Held(path, "another process has it open")
    if "WAL" in text:
        wal = path.with_name(path.name + ".wal")
        return Misconfigured(
            f"The write-ahead log {str(wal)!r} is damaged ({first_sentence(text)}). Nothing was changed.",
            f"Keep a copy of it and of {str(path)!r}, then move it aside. The database then opens, and lacks only what "
            "the log held.",
        )
    if "not a valid DuckDB" in text or "newer version" in text or "serialized" in text.lower():
        return Misconfigured(
            f"{str(path)!r} cannot be read as a database ({first_sentence(text)}). Nothing was changed.",
            "Update claude-trader if a newer one wrote it; otherwise move it aside, or restore a copy.",
        )
    return unwritable(path, OSError(first_sentence(text)))


def could_not_be_used(path: Path, error: object) -> Retryable:
    """Make the error of a transaction that DuckDB could not finish."""
    if is_full(str(error)):
        return NoSpace(path)
    return Retryable(
        f"The database {str(path)!r} could not be used: {first_sentence(error)} Nothing was changed.", "Try again."
    )


def first_sentence(error: object) -> str:
    """Return the first sentence of DuckDB's text, without its links."""
    return re.sub(r"https?://\S+", "", str(error)).split("\n")[0].replace("See also", "").strip()[:300]
