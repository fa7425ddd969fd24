"""What is wrong, why and since when: one list, from which status, the heartbeat and notices take what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.clock import Clock
from runner.notify.events import Event, server_trouble

LOOK_EVERY_S = 10.0
LASTING = timedelta(seconds=60)
"""What mends itself sooner is in the log only."""

CLAIMS, SERVER, CLAUDE, RECORDS = "claims", "server", "claude", "records"

NOTICES = {SERVER: "", CLAUDE: "Claude cannot be asked: ", CLAIMS: "No slot is claimed: "}
"""What people are told of as soon as it lasts, and how the sentence begins."""

Tell = Callable[[Event], object]
"""Takes an event that people elsewhere should know of. An event is delivered once, however often it is given."""


@dataclass(slots=True)
class Trouble:
    """Something that is wrong: why, and since when (aware). `told` is for whoever tells of it only once.

    `journal`: it is that the journal cannot be used.
    """

    why: str
    since: datetime
    journal: bool = False
    told: bool = False

    def lasts(self, now: datetime) -> bool:
        """True once it has been wrong for a while."""
        return now - self.since >= LASTING


class Troubles:
    """What is wrong at present, by what it is about."""

    def __init__(self) -> None:
        self._present: dict[str, Trouble] = {}

    def note(self, about: str, why: str | None, now: datetime, *, journal: bool = False) -> bool:
        """Note that something is wrong, or still is, and why; None: it is right. Return whether that is a change."""
        if why is None:
            return self._present.pop(about, None) is not None
        if (known := self._present.get(about)) is not None:
            known.why, known.journal = why, journal
            return False
        self._present[about] = Trouble(why, now, journal)
        return True

    def of(self, about: str) -> Trouble | None:
        """Return what is wrong with something; None: nothing is."""
        return self._present.get(about)

    def reasons(self) -> list[str]:
        """Return why each thing is wrong, what has been wrong longest first."""
        return [trouble.why for trouble in [*self._present.values()]]


async def watch(troubles: Troubles, clock: Clock, server_problem: Callable[[], str | None], tell: Tell) -> None:
    """Look again and again, and tell people elsewhere of each trouble that lasts."""
    while True:
        now = clock.now()
        troubles.note(SERVER, server_problem(), now)
        for about, beginning in NOTICES.items():
            trouble = troubles.of(about)
            if trouble is not None and trouble.lasts(now):
                tell(server_trouble(f"{beginning}{trouble.why}", trouble.since))
        await clock.sleep(LOOK_EVERY_S)
