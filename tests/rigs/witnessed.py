"""What a test wants of one of several machines that share a journal: a witness beside the database, a clock of its own.

All of it is in the environment of `tests.rigs.fast_runner`:

| variable | what it does |
| --- | --- |
| WITNESS | a file to which the runner appends `key KEY PID` when it shows itself, and `ran KEY TIME SLOT NAME` |
| WALL_OFFSET_S | the machine's own clock is wrong by so many seconds, as far as the journal goes by it |
| ENGINE_S | rules take up to so long, in seconds, as if the exchange were slow |
| RESTARTED_S | what is counted as soon after a loss of sessions, instead of a minute |
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import random
from typing import Any

import anyio

from mcp_server.domain.outcome import Outcome
from mcp_server.storage.journal.rows import Claimed
from mcp_server.storage.postgres import liveness
from mcp_server.storage.postgres.clock import DatabaseClock
from mcp_server.storage.postgres.database import PostgresDatabase
from runner.cli.context import Context
from runner.scheduler.slot_run import SlotRun


def witnessed(context: Context) -> None:
    """Do as the environment says; without a WITNESS, nothing."""
    database = context.journal_database
    if not isinstance(database, PostgresDatabase) or "WITNESS" not in os.environ:
        return
    witness = Path(os.environ["WITNESS"])
    offset = timedelta(seconds=float(os.environ["WALL_OFFSET_S"]))
    database.clock = DatabaseClock(wall=lambda: datetime.now(UTC) + offset)
    vars(liveness)["RESTARTED_S"] = int(os.environ["RESTARTED_S"])
    engine_s = float(os.environ["ENGINE_S"])
    show, run = liveness.HeldLocks.show, SlotRun.__call__

    def shown(signs: liveness.HeldLocks, key: str) -> liveness.HeldLock:
        lock = show(signs, key)
        note(witness, "key", key, str(os.getpid()))
        return lock

    async def ran(what: SlotRun, claimed: Claimed) -> Outcome:
        strategy, slot = claimed.run.strategy, claimed.run.as_of
        note(witness, "ran", claimed.key, repr(time.time()), slot.isoformat(), strategy.name)
        if claimed.run.engine == "rules":
            await anyio.sleep(random() * engine_s)  # noqa: S311 (how slow an exchange is)
        return await run(what, claimed)

    changed: Any = liveness.HeldLocks
    changed.show = shown
    changed = SlotRun
    changed.__call__ = ran


def note(witness: Path, *words: str) -> None:
    """Append a line in one piece: whoever is killed leaves all of it or nothing."""
    file = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, (" ".join(words) + "\n").encode())
    finally:
        os.close(file)
