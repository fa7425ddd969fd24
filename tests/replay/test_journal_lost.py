"""A journal or a disk that cannot be written ends a replay, which says so; what was paid is not lost."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mcp_server.domain.outcome import Ended, Outcome, Status
from mcp_server.errors import NoSpace, Retryable
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from tests.replay.playing import play
from tests.rigs.played_runs import PlayedApi
from tests.rigs.replays import parts_of, replay_of

BUSY = Retryable("Another program holds the journal.", "Close it.")


class HeldJournal(Journal):
    """Gives two runs a row; then another program holds the database."""

    rows = 2

    def claim(self, run: Run) -> Claimed:
        if not self.rows:
            raise BUSY
        self.rows -= 1
        return super().claim(run)


class FullDisk(Journal):
    """Has no room for the end of a run."""

    def finish(self, claimed: Claimed, outcome: Outcome, ended_at: datetime, **began: Any) -> Ended:
        assert claimed.liveness is not None
        claimed.liveness.close(forget=False)
        raise NoSpace(Path())


class Waiting(Journal):
    """Cannot enter how the first run ended: that waits in the outbox."""

    waited = False

    def _try_to_enter(self, documents: Sequence[dict[str, Any]]) -> tuple[Any, str | None]:
        if not self.waited:
            self.waited = True
            return [None], str(BUSY)
        return super()._try_to_enter(documents)


async def test_a_journal_that_another_program_holds_ends_the_replay_and_what_ran_is_kept(home: Path) -> None:
    api = PlayedApi(most_tokens=1_500)
    played = await play(home, replay_of(5), api, at_once=1, journal_of=HeldJournal)
    assert played.stop.by == "journal"
    assert all(words in played.stop.because for words in ("Another program holds", "Close it.", "same command"))
    assert played.tally.by_status == {Status.SUCCESS: 2}
    done = await play(home, replay_of(5), api)
    assert (done.stop.by, done.tally.by_status) == (None, {Status.SUCCESS: 5})
    assert done.spent_usd == api.spent_usd


async def test_a_full_disk_ends_the_replay_and_the_run_is_taken_up_again(home: Path) -> None:
    played = await play(home, replay_of(3), PlayedApi(most_tokens=1_500), at_once=1, journal_of=FullDisk)
    assert (played.stop.by, played.runs.began) == ("journal", 1)
    assert str(NoSpace(Path())) in played.stop.because
    done = await play(home, replay_of(3), PlayedApi(most_tokens=1_500))
    assert (done.stop.by, done.tally.by_status) == (None, {Status.SUCCESS: 3})


async def test_a_reply_that_cannot_be_kept_ends_the_replay_before_more_is_paid(home: Path) -> None:
    api = PlayedApi(most_tokens=1_500, unkept="A reply could not be kept: No space left on device.")
    played = await play(home, replay_of(3), api, at_once=1)
    assert (played.stop.by, played.tally.by_status) == ("journal", {Status.SUCCESS: 1})
    assert "No space left on device" in played.stop.because


async def test_an_outcome_that_waits_for_the_journal_is_entered_and_counts(home: Path) -> None:
    api = PlayedApi(most_tokens=1_500)
    played = await play(home, replay_of(3), api, at_once=1, journal_of=Waiting)
    assert (played.stop.by, played.tally.by_status) == (None, {Status.SUCCESS: 3})
    assert not list(parts_of(home).home.outbox.iterdir())
    assert played.spent_usd == api.spent_usd
