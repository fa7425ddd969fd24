"""How a run by Claude goes through the recording proxy: whose cassette, what it may ask, and what came of it."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.contamination import contaminated, latest, refusal
from mcp_server.domain.outcome import NOTHING_SPENT, Outcome
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from runner.claude.cli_folder import CliFolder
from runner.claude.preflight import require_no_cloud
from runner.claude.transcript import Ending

if TYPE_CHECKING:
    from runner.claude.cassette.ablation import Ablation
    from runner.claude.cassette.cassettes import Cassette, Recorded
    from runner.claude.proxy.session import Mode, Session
    from runner.claude.recording import Proxy

AS_OF_NOW = timedelta(minutes=1)
"""A run as of so long ago, at most, is one as of now: its model may know what day it is."""


@dataclass(frozen=True, slots=True)
class ModelRecorder:
    """What a replay gives to its runs. A single run that needs the proxy has one of its own.

    `cassette` is what the runs are kept on; None: their date is rewritten, and nothing is kept. In the mode `rerun`
    everything comes from it, and no credential is needed. `contamination` is what happens at a moment that a model may
    know the sequel of: it is refused before anything is paid, or labelled, or not judged at all. `ablation` has replies
    that were recorded when the strategy had more sub-agents. `prepare` is called with each run's session of the proxy
    before its CLI starts: what may be asked is decided there. `most_usd` is what a run may cost at most, where that is
    less than its strategy allows.
    """

    proxy: "Proxy"
    cassette: "Cassette | None"
    mode: "Mode" = "record"
    contamination: Literal["refuse", "label", "ignore"] = "label"
    ablation: "Ablation | None" = None
    prepare: Callable[["Session"], None] = lambda _: None
    most_usd: Decimal | None = None

    def recorded(self, as_of: datetime) -> "list[Recorded]":
        """Return the replies of a moment that need not be asked for."""
        cassettes = [self.cassette, self.ablation.base if self.ablation else None]
        return [reply for cassette in cassettes if cassette is not None for reply in cassette.at(as_of)]

    @contextmanager
    def session(self, as_of: datetime, run_key: str, folder: CliFolder) -> Iterator["Session"]:
        """Let the CLI of one run use the proxy; whatever the proxy refuses ends that CLI at once."""
        from runner.claude.proxy.session import Session

        def allow(model: str, cutoff: str | None) -> str | None:
            refused = refusal(as_of, model, cutoff) if self.contamination == "refuse" else None
            return None if refused is None else str(refused)

        run = Session(
            as_of=as_of,
            folder=folder.path,
            cassette=self.cassette,
            run_key=run_key,
            mode=self.mode,
            allow=allow,
            reused=partial(self.ablation.reply, as_of) if self.ablation else None,
            stop=lambda _: folder.end_cli(),
        )
        self.prepare(run)
        with self.proxy.session(run):
            yield run

    def accounted(self, outcome: Outcome, ending: Ending | None, session: "Session", as_of: datetime) -> Outcome:
        """Return an outcome with what the run itself paid, what a model may have known, and where its replies lie."""
        cutoffs = session.cutoffs.values()
        known = any(contaminated(as_of, cutoff) for cutoff in cutoffs)
        requests: dict[str, Any] = {"from_cassette": session.hits, "asked": session.asked}
        if session.derived:
            requests["derived"] = session.derived
        if self.cassette is not None:
            place = self.cassette.place(as_of)
            requests["cassette"] = place.relative_to(self.cassette.root.parent).as_posix()
        if session.unkept is not None:
            requests["unkept"] = session.unkept
        return replace(
            outcome,
            **self._costs(outcome, ending, session),
            knowledge_cutoff=latest(cutoffs),
            contaminated=None if self.contamination == "ignore" or not cutoffs else known,
            trace={**(outcome.trace or {}), "requests": requests},
        )

    def _costs(self, outcome: Outcome, ending: Ending | None, session: "Session") -> dict[str, Any]:
        """Return what all replies once cost, and what this run paid of it; None where the CLI left no account.

        The CLI counts a reply of the cassette like any other.
        """
        from runner.claude.proxy.reply_cost import live_share

        usage = ending.model_usage if ending is not None else {}
        if not session.asked and not session.hits and not usage:
            return {**NOTHING_SPENT}
        whole = outcome.cost_usd
        recorded = None if self.cassette is None else whole
        if self.mode == "rerun" or not (session.asked or any(reply.own for reply in session.usages)):
            return {"cost_usd": Decimal(0), "recorded_usd": recorded}
        paid = None if whole is None else round(live_share(usage, session.usages), 8)
        return {"cost_usd": paid, "recorded_usd": recorded}


@asynccontextmanager
async def recorder_for(
    run: Run, now: datetime, home: Path, environment: Mapping[str, str]
) -> AsyncIterator[ModelRecorder | None]:
    """Give what a single run goes through the recording proxy with; None: it asks Claude's API itself.

    A slot that is late is not judged: no model knows what came after a slot that has only just been.

    Args:
        run: the run; it is recorded if its strategy says so.
        now: when it starts.
        home: the folder of the home, where the cassettes lie.
        environment: the credentials and, where there is one, ANTHROPIC_BASE_URL.

    Raises:
        NotSupported: Claude is to be asked through a cloud.
    """
    is_late, record = now - run.as_of > AS_OF_NOW, run.strategy.config.record
    if not (is_late or record):
        yield None
        return
    from runner.claude.cassette.cassettes import Cassette
    from runner.claude.recording import recording_proxy

    is_judged = is_late and run.trigger != "schedule"
    if is_judged or record:
        require_no_cloud(os.environ)
    cassette = Cassette(Home(home).cassettes, run.strategy.name, run.terms.decision_version) if record else None
    async with recording_proxy(environment) as proxy:
        yield ModelRecorder(proxy, cassette, contamination="label" if is_judged else "ignore")
