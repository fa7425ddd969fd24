"""Notices in files: what to deliver, to whom, and what became of it. Kept for 90 days, so that none goes out twice.

They are files, not rows of the journal: a shell may hold the database for hours, and just then there may be news.
Making a file is atomic, and happens once for each key. Only the process that holds the lock changes one afterwards.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock
from pydantic import AfterValidator, AwareDatetime, TypeAdapter

from mcp_server.storage.files import (
    Denied,
    Unreadable,
    put_aside,
    put_new,
    read_state,
    remove_leftovers,
    told_aside,
    write_whole,
)
from mcp_server.storage.home import Home, unwritable
from runner.notify.events import Kind

logger = logging.getLogger(__name__)

KEPT = timedelta(days=90)

State = Literal["waiting", "sending", "sent", "unknown", "given up"]


def _is_moment(text: str) -> str:
    if text and datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it has no time zone")
    return text


@dataclass(slots=True)
class Delivery:
    """What became of a notice at one service."""

    state: State = "waiting"
    attempts: int = 0
    due_at: Annotated[str, AfterValidator(_is_moment)] = ""
    why: str = ""

    @property
    def over(self) -> bool:
        """True where nothing more is to be done."""
        return self.state not in ("waiting", "sending")


@dataclass(slots=True)
class Notice:
    """One event to deliver. `name` is that of its file; `deliveries` are by the id of the service."""

    name: str
    kind: Kind
    key: str
    fields: Mapping[str, str]
    added_at: AwareDatetime
    deliveries: dict[str, Delivery] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "added_at": self.added_at.isoformat()}


class NoticeStore:
    """The notices of one home: waiting in the folder itself, then in `sent/` or `lost/`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = folder = home.notices
        self._sent, self._lost = folder / "sent", folder / "lost"
        self._saving = threading.Lock()
        self._stuck: dict[Path, str] = {}
        """Files that may not be read, or cannot be put aside, and why."""
        self.lock = FileLock(folder / ".lock", thread_local=False)

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            Misconfigured: they cannot be made.
        """
        for folder in (self._folder, self._sent, self._lost):
            self._home.make(folder)

    def add(self, notice: Notice) -> bool:
        """Keep a notice, unless there is or was one of its name; True where it is new.

        Raises:
            Misconfigured: the folder cannot be written.
        """
        self.prepare()
        target = self._folder / notice.name
        if target.exists() or self.has_ended(notice):
            return False
        try:
            return put_new(target, json.dumps(notice.as_json()).encode())
        except OSError as error:
            raise unwritable(target, error) from None

    def has_ended(self, notice: Notice) -> bool:
        """True where a notice of this name was delivered, or lost, before."""
        return (self._sent / notice.name).exists() or (self._lost / notice.name).exists()

    def waiting(self) -> list[Notice]:
        """Return what is to be delivered, oldest first."""
        notices = [notice for file in self._folder.glob("*.json") if (notice := self._usable(file)) is not None]
        return sorted(notices, key=lambda notice: notice.added_at)

    def lost(self, since: datetime) -> list[Notice]:
        """Return what was added since then and did not arrive, or may not have."""
        notices = [notice for file in self._lost.glob("*.json") if (notice := self._usable(file)) is not None]
        return [notice for notice in notices if notice.added_at >= since]

    def problem(self, now: datetime) -> str | None:
        """Return what could not be read lately, in a sentence for people."""
        if stuck := [why for file, why in self._stuck.items() if os.path.lexists(file)]:
            more = f" And {len(stuck) - 1} more like it." if len(stuck) > 1 else ""
            return f"A notification waits in vain: {stuck[0]}{more}"
        return told_aside(self._folder, now) or told_aside(self._lost, now)

    def save(self, notice: Notice) -> None:
        """Write down what has become of a notice, whole or not at all.

        Raises:
            Misconfigured: it cannot be written; then what was to be done next must not be done.
        """
        target = self._folder / notice.name
        with self._saving:
            try:
                write_whole(target, json.dumps(notice.as_json()).encode())
            except OSError as error:
                raise unwritable(target, error) from None

    def end(self, notice: Notice) -> None:
        """Put away a notice that is done with; drop it where one of its name had ended before."""
        file = self._folder / notice.name
        if self.has_ended(notice):
            file.unlink(missing_ok=True)
            return
        arrived = all(delivery.state == "sent" for delivery in notice.deliveries.values())
        file.replace((self._sent if arrived else self._lost) / notice.name)

    def forget(self, now: datetime) -> None:
        """Remove what was put away more than 90 days ago, and what was left half written."""
        for file in self.old(now):
            with suppress(OSError):  # it goes another time
                file.unlink()
        remove_leftovers(self._folder, now)

    def old(self, now: datetime) -> list[Path]:
        """List the files of what was put away more than 90 days ago."""
        files = [file for folder in (self._sent, self._lost) for file in folder.glob("*.json")]
        return [file for file in files if file.lstat().st_mtime < (now - KEPT).timestamp()]

    def _usable(self, file: Path) -> Notice | None:
        """Read a notice; one that cannot be used is put aside, and None."""
        try:
            notice = read_state(file, _shape())
            if notice.name == file.name:
                self._stuck.pop(file, None)
                return notice
        except FileNotFoundError:
            return None
        except Denied as error:  # it may be right: it goes on waiting
            self._stuck[file] = str(error)
            return None
        except Unreadable:
            logger.debug("%s", file, exc_info=True)
        try:
            put_aside(file)
        except OSError as error:
            self._stuck[file] = f"{str(file)!r} can be neither used nor moved aside ({error.strerror}): remove it."
        return None


@cache
def _shape() -> TypeAdapter[Notice]:
    return TypeAdapter(Notice)


def file_name(key: str) -> str:
    """Return the name of the file for a key, which may hold any text."""
    return f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}.json"
