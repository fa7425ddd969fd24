"""A runner in a process of its own that claims a slot of each strategy whenever it is told to, runs and ends them.

Arguments: HOME. It writes its key, and then for each round `claimed`, for each slot `ran NAME SLOT`, and `ended`.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from mcp_server.storage.journal.slots import Claim
from mcp_server.storage.postgres import liveness
from tests.scheduler.slot_homes import HELD, Machine, at, strategy

NAMES = ("a", "b", "c", "d")
START = at("12:00")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def rounds() -> Iterator[int]:
    """Yield the number of each round that it is told of."""
    for line in sys.stdin:
        yield int(line)


def main() -> None:
    liveness.RESTARTED_S = 0
    machine = Machine(Path(sys.argv[1]))
    machine.slot_store.open()
    assert machine.slot_store._liveness is not None
    say(machine.slot_store._liveness.key)
    strategies = [strategy(name, interval="1m") for name in NAMES]
    for number in rounds():
        slot = START + timedelta(minutes=number)
        machine.journal.settle(slot)
        claims = [Claim(what, slot - timedelta(minutes=1), slot, ()) for what in strategies]
        started = machine.slot_store.claim(claims, slot).started
        say("claimed")
        for claimed in started:
            say(f"ran {claimed.run.strategy.name} {slot.isoformat()}")
            machine.journal.finish(claimed, HELD, slot)
        say("ended")
    machine.slot_store.close(forget=True)
