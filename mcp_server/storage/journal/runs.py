"""The journal: one row for each run, one more for its signal; nothing is lost while others hold the database.

Who only reads it imports nothing of what writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from mcp_server.errors import NotFound, TraderError
from mcp_server.storage.home import Home
from mcp_server.storage.journal import entries
from mcp_server.storage.journal.interrupted import Interrupted, end_broken
from mcp_server.storage.journal.outbox import Outbox

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended, Outcome, SignalName
    from mcp_server.domain.strategy.checks.budget import Costs
    from mcp_server.storage.journal.backtests import Backtests
    from mcp_server.storage.journal.costs import DayCost
    from mcp_server.storage.journal.ends import Waited
    from mcp_server.storage.journal.entries import Entry
    from mcp_server.storage.journal.host_runs import HostRuns
    from mcp_server.storage.journal.liveness import SignOfLife
    from mcp_server.storage.journal.outcomes import Outcomes
    from mcp_server.storage.journal.replays import Replays
    from mcp_server.storage.journal.rows import Claimed, Run, RunEnd
    from mcp_server.storage.journal.statements import Statements
    from mcp_server.storage.journal.whole_run import WholeRun
    from mcp_server.storage.sql import JournalDatabase
    from mcp_server.storage.strategies.folders import StrategyFolders
    from mcp_server.storage.strategies.versions import Kept

COSTS_PATIENCE_S = 2.0
"""How long a check of a strategy waits to learn what its runs cost; it can do without."""


class Journal:
    """The record of runs in one home.

    Every method but `finish` raises `Retryable` and `Misconfigured`, as `Database` does. Then nothing has changed, and
    the same call may work later; a run that could not be claimed must not start.
    """

    def __init__(self, database: JournalDatabase, home: Home) -> None:
        self._database = database
        self._home = home
        self._outbox = Outbox(home.outbox)
        self._signs = database.signs_of_life(home.running)
        self._interrupted = Interrupted(self._signs, self._outbox)

    def close(self) -> None:
        """End what its database keeps open."""
        self._database.close()

    @property
    def backtests(self) -> Backtests:
        """The backtests of this home."""
        from mcp_server.storage.journal.backtests import Backtests

        return Backtests(self._database)

    @property
    def host_runs(self) -> HostRuns:
        """The runs of this home that a host's own model decides."""
        from mcp_server.storage.journal.host_runs import HostRuns

        return HostRuns(self._database, self._home.running, self._prepared)

    def outcomes(self, strategies: StrategyFolders, default_exchange: str) -> Outcomes:
        """Return the outcomes of this home's signals; the arguments are those of `Outcomes`."""
        from mcp_server.storage.journal.outcomes import Outcomes

        return Outcomes(self._database, strategies, default_exchange)

    def statements(self, strategy: str) -> Statements:
        """Return what stood beside the signals of a strategy: its twin, and how its sub-agents leaned."""
        from mcp_server.storage.journal.statements import statements

        return self._database.read(lambda connection: statements(connection, strategy))

    @property
    def replays(self) -> Replays:
        """The replays of this home."""
        from mcp_server.storage.journal.replays import Replays

        return Replays(self._database, self._home)

    def claim(self, run: Run) -> Claimed:
        """Give a run its row, with the status `running`, and its strategy a row that mirrors its folder.

        Whoever claims a run must `finish` it. If its process ends before that, the next `settle` of any process does.
        """
        from mcp_server.storage.journal.rows import Claimed, insert_run

        with self._claiming(run.started_at) as (key, liveness):
            return Claimed(self._database.write(lambda c: insert_run(c, run, key)), run, key, liveness)

    def claim_again(self, execution_id: int, run: Run) -> Claimed:
        """Take up a run of a replay again that was interrupted, or ended for a reason outside of its strategy.

        Its row goes back to `running`. As with `claim`, whoever takes it up must `finish` it.

        Raises:
            Retryable: the row is not of this replay and moment, or has ended for good.
        """
        from mcp_server.storage.journal.replay_rows import take_up
        from mcp_server.storage.journal.rows import Claimed

        with self._claiming(run.started_at) as (key, liveness):
            payer = self._database.write(lambda connection: take_up(connection, execution_id, run, key))
            return Claimed(execution_id, run, key, liveness, earlier_payer=payer)

    def _prepared(self, now: datetime) -> None:
        self._home.prepare()
        self.settle(now)

    @contextmanager
    def _claiming(self, now: datetime) -> Iterator[tuple[str, SignOfLife]]:
        """Give a new key, and what shows that its run is under way; it is closed again where the run gets no row."""
        self._prepared(now)
        key = uuid4().hex
        liveness = self._signs.show(key)
        try:
            yield key, liveness
        except BaseException:
            liveness.close()
            raise

    def finish(
        self, claimed: Claimed, outcome: Outcome, ended_at: datetime, *, began_at: datetime | None = None
    ) -> Ended:
        """Enter how one run ended, as `finish_all` does; the arguments are those of `RunEnd`."""
        from mcp_server.storage.journal.rows import RunEnd

        return self.finish_all([RunEnd(claimed, outcome, ended_at, began_at)])[0]

    def finish_all(self, ends: Sequence[RunEnd]) -> list[Ended]:
        """Enter how runs ended, in one transaction; where the database cannot be written, leave it in the outbox.

        What waits there is entered later. An outcome that the database refuses, because it holds NaN for example, is
        entered as an error, and each of the others by itself.

        Raises:
            Misconfigured: neither the database nor the outbox can be written; `settle` will end rows as interrupted.
        """
        kept = False
        try:
            documents, before, waiting = self._entered(ends)
            if waiting is not None:
                for end, document in zip(ends, documents, strict=True):
                    self._outbox.put(end.claimed.key, document)
            kept = True
            return [
                end.claimed.ended(end.outcome, end.began_at, end.ended_at, waiting, signal)
                for end, signal in zip(ends, before, strict=True)
            ]
        finally:
            for end in ends:
                if end.claimed.liveness is not None:
                    end.claimed.liveness.close(forget=kept)

    def _entered(self, ends: Sequence[RunEnd]) -> tuple[list[dict[str, Any]], Sequence[SignalName | None], str | None]:
        """Enter outcomes, or errors in their place; return what was entered, the signals before, why they wait."""
        from mcp_server.storage.journal.rows import unkept

        try:
            documents = [end.document() for end in ends]
            return documents, *self._try_to_enter(documents)
        except self._database.refusals as error:
            if len(ends) == 1:
                documents = [replace(end, outcome=unkept(end.outcome, error)).document() for end in ends]
                return documents, *self._try_to_enter(documents)
        alone = [self._entered([end]) for end in ends]
        before = [signal for _, signals, _ in alone for signal in signals]
        waiting = next((why for _, _, why in alone if why is not None), None)
        return [document for documents, _, _ in alone for document in documents], before, waiting

    def _try_to_enter(self, documents: Sequence[dict[str, Any]]) -> tuple[Sequence[SignalName | None], str | None]:
        """Enter outcomes; those whose row was ended by others before are put where a person finds them."""
        from mcp_server.storage.journal.ends import enter_all, late

        try:
            before, too_late = self._database.write(lambda c: (enter_all(c, documents), late(c, documents)))
        except TraderError as error:
            return [None for _ in documents], str(error)
        for document in documents:
            if document["run_key"] in too_late:
                self._outbox.put(document["run_key"], document)
                self._outbox.put_late(document["run_key"])
        return before, None

    def settle(self, now: datetime | None = None) -> None:
        """Enter what waits in the outbox, and end the rows of runs that were killed, or not answered in time by `now`.

        What cannot be read goes to `outbox/broken/`, its row ends as an error, and all else is entered.
        """
        documents, broken = self._outbox.documents()
        for key, document in documents.items():
            waited = self._entered_late(document)
            if waited != "no row":
                (self._outbox.remove if waited == "entered" else self._outbox.put_late)(key)
        if broken:
            self._database.write(lambda connection: end_broken(connection, broken, self._database.now()))
            for key in broken:
                self._outbox.put_aside(key)
        self.end_dead()
        self.host_runs.end_if_due(now or self._database.now())

    def end_dead(self) -> None:
        """End the rows of runs that were killed."""
        if any(True for _ in self._interrupted.dead()):
            now = self._database.now()
            for key in self._database.write(lambda connection: self._interrupted.end_dead(connection, now)):
                self._signs.forget(key)

    @property
    def look_every_s(self) -> float | None:
        """How often to look whether others were killed; None: whenever something else is done."""
        return self._signs.look_every_s

    def problem(self) -> str | None:
        """Return what could not be read in the outbox lately, in a sentence for people."""
        return self._outbox.problem()

    def _entered_late(self, document: Mapping[str, Any]) -> Waited:
        """Enter what waits, or an error in its place where the database refuses it: no slot may wait for that."""
        from mcp_server.storage.journal.ends import enter_waiting
        from mcp_server.storage.journal.rows import refusal

        try:
            return self._database.write(partial(enter_waiting, document))
        except self._database.refusals as error:
            lost = {"status": "error", "error": refusal(error), "signal": None, "trace": None, "model": None}
            # an unknown cost counts as the most that it may be
            spent = {"tokens_used": None, "cost_usd": None, "recorded_usd": None, "own_failure": True}
            return self._database.write(partial(enter_waiting, {**document, **lost, **spent}))

    def end_orphans(self, now: datetime | None = None) -> None:
        """End the rows that say `running`, but for which no process here has ever shown itself.

        A home that was restored from a backup has them: what ran when it was made, and `running/` is not in it.
        """
        now = now or self._database.now()
        self._database.write(lambda connection: self._interrupted.end_orphans(connection, now))
        self.host_runs.end_unanswered(now)

    def under_way(self, strategy: str) -> list[int]:
        """Return the ids of a strategy's runs that have not ended."""
        query = (
            "SELECT e.id FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "WHERE s.name = ? AND e.status = 'running' ORDER BY e.id"
        )
        return self._database.read(lambda c: [row[0] for row in c.execute(query, [strategy]).fetchall()])

    def entries(
        self,
        strategy: str | None = None,
        *,
        limit: int = 20,
        outcomes: Literal["signals", "all"] = "signals",
        until: datetime | None = None,
        before: int | None = None,
        at_their_time: bool = False,
        replayed: bool = False,
    ) -> list[Entry]:
        """Return the latest runs, newest first, as they stood at `until`; the arguments are those of `latest`."""
        asked = partial(entries.latest, at_their_time=at_their_time, replayed=replayed)
        return self._database.read(lambda connection: asked(connection, strategy, limit, outcomes, until, before))

    def ran_version(self, strategy: str, until: datetime) -> Kept | None:
        """Return the version of a strategy's last run or slot that had begun by a moment, and when; None: none had."""
        if not self._database.exists():
            return None
        from mcp_server.storage.journal.slot_history import ran_versions

        return self._database.read(lambda connection: ran_versions(connection, until)).get(strategy)

    def whole_run(
        self, execution_id: int, strategy: str | None, until: datetime, *, at_its_time: bool = False
    ) -> WholeRun:
        """Return one run whole, as it stood at `until`; with `at_its_time`, only if it was made at its moment.

        Raises:
            NotFound: it had not begun by then, or is not of this strategy.
        """
        from mcp_server.storage.journal.whole_run import whole_run

        run = self._database.read(lambda c: whole_run(c, execution_id, strategy, until, at_its_time=at_its_time))
        if run is None:
            of = f" of {strategy!r}" if strategy else ""
            raise NotFound(f"There is no run {execution_id}{of} by then.", "list_signals(outcomes='all') lists them.")
        return run

    def costs(self, strategy: str) -> Costs:
        """Return what the latest runs of a strategy by claude have cost; wait no longer than `COSTS_PATIENCE_S`."""
        if not self._database.exists():
            from mcp_server.domain.strategy.checks.budget import Costs

            return Costs(0, 0, None)
        return self._database.read(lambda connection: entries.costs(connection, strategy), patience_s=COSTS_PATIENCE_S)

    def day_costs(self, since: datetime, until: datetime, *, replays: bool = True) -> list[DayCost]:
        """Return what runs cost by day and strategy, as it was known at `until`, with or without `replays`."""
        from mcp_server.storage.journal.costs import day_costs

        return self._database.read(lambda connection: day_costs(connection, since, until, replays=replays))

    def traces_of_payers(self, keys: Collection[str]) -> list[Mapping[str, Any]]:
        """Return what happened in the runs that have paid for replies on a cassette, by their keys; the last three."""
        return self._database.read(lambda connection: entries.traces_of_payers(connection, keys))

    def trace(self, execution_id: int) -> Mapping[str, Any] | None:
        """Return what happened on the way of one run; None where there is no such run or nothing was kept."""
        return self._database.read(lambda connection: entries.trace(connection, execution_id))
