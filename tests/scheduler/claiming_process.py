"""Claims every minute of a stretch, as one of several processes with the arguments HOME COUNT; prints what it got."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

from mcp_server.storage.journal.slots import Claim
from tests.scheduler.slot_homes import HELD, Machine, at, strategy


def claim_minutes(machine: Machine, count: int) -> list[datetime]:
    """Claim the minutes after noon one by one, as far as nobody else has; give those that were this one's to run."""
    what, start = strategy(interval="1m"), at("12:00")
    until, mine = start, list[datetime]()
    while until < start + timedelta(minutes=count):
        slot = until + timedelta(minutes=1)
        done = machine.slot_store.claim([Claim(what, until, slot, ())], slot)
        until = done.behind.get("s", slot)
        for claimed in done.started:
            mine.append(claimed.run.as_of)
            machine.journal.finish(claimed, HELD, slot)
    return mine


def main() -> None:
    machine = Machine(Path(sys.argv[1]))
    machine.slot_store.open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for slot in claim_minutes(machine, int(sys.argv[2])):
        sys.stdout.write(f"{slot.isoformat()}\n")
    machine.slot_store.close(forget=True)
