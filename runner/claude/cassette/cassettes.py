"""The cassettes: a model's whole replies to exact requests, kept by strategy, version of its decision, and moment.

A file holds one reply. It is written whole or not at all, so a kill leaves no half reply; what cannot be read counts as
not there, and the log says so. No header of a request is kept, and so no credential.
"""

import errno
import gzip
import json
import logging
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter, ValidationError

from mcp_server.storage.files import Unreadable, read_regular, write_whole
from runner.claude.cassette.packed_request import PackedRequest
from runner.claude.preflight import CREDENTIALS

KEPT_STATUSES = frozenset((200, 400, 404, 413))
"""Whole replies, and the refusals that a request itself is to blame for; an outage or a credential says nothing."""

MOST_BYTES = 100_000_000
"""What a file may hold, also once it is unpacked; what is longer is not kept."""

MOST_TOKENS = 10**12
_PACKED, _PLAIN = ".json.gz", ".json"
_WORTH_PACKING = 2_000

logger = logging.getLogger(__name__)

_Count = Annotated[int, Field(ge=0, lt=MOST_TOKENS)]


def _kept_status(status: int) -> int:
    if status not in KEPT_STATUSES:
        raise ValueError(f"a reply of status {status} is never kept")
    return status


def _as_text(reply: str) -> str:
    reply.encode()  # half a character is a ValueError
    return reply


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one reply."""

    input: _Count = 0
    output: _Count = 0
    cache_read: _Count = 0
    cache_creation: _Count = 0
    cache_creation_1h: _Count = 0
    """The part of `cache_creation` that is kept for an hour, which costs more."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A reply as it came, and the request that it answers as it was forwarded.

    `credential` is the variable that held the credential: on it depends which model the CLI uses where none is named.
    `paid_by` is the key of the run that asked, and `times` how often it did: what was under way when a run was killed
    is asked for again. `derived_from` is the key of the reply that this one was made of, by leaving out the start of a
    sub-agent; None: a model gave it as it is.
    """

    key: str
    model: str
    request: Mapping[str, Any]
    status: Annotated[int, AfterValidator(_kept_status)]
    content_type: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]
    reply: Annotated[str, AfterValidator(_as_text)]
    usage: TokenCounts
    cutoff: Annotated[str, Field(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")] | None
    asked_at: AwareDatetime
    paid_by: str
    credential: Annotated[str, Field(pattern=f"^({'|'.join(CREDENTIALS)})$")]
    times: Annotated[int, Field(ge=1, lt=10**6)] = 1
    derived_from: str | None = None


@dataclass(frozen=True, slots=True)
class Cassette:
    """The replies to one version of a strategy's decision. `root` is the folder of all cassettes."""

    root: Path
    strategy: str
    decision_version: str

    @property
    def folder(self) -> Path:
        """Where they lie: a folder for each moment."""
        return self.root / self.strategy / self.decision_version

    def find(self, as_of: datetime, key: str) -> Recorded | None:
        """Return the reply to a request; None where there is none that can be read."""
        folder = self.place(as_of)
        for ending in (_PACKED, _PLAIN):
            file = folder / f"{key}{ending}"
            if os.path.lexists(file) and (recorded := _read(file)) is not None:
                return recorded
        return None

    def keep(self, as_of: datetime, recorded: Recorded, packed: PackedRequest | None = None) -> None:
        """Keep a reply; `packed` is its request, where that was packed before.

        Raises:
            OSError: it cannot be written; what was there is unchanged.
        """
        _kept_status(recorded.status)
        begin = packed or PackedRequest(recorded.request)
        content, ending = begin.plain(_all_but_the_request(recorded)), _PLAIN
        if len(content) > MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if len(content) > _WORTH_PACKING:
            content, ending = begin.packed(content), _PACKED
        folder = self.place(as_of)
        file = folder / f"{recorded.key}{ending}"
        try:
            write_whole(file, content, durable=False)  # what a crash takes is asked for again
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, content, durable=False)
        _under_way(folder, recorded.key).unlink(missing_ok=True)

    def asking(self, as_of: datetime, key: str) -> int:
        """Note that a reply is asked for now; return how often it was, with those that were never whole."""
        note = _under_way(self.place(as_of), key)
        with suppress(OSError):
            try:
                return _one_more(note)
            except FileNotFoundError:
                note.parent.mkdir(parents=True, exist_ok=True)
                return _one_more(note)
        return 1

    def was_asked(self, as_of: datetime, key: str) -> bool:
        """Return whether a reply was asked for that never became whole: its run ended first."""
        return _times(_under_way(self.place(as_of), key)) > 0

    def not_paid(self, as_of: datetime, key: str) -> None:
        """Take the last note of `asking` back: the API has refused, so it costs nothing."""
        note = _under_way(self.place(as_of), key)
        with suppress(OSError):
            if (times := _times(note)) > 1:
                write_whole(note, b"." * (times - 1), durable=False)
            else:
                note.unlink(missing_ok=True)

    def at(self, as_of: datetime) -> list[Recorded]:
        """List the replies of a moment in the order in which they were asked for."""
        return _recorded_in(self.place(as_of))

    def moments(self) -> list[datetime]:
        """List the moments of which there is a reply."""
        folders = [entry for entry in _entries(self.folder) if any(_is_reply(file) for file in _entries(entry))]
        return sorted(moment for folder in folders if (moment := _as_moment(folder.name)) is not None)

    def others(self) -> "list[Cassette]":
        """List the cassettes of the strategy's other versions, the one last written to first."""
        folders = [entry for entry in _entries(self.folder.parent) if entry.name != self.decision_version]
        written = [
            (max((child.lstat().st_mtime_ns for child in _entries(one)), default=0), one.name) for one in folders
        ]
        return [Cassette(self.root, self.strategy, name) for at, name in sorted(written, reverse=True) if at]

    def place(self, as_of: datetime) -> Path:
        """Return the folder of a moment's replies."""
        return Path(self.root, self.strategy, self.decision_version, _as_name(as_of))


def _all_but_the_request(recorded: Recorded) -> dict[str, Any]:
    value = {field.name: getattr(recorded, field.name) for field in fields(recorded) if field.name != "request"}
    return {**value, "usage": asdict(recorded.usage), "asked_at": recorded.asked_at.astimezone(UTC).isoformat()}


def _under_way(folder: Path, key: str) -> Path:
    return folder / f".{key}.asked"


def _one_more(note: Path) -> int:
    with open(note, "ab", buffering=0, opener=_without_waiting) as stream:
        stream.write(b".")
        return stream.tell()


def _times(note: Path) -> int:
    try:
        return len(read_regular(note))
    except (FileNotFoundError, Unreadable):
        return 0


@cache
def _shape() -> TypeAdapter[Recorded]:
    return TypeAdapter(Recorded)


def _read(file: Path) -> Recorded | None:
    try:
        content = read_regular(file, MOST_BYTES)
        if file.name.endswith(_PACKED):
            content = _unpacked(content)
        recorded = _shape().validate_python(json.loads(content))
    except FileNotFoundError:
        return None
    except (Unreadable, OSError, EOFError, zlib.error, ValueError, RecursionError, ValidationError) as error:
        logger.warning("a reply on the cassette cannot be read, so it counts as missing: %s (%s)", file, _why(error))
        return None
    if not file.name.startswith(f"{recorded.key}."):
        logger.warning("a reply on the cassette is under another's name, so it counts as missing: %s", file)
        return None
    return recorded


def _unpacked(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=BytesIO(content)) as stream:
        unpacked = stream.read(MOST_BYTES + 1)
    if len(unpacked) > MOST_BYTES:
        raise ValueError("it is too long")
    return unpacked


def _without_waiting(path: str, flags: int) -> int:
    """Open a file to write; a pipe or a link in its place is an error."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _why(error: Exception) -> str:
    """Say why without what the file holds, which a person may have put there."""
    return error.problem if isinstance(error, Unreadable) else type(error).__name__


def _recorded_in(folder: Path) -> list[Recorded]:
    replies = [recorded for file in _entries(folder) if _is_reply(file) and (recorded := _read(file)) is not None]
    return sorted(replies, key=lambda recorded: (recorded.asked_at, recorded.key))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_reply(file: Path) -> bool:
    return file.name.endswith((_PACKED, _PLAIN)) and not file.name.startswith(".")


def _as_name(as_of: datetime) -> str:
    moment = as_of.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}" + (f".{moment.microsecond:06d}" if moment.microsecond else "") + "Z"


def _as_moment(name: str) -> datetime | None:
    for shape in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ"):
        try:
            return datetime.strptime(name, shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
