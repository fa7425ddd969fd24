"""The journal: one row for each run, one more for its signal; nothing is lost while others hold the database.

Who only reads it imports nothing of what writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcp_server.errors import TraderError
from mcp_server.storage.journal.interrupted import Interrupted, end_broken
from mcp_server.storage.journal.known_runs import KnownRuns
from mcp_server.storage.journal.outbox import Outbox

if TYPE_CHECKING:
    from mcp_server.domain.outcome import Ended, Outcome, SignalName
    from mcp_server.storage.home import Home
    from mcp_server.storage.journal.backtests import Backtests
    from mcp_server.storage.journal.ends import Waited
    from mcp_server.storage.journal.host_runs import HostRuns
    from mcp_server.storage.journal.liveness import SignOfLife
    from mcp_server.storage.journal.outcomes import Outcomes
    from mcp_server.storage.journal.replays import Replays
    from mcp_server.storage.journal.rows import Claimed, Run, RunEnd
    from mcp_server.storage.sql import JournalDatabase
    from mcp_server.storage.strategies.folders import StrategyFolders


class Journal(KnownRuns):
    """The record of runs in one home.

    Every method but `finish` raises `Retryable` and `Misconfigured`, as `Database` does. Then nothing has changed, and
    the same call may work later; a run that could not be claimed must not start.
    """

    def __init__(self, database: JournalDatabase, home: Home) -> None:
        super().__init__(database)
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
