"""Where a journal is: of the places that it was moved between, only one goes on.

A move first marks the place that it leaves, and frees the other one last, once both hold the same. So however it is
stopped, there is at most one place in which anything is read or recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from mcp_server.errors import Misconfigured, TraderError
from mcp_server.storage.sql import JournalDatabase, SqlConnection

T = TypeVar("T")
PlaceKind = Literal["file", "postgres"]
PlaceState = Literal["here", "leaving", "arriving", "gone"]

OTHER: dict[PlaceKind, PlaceKind] = {"file": "postgres", "postgres": "file"}

_USE: dict[str, str] = {
    "postgres": "Set TRADER_DATABASE_URL to that database, for every program.",
    "file": "Use it with that home, where TRADER_DATABASE_URL is unset.",
}
_MOVE = "`claude-trader journal move --to {}`"


class Moved(Misconfigured):
    """This is not the place in which the journal goes on."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is noted of a place; the fields are those of the table `journal_place`, `since` is naive UTC."""

    journal: str
    move: str
    state: PlaceState
    other_kind: PlaceKind
    other: str
    since: datetime

    def refusal(self) -> Moved:
        """Make the error for whoever would use the journal here."""
        there, back = _MOVE.format(self.other_kind), _MOVE.format(OTHER[self.other_kind])
        if self.state == "gone":
            return Moved(
                f"The journal is not here any more: since {self.since:%Y-%m-%d %H:%M} UTC it is in {self.other}.",
                f"{_USE[self.other_kind]} Or bring it back: {back}.",
            )
        if self.state == "leaving":
            return Moved(
                f"The journal is being moved to {self.other}; nothing is recorded until that has ended.",
                f"If the move was stopped, give its command again: {there}. To stay instead: {back}.",
            )
        return Moved(
            f"Only a part of the journal is here: its move from {self.other} has not ended.",
            f"Give the command of the move again: {back}.",
        )


def read_place(connection: SqlConnection) -> Place | None:
    """Return what is noted; None: the journal was never moved."""
    row = connection.execute("SELECT journal, move, state, other_kind, other, since FROM journal_place").fetchone()
    return None if row is None else Place(*row)


def write_place(connection: SqlConnection, place: Place) -> None:
    """Note it, in the place of what was noted."""
    connection.execute("DELETE FROM journal_place")
    connection.execute(
        "INSERT INTO journal_place (journal, move, state, other_kind, other, since) VALUES (?, ?, ?, ?, ?, ?)",
        [place.journal, place.move, place.state, place.other_kind, place.other, place.since],
    )


def where_it_is(work: Callable[[Any], T]) -> Callable[[Any], T]:
    """Return work that is done only where the journal goes on; elsewhere it raises `Moved`."""

    def checked(connection: SqlConnection) -> T:
        place = read_place(connection)
        if place is not None and place.state != "here":
            raise place.refusal()
        return work(connection)

    return checked


def left_in_file(journal: JournalDatabase, file: JournalDatabase) -> Misconfigured | None:
    """Return what to tell of runs in the home's own file, where the journal is elsewhere and has no run; None: nothing.

    A file whose journal was moved away is not looked at any further.
    """
    if journal.path is not None or not file.exists():
        return None
    try:
        if journal.read(_has_runs) or not file.read(_has_runs):
            return None
    except TraderError:  # what is wrong with one of them, its use tells
        return None
    return Misconfigured(
        "The Postgres of TRADER_DATABASE_URL has no run, and this home's own file has a journal with runs: "
        f"{str(file.path)!r}.",
        f"To move it: stop each `claude-trader up`, and give {_MOVE.format('postgres')} (docs/guides/scaling.md). "
        "To go on with the file, unset TRADER_DATABASE_URL.",
    )


def _has_runs(connection: SqlConnection) -> bool:
    return connection.execute("SELECT 1 FROM executions LIMIT 1").fetchone() is not None


def refuse_if_moved(database: JournalDatabase, patience_s: float) -> None:
    """Raise `Moved` where the journal is elsewhere; wait at most `patience_s`. What else is wrong, its use tells."""
    try:
        database.read(lambda connection: None, patience_s=patience_s)
    except Moved:
        raise
    except TraderError:
        return
