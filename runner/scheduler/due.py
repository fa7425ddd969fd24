"""When strategies come due, and what becomes of the slots that have."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from mcp_server.domain.schedule.plan import plan
from mcp_server.domain.schedule.slots import due_at, slots
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.journal.slots import Claim


class Schedule:
    """A strategy that is scheduled: up to when each of its slots has a row, and when the next two come due.

    `place` is where it is among those that are due at the same moment.
    """

    def __init__(self, strategy: Strategy, accounted_until: datetime, place: str) -> None:
        self.strategy = strategy
        self.place = place
        self.account(accounted_until)

    def account(self, until: datetime) -> None:
        """Note that every slot up to a moment has a row."""
        config = self.strategy.config
        self.accounted_until = until
        self.due, self.next_due = (due_at(config, slot) for slot in islice(slots(config, until), 2))


@dataclass(frozen=True, slots=True)
class PlannedClaims:
    """What is to be claimed now; what is `withheld`, as it cannot begin soon; and what kept slots from being computed.

    The last two are by name.
    """

    claims: list[Claim] = field(default_factory=list)
    withheld: set[str] = field(default_factory=set)
    failed: dict[str, Exception] = field(default_factory=dict)


def plan_claims(
    due: Iterable[Schedule],
    now: datetime,
    missed_because: str,
    takes: Callable[[Strategy], bool],
    most: int | None,
) -> PlannedClaims:
    """Plan what becomes of strategies that are due.

    Slots that nobody has run in time get their rows, whether or not the run after them can begin soon.

    Args:
        due: the strategies.
        now: the present.
        missed_because: why slots were not run when they came due.
        takes: whether a run of a strategy can begin soon, beside those that it was asked of before.
        most: how many claims there may be; None: any number. The rest is in none of the three.
    """
    planned = PlannedClaims()
    for schedule in sorted(due, key=lambda schedule: (schedule.due, schedule.place)):
        strategy, after = schedule.strategy, schedule.accounted_until
        if not takes(strategy) and schedule.next_due > now:
            planned.withheld.add(strategy.name)
            continue
        if len(planned.claims) == most:
            break
        try:
            what = plan(strategy.config, after, now, missed_because)
        except Exception as error:
            planned.failed[strategy.name] = error
            continue
        if what is not None:
            planned.claims.append(Claim(strategy, after, what.run, what.passed, what.start_deadline))
    return planned
