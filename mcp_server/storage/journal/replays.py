"""Replays in the journal: what each was to do, its rows by moment, what it has spent, and who works on it."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from hashlib import sha256
from typing import Any

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.text import dollars, escaped
from mcp_server.domain.timeframes import naive
from mcp_server.errors import NotFound, Retryable
from mcp_server.storage.home import Home
from mcp_server.storage.journal.budget import Admission, Spent
from mcp_server.storage.journal.liveness import Taken
from mcp_server.storage.journal.replay_rows import ReplayRow, replay_rows, spent_by
from mcp_server.storage.journal.rows import mirror
from mcp_server.storage.sql import JournalDatabase, SqlConnection

_COLUMNS = (
    "r.id, s.name, r.decision_version, r.since, r.until, r.every, CAST(r.without AS VARCHAR), r.contaminated, r.rerun, "
    "r.repeat, r.strategy_version, r.max_usd, r.started_at, r.opened_at, r.pid"
)
MOST_KNOWN = 4
"""So many replays are named to who asks for one that there is not."""

_READ = f"SELECT {_COLUMNS} FROM replays r JOIN strategies s ON s.id = r.strategy_id"  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class ReplayTerms:
    """What defines a replay: the same terms always go on with the same one. Times are aware.

    `every` is an interval like "4h"; None: the strategy's own schedule. `without` names sub-agents that are left out.
    `contaminated` allows moments whose sequel the model may know. `rerun`: everything comes from cassettes. `repeat` is
    how many reruns with these terms have come to their end before.
    """

    strategy: str
    decision_version: str
    since: datetime
    until: datetime
    every: str | None = None
    without: tuple[str, ...] = ()
    contaminated: bool = False
    rerun: bool = False
    repeat: int = 0

    @property
    def id(self) -> str:
        """Eight hex digits that these terms have, and hardly any others."""
        moments = [moment.astimezone(UTC).isoformat() for moment in (self.since, self.until)]
        flags = [self.contaminated, self.rerun]
        repeat = [self.repeat] if self.repeat else []
        terms = [self.strategy, self.decision_version, *moments, self.every, sorted(set(self.without)), *flags, *repeat]
        return sha256(json.dumps(terms).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as the journal has it. `max_usd` was last allowed; the process `pid` took it up last, at `opened_at`."""

    id: str
    terms: ReplayTerms
    strategy_version: str
    max_usd: Decimal
    started_at: datetime
    opened_at: datetime
    pid: int

    def __str__(self) -> str:
        """Name it, and what it is of: `1f3a9c02 (mine, 2026-01-01 to 2026-02-01)`."""
        terms = self.terms
        without = f", without {', '.join(terms.without)}" if terms.without else ""
        return (
            f"{self.id} ({terms.strategy}, {terms.since:%Y-%m-%d} to {terms.until:%Y-%m-%d}{without}"
            f"{', a rerun' if terms.rerun else ''})"
        )


@dataclass(frozen=True, slots=True)
class Replays:
    """The replays of one home. Every method raises `Retryable` and `Misconfigured`, as `Database` does."""

    database: JournalDatabase
    home: Home

    @contextmanager
    def open(self, terms: ReplayTerms, strategy: Strategy, max_usd: Decimal, now: datetime) -> Iterator[Replay]:
        """Begin a replay, or go on with it; nobody else can while this block lasts.

        Args:
            terms: what defines it.
            strategy: as its folder has it now.
            max_usd: what it may spend in all, with what it has spent before.
            now: the present.

        Raises:
            Retryable: another process works on it.
            Misconfigured: the home cannot be written.
        """
        self.home.prepare()
        with ExitStack() as held:
            try:
                held.enter_context(self.database.signs_of_life(self.home.running).hold(f"replay-{terms.id}"))
            except Taken:
                raise self._taken(terms.id) from None
            yield self.database.write(lambda connection: _open(connection, terms, strategy, max_usd, now))

    def read(self, replay_id: str) -> Replay:
        """Return one replay.

        Raises:
            NotFound: this home has no such replay.
        """
        known = self._select("ORDER BY r.opened_at DESC, r.id", [])
        for replay in known:
            if replay.id == replay_id:
                return replay
        raise NotFound(f"There is no replay {escaped(replay_id)!r} in this journal.", _one_of(replay_id, known))

    def of(self, strategy: str) -> list[Replay]:
        """Return the replays of a strategy, the one that was last worked on first."""
        return self._select("WHERE s.name = ? ORDER BY r.opened_at DESC, r.id", [strategy])

    def rows(self, replay_id: str) -> dict[datetime, ReplayRow]:
        """Return the rows of a replay by their moments, in order of time."""
        return self.database.read(lambda connection: replay_rows(connection, replay_id))

    def spent(self, replay_id: str) -> Spent:
        """Return what a replay has spent, and what its runs under way may spend."""
        return self.database.read(lambda connection: spent_by(connection, replay_id))

    def admit(self, execution_id: int, replay_id: str, limit: Decimal, now: datetime) -> Admission:
        """Reserve what a run of a replay may cost, if its `max_usd` has room for that.

        As for the budgets of a day, each run that is under way beside this one counts twice: it may cost its limit,
        and a last turn of up to as much.
        """

        def work(connection: SqlConnection) -> Admission:
            ((most,),) = connection.execute("SELECT max_usd FROM replays WHERE id = ?", [replay_id]).fetchall()
            spent = spent_by(connection, replay_id, beside=execution_id)
            if spent.ended + limit > most:
                return Admission("no", _over(spent, limit, most))
            if spent.ended + 2 * spent.reserved + limit > most:
                return Admission("wait", _over(spent, limit, most))
            connection.execute(
                "UPDATE executions SET reserved_usd = ?, reserved_at = ? WHERE id = ?",
                [limit, naive(now), execution_id],
            )
            return Admission("yes")

        return self.database.write(work)

    def _select(self, condition: str, values: Sequence[Any]) -> list[Replay]:
        if not self.database.exists():
            return []
        rows = self.database.read(lambda connection: connection.execute(f"{_READ} {condition}", values).fetchall())
        return [_replay(*row) for row in rows]

    def _taken(self, replay_id: str) -> Retryable:
        others = self._select("WHERE r.id = ?", [replay_id])
        who = f" in process {others[0].pid}" if others else ""
        return Retryable(
            f"Replay {replay_id} is under way{who}.", "Let it end or stop it; the same command then goes on with it."
        )


def _open(connection: SqlConnection, terms: ReplayTerms, strategy: Strategy, max_usd: Decimal, now: datetime) -> Replay:
    strategy_id = mirror(connection, strategy, now, update=False)
    present = [strategy.version, max_usd, naive(now), os.getpid()]
    known = connection.execute(
        "UPDATE replays SET strategy_version = ?, max_usd = ?, opened_at = ?, pid = ? WHERE id = ? RETURNING id",
        [*present, terms.id],
    ).fetchall()
    if not known:
        connection.execute(
            "INSERT INTO replays (strategy_version, max_usd, opened_at, pid, id, strategy_id, decision_version, since, "
            "until, every, without, contaminated, rerun, repeat, started_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(*present, terms.id, strategy_id, terms.decision_version, naive(terms.since), naive(terms.until)),
                *(terms.every, json.dumps(sorted(set(terms.without))), terms.contaminated, terms.rerun),
                *(terms.repeat, naive(now)),
            ],
        )
    (row,) = connection.execute(f"{_READ} WHERE r.id = ?", [terms.id]).fetchall()
    return _replay(*row)


def _replay(id_: str, *values: Any) -> Replay:
    values = tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in values)
    strategy, version, since, until, every, without, *flags = values[:9]
    terms = ReplayTerms(strategy, version, since, until, every, tuple(json.loads(without)), *flags)
    return Replay(id_, terms, *values[9:])


def _one_of(replay_id: str, known: Sequence[Replay]) -> str:
    """Say which replay may be meant: the nearest, else the latest of all."""
    if not known:
        return "`claude-trader replay NAME` makes one, and tells its id."
    near = get_close_matches(replay_id, [replay.id for replay in known], n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    more = f" and {len(known) - MOST_KNOWN} more" if len(known) > MOST_KNOWN else ""
    return f"The latest are {', '.join(map(str, known[:MOST_KNOWN]))}{more}."


def _over(spent: Spent, limit: Decimal, most: Decimal) -> str:
    reserved = f", {dollars(spent.reserved)} are reserved by its runs under way" if spent.reserved else ""
    return (
        f"This replay has spent {dollars(spent.ended)} USD{reserved}, and this run may cost {dollars(limit)}. "
        f"That is more than the {dollars(most)} that it may spend. Allow it more: `--max-usd`."
    )
