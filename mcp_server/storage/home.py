"""The home: the one folder where a user's things live."""

import errno
import os
from pathlib import Path
from typing import NamedTuple

from mcp_server.errors import Misconfigured, NoSpace

_CHECKOUT = Path(__file__).parents[2]


class Home(NamedTuple):  # a dataclass takes as long to import as a run has done until it starts its server
    """Where each thing of a home lies. Nothing is created until `prepare`."""

    root: Path

    @property
    def database(self) -> Path:
        """The journal and the candle store: one DuckDB file."""
        return self.root / "claude_trader.duckdb"

    @property
    def strategies(self) -> Path:
        """One folder for each strategy."""
        return self.root / "strategies"

    @property
    def outbox(self) -> Path:
        """Finished outcomes that wait for the database, one file each."""
        return self.root / "outbox"

    @property
    def running(self) -> Path:
        """One locked file for each run that is under way."""
        return self.root / "running"

    @property
    def analysis(self) -> Path:
        """A report of each run: one folder for each strategy."""
        return self.root / "analysis"

    @property
    def cassettes(self) -> Path:
        """A model's recorded replies: one folder for each strategy, and in it one for each version of its decision."""
        return self.root / "cassettes"

    @property
    def notices(self) -> Path:
        """Notifications, sent and unsent, one file each."""
        return self.root / "notices"

    @property
    def templates(self) -> Path:
        """The user's own wording of notifications."""
        return self.root / "templates"

    @property
    def heartbeat(self) -> Path:
        """Where the runner says that it is alive."""
        return self.root / "heartbeat.json"

    @property
    def oauth(self) -> Path:
        """Which grants of access are alive, and the secret that their tickets are sealed with."""
        return self.root / "oauth.json"

    @property
    def news_lock(self) -> Path:
        """Locked by the program that collects news."""
        return self.root / "news.lock"

    def prepare(self) -> None:
        """Create the folders that are missing.

        Raises:
            Misconfigured: when the home cannot be written.
        """
        for folder in (self.root, self.strategies, self.outbox, self.running):
            self.make(folder)

    def make(self, folder: Path) -> None:
        """Create a folder of the home if it is missing; a new home is open to its owner alone.

        Raises:
            NoSpace, Misconfigured: the home cannot be written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None


LEAST_FREE_BYTES = 1_000_000
"""With less room than this, neither the database nor the heartbeat can be relied on."""

FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
"""What the system answers when the disk, or this user's share of it, is full."""

_IN_USE = frozenset((5, 32))
"""What Windows answers when a file is open, or one in a folder; the first also where a user has no access."""


def no_space(path: Path) -> NoSpace | None:
    """Look whether the disk of a folder is full; None: there is room, or nobody can say."""
    try:
        disk = os.statvfs(path)
    except (OSError, AttributeError):
        return None
    if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES or (disk.f_files and not disk.f_favail):
        return NoSpace(path)
    return None


def is_full(text: str) -> bool:
    """Return whether a library's text says that the disk is full."""
    return any(os.strerror(number) in text for number in FULL)


def unwritable(path: Path, error: OSError) -> NoSpace | Misconfigured:
    """Make the error that says why a path of the home cannot be written."""
    if error.errno in FULL:
        return NoSpace(path)
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        there = str(error.filename2 or error.filename or path)
        blocked = "" if there == str(path) else f" of {str(path)!r}"
        return Misconfigured(
            f"The home cannot be written: {there!r} is in the way{blocked} ({error.strerror}).",
            "Look what it is and move it aside, or set TRADER_HOME to another folder.",
        )
    if getattr(error, "winerror", None) in _IN_USE:
        return Misconfigured(
            f"The home cannot be written: {str(path)!r} ({error.strerror}).",
            "Close whatever has it open, or a file in it: Windows moves and removes nothing that is open.",
        )
    return Misconfigured(
        f"The home cannot be written: {str(path)!r} ({error.strerror or error}).",
        "Give this user write access, or set TRADER_HOME to a folder that can be written.",
    )


def default_home() -> Path:
    """Return the default home: `data/` of the checkout that this runs from, else the platform's data folder."""
    if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "strategies").is_dir():
        return _CHECKOUT / "data"
    from platformdirs import user_data_path

    return user_data_path("claude-trader", appauthor=False)


def home_folder(text: str | None) -> Path:
    """Return the home that TRADER_HOME names, or the default one.

    Raises:
        Misconfigured: it names the home folder of a user who does not exist.
    """
    try:
        return Path(text or default_home()).expanduser().absolute()
    except RuntimeError:
        raise Misconfigured(f"TRADER_HOME {text!r} names no user of this machine.", "Write the path itself.") from None


def examples_folder() -> Path:
    """Return the folder of the example strategies: read-only data of the package, or the checkout's `strategies/`."""
    packaged = Path(__file__).parents[1] / "examples"
    return packaged if packaged.is_dir() else _CHECKOUT / "strategies"
