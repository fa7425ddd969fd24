"""Watches what runs rely on, the tool server and Claude, and tells people elsewhere when it is down for a while."""

from collections.abc import Callable
from datetime import datetime, timedelta

from runner.clock import Clock
from runner.notify.events import server_trouble
from runner.scheduler.after_run import Tell
from runner.scheduler.outage import Outage

LOOK_EVERY_S = 10.0
WHILE = timedelta(seconds=60)
"""What mends itself sooner is in the log only."""


def _never() -> tuple[str, datetime] | None:
    """Say that nothing keeps slots from being claimed."""
    return None


async def watch(
    clock: Clock,
    server_problem: Callable[[], str | None],
    outage: Outage,
    tell: Tell,
    blocked: Callable[[], tuple[str, datetime] | None] = _never,
) -> None:
    """Look again and again; each trouble is told once, with the moment at which it began."""
    down_since: datetime | None = None
    while True:
        now, problem = clock.now(), server_problem()
        down_since = None if problem is None else down_since or now
        if problem is not None and down_since is not None and now - down_since > WHILE:
            tell(server_trouble(problem, down_since))
        if outage.since is not None and now - outage.since > WHILE:
            tell(server_trouble(f"Claude cannot be asked: {outage.why}", outage.since))
        if (said := blocked()) is not None and now - said[1] > WHILE:
            tell(server_trouble(f"No slot is claimed: {said[0]}", said[1]))
        await clock.sleep(LOOK_EVERY_S)
