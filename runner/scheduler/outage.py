"""Claude's outages: after a failure that is not a strategy's own, Claude is left alone for a while, ever longer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mcp_server.domain.outcome import Outcome
from runner.scheduler.troubles import CLAUDE, Troubles

FIRST, MOST = timedelta(seconds=30), timedelta(minutes=15)


@dataclass(slots=True)
class Outage:
    """What is known of Claude's health, from how runs ended."""

    troubles: Troubles = field(default_factory=Troubles)
    failures: int = 0
    until: datetime | None = None
    why: str = ""

    def note(self, outcome: Outcome, now: datetime) -> None:
        """Note how a run that asked Claude has ended."""
        if outcome.blame == "outside":
            if self.until is not None and now < self.until:
                return  # it was under way already: of one outage, runs that go on together all fail
            self.failures += 1
            self.until = now + min(FIRST * 2 ** min(self.failures - 1, 10), MOST)
            self.why = outcome.error or ""
            self.troubles.note(CLAUDE, self.why, now)
        elif outcome.blame == "strategy" or outcome.decided:
            self.failures, self.until, self.why = 0, None, ""
            self.troubles.note(CLAUDE, None, now)

    def refusal(self, now: datetime) -> str | None:
        """Return why Claude is not to be asked now; None: it may be asked."""
        if self.until is None or now >= self.until:
            return None
        times = "once" if self.failures == 1 else f"{self.failures} times in a row"
        return (
            f"Claude was not asked: it failed {times}, and is left alone until {self.until:%H:%M:%S} UTC. "
            f"The last failure: {self.why}"
        )
