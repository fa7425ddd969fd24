"""A claimed run is finished whatever happens to it, by the one function that carries runs out."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from mcp_server.domain.outcome import NOTHING_SPENT, Blame, Ended, Outcome, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from runner.clock import SystemClock
from runner.execute import Begin, Decide, carry_out

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DECIDED = Outcome(Status.ABSTAINED, error="no candle", **NOTHING_SPENT)


async def decides(begin: Begin) -> Outcome:
    begin()
    return DECIDED


async def is_stopped_in_its_turn(begin: Begin) -> None:
    begin()


async def is_stopped_before_its_turn(_: Begin) -> None:
    return None


async def breaks(begin: Begin) -> Outcome:
    begin()
    raise MemoryError


async def hangs(begin: Begin) -> Outcome:
    begin()
    await anyio.sleep_forever()
    raise AssertionError


CASES: dict[str, tuple[Decide, Status, Blame | None, bool]] = {
    "it decides": (decides, Status.ABSTAINED, None, True),
    "it is stopped in its turn": (is_stopped_in_its_turn, Status.ERROR, "runner", True),
    "it is stopped before its turn": (is_stopped_before_its_turn, Status.MISSED, None, False),
    "it breaks": (breaks, Status.ERROR, "strategy", True),
    "its task is cancelled": (hangs, Status.ERROR, "runner", True),
}


@pytest.fixture
def journal(home: Path) -> Journal:
    at = Home(home)
    return Journal(Database(at.database, prepare=at.prepare), at)


@pytest.mark.parametrize(("decide", "status", "blame", "begun"), CASES.values(), ids=CASES.keys())
async def test_a_claimed_run_is_finished_whatever_happens(
    journal: Journal, home: Path, decide: Decide, status: Status, blame: Blame | None, begun: bool
) -> None:
    strategy = parse_strategy("s", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    claimed = journal.claim(Run(strategy, "schedule", NOON, "rules", NOON))
    finished: list[Ended] = []

    async def finish(outcome: Outcome, began_at: datetime | None) -> Ended:
        finish: Callable[[], Ended] = partial(journal.finish, claimed, outcome, datetime.now(UTC), began_at=began_at)
        finished.append(await anyio.to_thread.run_sync(finish))
        return finished[-1]

    with anyio.move_on_after(0.2):
        await carry_out(claimed, decide, finish, SystemClock())
    (ended,) = finished
    assert (ended.outcome.status, ended.outcome.blame, ended.began_at is not None) == (status, blame, begun)
    (entry,) = journal.entries(outcomes="all")
    assert (entry.status, entry.why) == (status, ended.outcome.error)
    assert list(Home(home).running.iterdir()) == []
