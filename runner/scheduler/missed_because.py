"""Why slots were not run when they came due: the runner was stopped or busy, the machine slept, the journal in use."""

import logging
from datetime import datetime, timedelta

from runner.scheduler.troubles import Trouble

logger = logging.getLogger(__name__)

GAP = timedelta(seconds=30)
"""If nothing looked at the clock for longer than this, the machine slept or stood still."""

STEP = timedelta(seconds=1)
"""A clock that is back by more than this was set."""

BUSY = "The runner was busy at the time."


class MissedBecause:
    """Knows the reason, from when the clock was last looked at. It begins `now`, when slots are first claimed."""

    def __init__(self, now: datetime) -> None:
        self._reason = f"Nothing ran at the time: the runner was started at {now:%Y-%m-%d %H:%M:%S} UTC."
        self._looked_at: datetime | None = None

    def look(self, now: datetime) -> None:
        """Note that the clock is looked at; it may have stood still or been set since the last look."""
        before, self._looked_at = self._looked_at, now
        if before is None:
            return
        if now - before > GAP:
            self._reason = (
                f"Nothing ran from {before:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC: the machine slept, stood "
                "still, or its clock was set."
            )
            logger.warning("%s", self._reason)
        elif now < before - STEP:
            back_s = (before - now).total_seconds()
            logger.warning("the clock was set back by %.0f s; slots that have run are not run again", back_s)

    def accounted(self) -> None:
        """Note that every slot that was due has its row."""
        self._reason = BUSY

    def reason(self, claims: Trouble | None) -> str:
        """Return the reason; `claims` is what keeps slots from being claimed, if anything.

        That stays the reason until all that came due meanwhile has its row, which may take more than one claim.
        """
        if claims is not None:
            self._reason = (
                f"The journal could not be written from {claims.since:%Y-%m-%d %H:%M:%S} UTC on: {claims.why}"
            )
        return self._reason
