"""Carrying out a run: whatever happens to it, its row says how it ended."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

import anyio

from mcp_server.domain.outcome import NOTHING_SPENT, Blame, Ended, Outcome, Status
from mcp_server.errors import Retryable, TraderError, root
from mcp_server.storage.journal.rows import Claimed

Begin = Callable[[], None]
Decide = Callable[[Begin], Awaitable[Outcome | None]]
Finish = Callable[[Outcome, datetime | None], Awaitable[Ended]]

NOT_BEGUN = "The runner was stopped before the run could begin."
STOPPED = "interrupted: the runner was stopped before the run could end"

logger = logging.getLogger(__name__)


async def carry_out(
    claimed: Claimed, decide: Decide, finish: Finish, now: Callable[[], datetime], *, began_at: datetime | None = None
) -> Ended:
    """Let a claimed run be decided, and finish it whatever happens, even when this task is cancelled.

    Args:
        claimed: the run, which has its row.
        decide: returns the outcome, or None where the run was stopped. It must call its argument when the run begins;
            a run that is stopped before that is recorded as missed.
        finish: records the outcome and when the run began.
        now: the clock that the run goes by.
        began_at: when the run began, if it need not wait for its turn.
    """
    outcome = _stopped(claimed) if began_at else Outcome(Status.MISSED, error=NOT_BEGUN, **NOTHING_SPENT)

    def begin() -> None:
        nonlocal began_at, outcome
        began_at, outcome = now(), _stopped(claimed)

    try:
        outcome = await decide(begin) or outcome
    except Exception as error:  # one run's failure is never another's
        logger.exception("run of %s", claimed.run.strategy.name)
        why = f"unexpected {type(root(error)).__name__}; the log on standard error says more"
        outcome = Outcome(Status.ERROR, error=why)
    finally:
        with anyio.CancelScope(shield=True):
            ended = await finish(outcome, began_at)
    return ended


def failed_early(error: TraderError, why: str) -> Outcome:
    """Return the outcome of a run that failed before a model was asked anything."""
    blame: Blame = "outside" if isinstance(error, Retryable) else "strategy"
    return Outcome(Status.ERROR, error=why, blame=blame, **NOTHING_SPENT)


def _stopped(claimed: Claimed) -> Outcome:
    """Return the outcome of a run that a stop ends; what an agent has spent by then is unknown."""
    outcome = Outcome(Status.ERROR, error=STOPPED, blame="runner")
    return replace(outcome, **NOTHING_SPENT) if claimed.run.engine == "rules" else outcome
