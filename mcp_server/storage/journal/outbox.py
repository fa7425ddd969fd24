"""The outbox: outcomes of runs that could not be entered in the database yet, one file each."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_server.domain.text import counted
from mcp_server.storage.files import (
    BROKEN,
    Denied,
    Unreadable,
    lately_aside,
    put_aside,
    read_state,
    remove_leftovers,
    told_aside,
    write_whole,
)
from mcp_server.storage.home import unwritable

MOST_BYTES = 100_000_000

LATE = "late"
"""The folder of outcomes whose runs had been ended as interrupted: by another machine that missed this one, say."""


class Outbox:
    """JSON documents in one folder, each under the key of its run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stuck: dict[str, str] = {}
        """Files that cannot be used and cannot be moved either, or that may not be read, and why."""

    def put(self, key: str, document: Mapping[str, Any]) -> None:
        """Keep the document of a run.

        Raises:
            Misconfigured: the folder cannot be written.
        """
        target = self._folder / f"{key}.json"
        try:
            write_whole(target, json.dumps(document).encode())
        except OSError as error:
            raise unwritable(target, error) from None

    def remove(self, key: str) -> None:
        """Forget the document of a run; it may be gone already."""
        (self._folder / f"{key}.json").unlink(missing_ok=True)

    def run_keys(self) -> frozenset[str]:
        """Return the keys of the runs whose outcome waits here, whether or not it can be read."""
        return frozenset(file.stem for file in self._folder.glob("*.json"))

    def documents(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return what waits, by the key of its run, and why files cannot be used, by what is before `.json` there."""
        documents, broken, denied = dict[str, dict[str, Any]](), dict[str, str](), dict[str, str]()
        for file in sorted(self._folder.glob("*.json")):
            from pydantic import TypeAdapter

            from mcp_server.storage.journal.waiting_outcome import WaitingOutcome

            try:
                document = read_state(file, TypeAdapter(WaitingOutcome), MOST_BYTES)
                if document.run_key != file.stem:
                    raise Unreadable(f"It is the outcome of another run, {document.run_key[:80]!r}.")
                documents[file.stem] = document.model_dump()
            except FileNotFoundError:  # another process has entered it in the meantime
                continue
            except Denied as error:  # it may be right: it goes on waiting
                denied[file.stem] = error.problem
            except Unreadable as error:
                broken[file.stem] = error.problem
        self._stuck = denied
        return documents, broken

    def put_aside(self, key: str) -> None:
        """Move a document that cannot be used into `broken/`; it may be gone. Where it must stay, `problem` says so."""
        self._moved(key, BROKEN)

    def _moved(self, key: str, into: str) -> None:
        file = self._folder / f"{key}.json"
        try:
            put_aside(file, into)
        except FileNotFoundError:
            return
        except OSError as error:
            cause = error.strerror or str(error)
            self._stuck[key] = (
                f"{str(file)!r} cannot be used, nor moved to {str(self._folder / into)!r} ({cause}): "
                "remove it, or give this user that folder."
            )

    def put_late(self, key: str) -> None:
        """Move a document whose run others have ended as interrupted into `late/`; it may be gone."""
        self._moved(key, LATE)

    def problem(self) -> str | None:
        """Return what could not be read lately, in a sentence for people; remove what was left half written."""
        now = datetime.now(UTC)
        remove_leftovers(self._folder, now)
        stuck = [*self._stuck.values()]
        more = f" And {len(stuck) - 1} more like it." if len(stuck) > 1 else ""
        if stuck:
            return f"An outcome waits in vain: {stuck[0]}{more}"
        if lost := lately_aside(self._folder / LATE, now):
            return (
                f"The outcomes of {counted(len(lost), 'run')} came too late: the journal has them as interrupted. "
                f"They are kept in {str(self._folder / LATE)!r}."
            )
        return told_aside(self._folder, now)
