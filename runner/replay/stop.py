"""Why a replay stops before its end."""

from dataclasses import dataclass, field

import anyio

from runner.claude.verdict import API_FAILURES
from runner.replay.replayed import StoppedBy

GO_ON = "Run the same command again then: it goes on from here, and asks nothing twice."

_OF_THE_ACCOUNT = (401, 402, 403)
"""What the API answers where it refuses the account: then it refuses every run."""

_AT_ONCE: tuple[StoppedBy, ...] = ("credential", "contamination", "cap")


@dataclass(slots=True)
class Stop:
    """Set where no run is to begin any more; the first reason stands."""

    by: StoppedBy | None = None
    because: str = ""
    event: anyio.Event = field(default_factory=anyio.Event)

    @property
    def asks_nothing(self) -> bool:
        """Whether runs under way are to ask nothing more either."""
        return self.by in _AT_ONCE

    def set(self, by: StoppedBy, because: str) -> None:
        """Let no run begin any more."""
        if self.by is None:
            self.by, self.because = by, because
        self.event.set()

    def refused(self, status: int | None) -> bool:
        """Stop if this answer of the API refuses the account, and return whether it does."""
        if status is None or status not in _OF_THE_ACCOUNT:
            return False
        self.set("credential", f"Claude's API refuses every run: {API_FAILURES[status]}. {GO_ON}")
        return True
