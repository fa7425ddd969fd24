"""The outbox: outcomes of runs that could not be entered in the database yet, one file each."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_server.errors import Misconfigured
from mcp_server.storage.files import Unreadable, read_object, write_whole
from mcp_server.storage.home import unwritable

MOST_BYTES = 100_000_000

KEYS = frozenset(
    (
        *("execution_id", "run_key", "completed_at", "status", "error", "model", "tokens_used", "cost_usd"),
        *("trace", "as_of", "execution_time_ms", "signal"),
    )
)
"""The keys that every document has: those of an older version have no others."""


class Outbox:
    """JSON documents in one folder, in order of name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a document under a name.

        Raises:
            Misconfigured: the folder cannot be written.
        """
        target = self._folder / f"{name}.json"
        try:
            write_whole(target, json.dumps(document).encode())
        except OSError as error:
            raise unwritable(target, error) from None

    def remove(self, name: str) -> None:
        """Forget a document; it may be gone already."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def run_keys(self) -> frozenset[str]:
        """Return the keys of the runs whose outcome waits here."""
        return frozenset(document["run_key"] for _, document in self)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each document with its name.

        Raises:
            Misconfigured: a document cannot be read; it is named, and left where it is.
        """
        for file in sorted(self._folder.glob("*.json")):
            try:
                document = read_object(file, MOST_BYTES)
                if KEYS - document.keys():
                    raise Unreadable("It is not the outcome of a run.")
                yield file.stem, document
            except FileNotFoundError:  # another process has entered it in the meantime
                continue
            except Unreadable as error:
                raise Misconfigured(
                    f"{str(file)!r} holds the outcome of a run and cannot be read. {error.problem}",
                    "Mend it or move it aside.",
                ) from None
