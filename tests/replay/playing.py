"""Plays the runs of a replay: what decides when one begins, its limit, and how it ends is real, as is the journal."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.sql import JournalDatabase
from runner.claude.recorder import ModelRecorder
from runner.clock import Clock, SystemClock
from runner.replay.cap import Cap
from runner.replay.pace import ReplayPace
from runner.replay.replayed import ReplayRequest
from runner.replay.runs import ReplayRuns
from runner.replay.stop import Stop
from runner.replay.tally import Tally
from tests.rigs.played_runs import PlayedApi, PlayedRunner
from tests.rigs.replays import parts_of


@dataclass
class Played:
    """What came of it."""

    runs: ReplayRuns
    stop: Stop
    tally: Tally
    spent_usd: Decimal


@asynccontextmanager
async def _nowhere() -> Any:
    raise AssertionError("no tool server is needed")
    yield


async def play(
    home: Path,
    request: ReplayRequest,
    api: PlayedApi,
    *,
    at_once: int = 4,
    clock: Clock | None = None,
    journal_of: Callable[[JournalDatabase, Home], Journal] = Journal,
) -> Played:
    """Play what is left of a replay."""
    parts, clock = parts_of(home), clock or SystemClock()
    journal, terms = journal_of(parts.database, parts.home), request.terms("simulated")
    with journal.replays.open(terms, request.strategy, request.max_usd, clock.now()):
        journal.settle()
        recorder = ModelRecorder(cast(Any, None), None)
        runner = PlayedRunner(
            parts.settings, journal, parts.database, _nowhere, clock=clock, recorder=recorder, api=api
        )
        cap = Cap(journal.replays, terms.id, request.max_usd, usd_per_run(request.strategy), clock)
        stop = Stop()
        runs = ReplayRuns(runner, request.strategy, terms.id, ReplayPace(clock, at_once), cap, stop)
        before = Tally(journal.replays.rows(terms.id), request.moments)
        runs.open_rows = before.open_rows
        cap.dearest_usd = max((cost.usd or Decimal(0) for cost in before.costs), default=Decimal(0))
        await runs.run(moment for moment in request.moments if moment not in before.final)
        tally = Tally(journal.replays.rows(terms.id), request.moments)
        return Played(runs, stop, tally, journal.replays.spent(terms.id).ended)
