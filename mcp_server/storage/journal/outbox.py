"""The outbox: ended runs that could not be entered yet, one file each, written whole or not at all."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_server.errors import Misconfigured
from mcp_server.storage.home import unwritable

KEYS = frozenset(
    [
        "execution_id",
        "run_key",
        "completed_at",
        "status",
        "error",
        "model",
        "tokens_used",
        "cost_usd",
        "trace",
        "as_of",
        "execution_time_ms",
        "signal",
    ]
)


def missing(document: Mapping[str, Any]) -> frozenset[str]:
    """Give the keys of an ended run that a document lacks."""
    return KEYS - document.keys()


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
        fresh = target.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as stream:
                json.dump(document, stream)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(target)
        except OSError as error:
            raise unwritable(target, error) from None

    def remove(self, name: str) -> None:
        """Forget a document; it may be gone already."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give each document with its name.

        Raises:
            Misconfigured: a document cannot be read; it is named, and left where it is.
        """
        for file in sorted(self._folder.glob("*.json")):
            try:
                document = json.loads(file.read_text("utf-8"))
                if not isinstance(document, dict) or missing(document):
                    raise ValueError("it is no ended run")
                yield file.stem, document
            except FileNotFoundError:  # another process has entered it in the meantime
                continue
            except (OSError, ValueError) as error:
                raise Misconfigured(
                    f"{str(file)!r} holds the outcome of a run and cannot be read ({error}). Mend it or move it aside."
                ) from None
