"""The loop of a replay: which moments run, in which order, how many at once, and when it stops."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from runner.clock import Clock, SystemClock
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest
from runner.settings import RunnerSettings
from runner.tool_server.server import Serving


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """What a replay works with. `serving` gives the tool server's address; one serves all runs."""

    settings: RunnerSettings
    home: Home
    database: Database
    journal: Journal
    serving: Serving
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
        Retryable: another process runs this very replay, or the journal or the tool server cannot be used now.
    """
    raise NotImplementedError
