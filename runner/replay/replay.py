"""A replay from its beginning to its end: what is left to run, whether it may be paid for, and what came of it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio.to_thread

from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.home import Home
from mcp_server.storage.journal.replays import ReplayTerms
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.sql import JournalDatabase
from runner.claude.cassette.ablation import Ablation
from runner.claude.cassette.cassettes import Cassette
from runner.claude.preflight import require_no_cloud
from runner.claude.recorder import ModelRecorder
from runner.claude.session import bundled_cli, require_claude
from runner.clock import Clock, SystemClock
from runner.execute import Runner
from runner.replay.cap import Cap
from runner.replay.course import Course
from runner.replay.pace import ReplayPace
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest
from runner.replay.runs import ReplayRuns
from runner.replay.shared import Shared, shared
from runner.replay.stop import Stop
from runner.replay.tally import Tally
from runner.settings import RunnerSettings


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """What a replay works with."""

    settings: RunnerSettings
    home: Home
    database: JournalDatabase
    journal: Journal
    clock: Clock = field(default_factory=SystemClock)


async def replay(request: ReplayRequest, parts: ReplayParts, tell: Callable[[ReplayProgress], None]) -> Replayed:
    """Run what is left of a replay, and say what came of all of it.

    A cancellation ends the runs that are under way; they are taken up again the next time.

    Args:
        request: what to replay.
        parts: what it works with.
        tell: called with each step forward; the last one of `pilots` has the estimate in its note.

    Raises:
        BadInput: it was refused before anything was asked, with the reason and what to do.
        Misconfigured: the agent CLI or the credential is missing, or the home cannot be written.
        NotSupported: Claude is to be asked through a cloud.
        Retryable: another process runs this very replay, or the journal or the tool server cannot be used now.
    """
    environment = _environment(request, parts.settings)
    terms = await anyio.to_thread.run_sync(_terms, request, parts)
    strategy = request.whole or request.strategy
    with parts.journal.replays.open(terms, strategy, request.max_usd, parts.clock.now()):
        await anyio.to_thread.run_sync(parts.journal.settle)  # what a killed process left open is taken up again
        async with shared(parts.settings, environment) as all_share:
            return await _course(request, terms, parts, all_share, environment, tell).run()


def _terms(request: ReplayRequest, parts: ReplayParts) -> ReplayTerms:
    """Return the terms of the replay; a rerun that has come to its end is done anew, as something may have changed."""
    terms = request.terms(parts.settings.exchange)
    while request.rerun and len(Tally(parts.journal.replays.rows(terms.id), request.moments).final) == len(
        request.moments
    ):
        terms = replace(terms, repeat=terms.repeat + 1)
    return terms


def _environment(request: ReplayRequest, settings: RunnerSettings) -> dict[str, str]:
    """Return the credentials and Claude's address; a rerun needs none.

    Raises:
        Misconfigured, NotSupported: a run could not even begin.
    """
    has_rules = request.strategy.config.rules is not None
    instead = "" if has_rules else "give the strategy 'rules', and "
    instead += f"try its rules for nothing: claude-trader backtest {request.strategy.name}"
    if request.rerun:
        bundled_cli(instead)
        return {}
    require_no_cloud(os.environ)
    environment = settings.claude_environment
    require_claude(environment, instead)
    return environment


def _course(
    request: ReplayRequest,
    terms: ReplayTerms,
    parts: ReplayParts,
    all_share: Shared,
    environment: Mapping[str, str],
    tell: Callable[[ReplayProgress], None],
) -> Course:
    """Put a replay together."""
    settings, clock, journal = parts.settings, parts.clock, parts.journal
    cassette, base = _cassette(request.strategy, parts), _cassette(request.whole, parts) if request.whole else None
    recorder = ModelRecorder(
        all_share.proxy,
        cassette,
        mode="rerun" if request.rerun else "record",
        contamination="label" if request.contaminated else "refuse",
        ablation=Ablation(base, frozenset(request.without)) if base else None,
    )
    runner = Runner(
        settings,
        journal,
        parts.database,
        all_share.serving,
        all_share.connect,
        clock=clock,
        recorder=recorder,
        rules_of=request.whole,
    )
    a_run_usd = usd_per_run(request.strategy)
    cap = None if request.rerun else Cap(journal.replays, terms.id, request.max_usd, a_run_usd, clock)
    stop = Stop()
    pace = ReplayPace(clock, settings.max_claude_runs)
    runs = ReplayRuns(runner, request.strategy, terms.id, pace, cap, stop)
    return Course(request, journal, runs, cassette, environment, tell)


def _cassette(strategy: Strategy, parts: ReplayParts) -> Cassette:
    version = strategy.decision_version(parts.settings.exchange, "claude")
    return Cassette(parts.home.cassettes, strategy.name, version)
