"""Moves a journal from the home's file into a Postgres, or back; whatever stops it, it goes on when it is asked again.

First the source is marked, and nobody reads or records anything there any more; then each table is copied and compared.
A table that was copied in part is begun anew. At last the source is marked as left, and the target is free to be used.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from uuid import uuid4

from mcp_server.domain.text import cleaned, counted
from mcp_server.domain.timeframes import naive
from mcp_server.errors import BadInput, Misconfigured, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.copying import TableSum, Tell, copy_journal, tables_of
from mcp_server.storage.journal.liveness import KEY, LockedFiles, Taken, is_alive
from mcp_server.storage.journal.place import Place, PlaceKind, PlaceState, read_place, write_place
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.postgres.database import PostgresDatabase
from mcp_server.storage.sql import JournalDatabase, SqlConnection

T = TypeVar("T")

LOCK = "journal-move"
"""Held while a journal of the home is moved."""

FREE: dict[PlaceKind, str] = {
    "postgres": "Let TRADER_DATABASE_URL name an empty database: `CREATE DATABASE NAME` makes one.",
    "file": "Move it into a home that has no journal of its own.",
}


@dataclass(frozen=True, slots=True)
class TableSize:
    """How much a table has; the bytes are those of its values."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MoveSide:
    """One of the two places. What connects raises `Retryable` and `Misconfigured`, as `Database` does."""

    kind: PlaceKind
    name: str
    database: JournalDatabase
    home: Home

    def untouched(self) -> bool:
        """Return whether nobody has used it yet; nothing is made for this look."""
        if isinstance(self.database, PostgresDatabase):
            return self.database.untouched()
        return not self.database.exists()

    def read(self, work: Callable[[SqlConnection], T]) -> T:
        """Read, whatever is noted of the place."""
        return self.database.read(work, anyway=True)

    def place(self) -> Place | None:
        """Return what is noted of it."""
        return None if self.untouched() else self.read(read_place)

    def mark(self, place: Place) -> None:
        """Note where the journal is."""
        stamped = replace(place, since=naive(self.database.now()))
        self.database.write(lambda connection: write_place(connection, stamped), anyway=True)

    def require_unused(self) -> None:
        """Raise `Retryable` where a program runs strategies on it."""
        if isinstance(self.database, PostgresDatabase):
            alive = 0 if self.untouched() else self.database.alive()
        else:
            files = [*self.home.running.iterdir()] if self.home.running.is_dir() else []
            ours = [file for file in files if KEY.fullmatch(file.name) or file.name.startswith("replay-")]
            alive = sum(map(is_alive, ours))
        if alive:
            raise Retryable(
                f"{counted(alive, 'program')} of Claude Trader at work on {self.name}: nothing was moved.",
                "Stop each `claude-trader up`, and let runs and replays end; then give the command again.",
            )

    def require_no_journal_but(self, source: "MoveSide") -> None:
        """Raise `BadInput` where it has anything that a move from the source would lose.

        An `up` that was started here once has left a row for each strategy of the home. As long as there is nothing
        else, the source's rows of the same strategies take their place.
        """
        tables = [] if self.untouched() else self.read(tables_of)
        rows = {table.name: self.read(table.count) for table in tables}
        there = {name: count for name, count in rows.items() if count}
        only_here = self.read(_strategies) - source.read(_strategies) if there.keys() == {"strategies"} else set()
        if there and (only_here or there.keys() != {"strategies"}):
            listed = ", ".join(f"{count:,} in {name}" for name, count in there.items())
            names = f" Strategies of which the other has none: {', '.join(sorted(only_here))}." if only_here else ""
            raise BadInput(f"{self.name} is not empty. Its rows: {listed}.{names}", FREE[self.kind])


@dataclass(frozen=True, slots=True)
class JournalMove:
    """A move between the file of a home and a Postgres."""

    home: Home
    source: MoveSide
    target: MoveSide

    @classmethod
    def of(cls, home: Home, file: Database, postgres: PostgresDatabase, to: PlaceKind) -> "JournalMove":
        """Name both sides."""
        in_file = MoveSide("file", f"{socket.gethostname()}:{file.path}", file, home)
        in_postgres = MoveSide("postgres", str(postgres.address), postgres, home)
        return cls(home, in_file, in_postgres) if to == "postgres" else cls(home, in_postgres, in_file)

    def is_taken_back(self) -> bool:
        """Return whether a move began to leave the target: what is wanted then is that the journal stays there."""
        place = self.target.place()
        return place is not None and place.state == "leaving"

    def take_back(self) -> None:
        """Let the journal go on in the target, which a move began to leave."""
        with self._alone():
            self.target.database.write(_stay, anyway=True)

    def sizes(self) -> dict[str, TableSize]:
        """Return how much there is to move, by table; nothing is changed.

        Raises:
            BadInput, Moved: there is nothing, or it may not be moved to there.
            Retryable: a program is at work on one of the two.
        """
        self._places()
        return {
            table.name: TableSize(self.source.read(table.count), self.source.read(table.bytes))
            for table in self.source.read(tables_of)
        }

    def move(self, tell: Tell = lambda *_: None) -> Mapping[str, TableSum]:
        """Move the journal, or go on with that; return the sum of each table, which is the same on both sides.

        Raises:
            BadInput, Moved, Retryable: as `sizes`.
            Retryable, Misconfigured: it could not be ended, and goes on when it is asked again.
        """
        with self._alone():
            here, there = self._places()
            if here is None or here.state == "here":
                here = self._begun(here)
            try:
                if there is None or there.move != here.move:
                    self.target.mark(self._noted(here, "arriving"))
                sums = copy_journal(self.source.read(tables_of), self.source.read, self.target.database, tell)
                self.source.database.write(partial(_leave, here.move), anyway=True)
                self.target.mark(self._noted(here, "here"))
            except self.target.database.refusals + self.source.database.refusals as error:
                raise Misconfigured(
                    f"The journal could not be moved: {cleaned(str(error).splitlines()[0], 200)}.",
                    "Move it as the owner of the tables.",
                ) from None
            return sums

    def _places(self) -> tuple[Place | None, Place | None]:
        """Return what is noted of source and target, where the journal may be moved."""
        if self.source.untouched():
            raise BadInput(f"There is no journal in {self.source.name}.", "`claude-trader status` shows where it is.")
        for side in (self.source, self.target):
            side.require_unused()
        here, there = self.source.place(), self.target.place()
        same_move = here is not None and there is not None and there.move == here.move
        if here is not None and not _may_leave(here, there, self.target.name, same_move=same_move):
            raise here.refusal()
        if not (same_move or (here and there and there.journal == here.journal and there.state != "here")):
            if there is not None and there.state == "arriving":
                raise there.refusal()
            self.target.require_no_journal_but(self.source)
        return here, there

    def _begun(self, here: Place | None) -> Place:
        """Mark the source, so that nobody reads or records anything there until the move has ended."""
        Journal(self.source.database, self.home).settle()
        journal = uuid4().hex if here is None else here.journal
        now = naive(self.source.database.now())
        leaving = Place(journal, uuid4().hex, "leaving", self.target.kind, self.target.name, now)
        self.source.mark(leaving)
        try:
            self.source.require_unused()  # a program may have begun before it was marked
        except BaseException:
            self.source.database.write(_stay, anyway=True)
            raise
        return leaving

    def _noted(self, here: Place, state: PlaceState) -> Place:
        """Return what is noted of the target."""
        return replace(here, state=state, other_kind=self.source.kind, other=self.source.name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other moves of this home from beginning."""
        self.home.prepare()
        try:
            with LockedFiles(self.home.running).hold(LOCK):
                yield
        except Taken:
            raise Retryable(
                "Another `claude-trader journal move` is at work in this home.", "Wait until it has ended."
            ) from None


def _strategies(connection: SqlConnection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM strategies").fetchall()}


def _may_leave(here: Place, there: Place | None, target: str, *, same_move: bool) -> bool:
    """Return whether the journal is in the source, or on its way from there to this very target."""
    if here.state == "here":
        return True
    if here.state == "leaving":
        return same_move or here.other == target
    return here.state == "gone" and same_move and there is not None and there.state == "arriving"


def _stay(connection: SqlConnection) -> None:
    place = read_place(connection)
    if place is not None and place.state == "leaving":
        write_place(connection, replace(place, state="here"))


def _leave(move: str, connection: SqlConnection) -> None:
    """Note that the journal is no longer here, as the last thing but one.

    Raises:
        Retryable: the move was taken back meanwhile.
    """
    place = read_place(connection)
    if place is None or place.move != move or place.state not in ("leaving", "gone"):
        raise Retryable("The move was taken back meanwhile: the journal goes on where it was.", "Look who did that.")
    write_place(connection, replace(place, state="gone"))
